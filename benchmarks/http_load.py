"""`python -m benchmarks.http_load`: keep-alive connections that post signals; prints JSON.

A client of few instructions, so that the two cores are the server's.
"""

import argparse
import json
import os
import socket
import statistics
import threading
import time
from collections import Counter


def main() -> None:
    """Post for so many seconds."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--authorization", required=True)
    parser.add_argument("--connections", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--account", default="")
    parser.add_argument("--prefer", default="")
    asked = parser.parse_args()
    taken: list[float] = []
    answers: Counter[str] = Counter()
    refusals: list[str] = []
    ends = time.monotonic() + asked.seconds
    threads = [
        threading.Thread(target=_post, args=[asked, number, ends, taken, answers, refusals])
        for number in range(asked.connections)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    p50 = statistics.median(taken) * 1000 if taken else None
    said = {"count": len(taken), "p50_ms": p50, "answers": answers, "refusal": refusals}
    print(json.dumps(said))


def _post(  # noqa: PLR0917 a thread's arguments
    asked: argparse.Namespace,
    number: int,
    ends: float,
    taken: list[float],
    answers: Counter[str],
    refusals: list[str],
) -> None:
    prefer = f"Prefer: {asked.prefer}\r\n" if asked.prefer else ""
    head = (
        "POST /api/v1/signals HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"Authorization: {asked.authorization}\r\n{prefer}Content-Length: "
    )
    with socket.create_connection(("127.0.0.1", asked.port), timeout=30) as link:
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        count = 0
        while time.monotonic() < ends:
            count += 1
            body = {
                "signal_id": f"{os.getpid()}-{time.time_ns()}-{number}-{count}",
                "strategy": "bench",
                "symbol": "EURUSD",
                "action": "BUY",
                "quantity": "1000",
            }
            if asked.account:
                body["account"] = asked.account
            text = json.dumps(body)
            started = time.perf_counter()
            link.sendall(f"{head}{len(text)}\r\n\r\n{text}".encode())
            status, said = _answer(link)
            answers[status] += 1
            if status.startswith("4"):
                refusals[:] = [said]
            taken.append(time.perf_counter() - started)


def _answer(link: socket.socket) -> tuple[str, str]:
    """Read one answer and return its status and its body."""
    got = b""
    while b"\r\n\r\n" not in got:
        got += link.recv(65536)
    head, _, body = got.partition(b"\r\n\r\n")
    length = next(
        int(line.split(b":")[1])
        for line in head.split(b"\r\n")
        if line.lower().startswith(b"content-length")
    )
    while len(body) < length:
        body += link.recv(65536)
    return head.split(b" ", 2)[1].decode(), body.decode()


if __name__ == "__main__":
    main()
