"""G5 and G6: durable intake and booking against one stored function each, 16 clients and one."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks import servers, stored
from benchmarks.measure import Row, alternate

SECONDS = 3
PROCESSES = 2
THREADS = 8
INTAKE = r"""
\set key random(1, 1000000000000000)
SELECT intake_fn(:client_id, 'k' || :key, '{"symbol": "EURUSD", "quantity": "1000"}');
"""
FILL = r"""
\set wanted random(1, 20000)
\set trade random(1, 1000000000000000)
SELECT fill_fn(:wanted, 't' || :trade, :client_id);
"""


def intake(directory: Path) -> list[Row]:
    """Measure G5."""
    servers.show("G5 durable intake")

    def floor() -> float:
        return servers.pgbench(directory, INTAKE, clients=16, seconds=SECONDS)[0]

    def ours(accounts: Sequence[str]) -> float:
        stored.nothing_waits()  # there is no worker here to send what the run before has queued
        return _run("intake", accounts, processes=PROCESSES, threads=THREADS)[0]

    rows = []
    for what, accounts, limits in (
        ("durable intake, 16 clients on 16 accounts", servers.ACCOUNTS, CPU),
        ("durable intake, 16 clients on one account", servers.ACCOUNTS[:1], ONE),
    ):
        measured = alternate(lambda a=accounts: ours(a), floor)  # type: ignore[misc]
        rows.append(
            Row("G5", what, "/s", "`intake_fn`, 16", 0.4, 0.75, False, *measured, limits=limits)
        )
    stored.nothing_waits()
    measured = alternate(
        lambda: _run("intake", servers.ACCOUNTS[:1], processes=1, threads=1)[1],
        lambda: servers.pgbench(directory, INTAKE, clients=1, seconds=SECONDS)[1],
    )
    what = "durable intake, one client, p50"
    rows.append(Row("G5", what, "ms", "`intake_fn`, 1, p50", 3, 2, True, *measured, limits=CPU))
    return rows


def booking(directory: Path) -> list[Row]:
    """Measure G6."""
    servers.show("G6 durable booking")
    stored.floor_orders(20_000)

    def ours() -> float:
        stored.accepted_orders(servers.ACCOUNTS, each=500 * SECONDS)
        return _run("fills", servers.ACCOUNTS, processes=PROCESSES, threads=THREADS)[0]

    def floor() -> float:
        return servers.pgbench(directory, FILL, clients=16, seconds=SECONDS)[0]

    measured = alternate(ours, floor)
    what = "durable booking of a fill, 16 clients"
    return [Row("G6", what, "/s", "`fill_fn`, 16", 0.4, 0.75, False, *measured, limits=CPU)]


CPU = (
    "both cores are busy with Python: judging, the JSON of events and answers, and their proofs;"
    " the floor writes three rows and computes nothing"
)
ONE = "as above, and two intakes of one account in one instrument are judged one after the other"


def _run(
    step: str, accounts: Sequence[str], *, processes: int, threads: int
) -> tuple[float, float]:
    """Run processes of clients side by side; return how many a second, and p50 in ms."""
    servers.quote()
    shares = [accounts[n::processes] or accounts for n in range(processes)]
    running = [
        subprocess.Popen(
            [
                *(sys.executable, "-m", "benchmarks.load", step),
                *("--threads", str(threads), "--seconds", str(SECONDS)),
                *("--accounts", ",".join(share)),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for share in shares
    ]
    for process in running:
        if process.stdout is None or process.stdout.readline() != "ready\n":
            raise RuntimeError("a process of clients did not start")
    servers.quote()
    for process in running:
        if process.stdin is not None:
            process.stdin.write("go\n")
            process.stdin.flush()
    said = [json.loads(process.communicate()[0]) for process in running]
    return sum(s["count"] for s in said) / SECONDS, max(s["p50_ms"] for s in said)
