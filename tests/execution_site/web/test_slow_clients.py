"""Clients that are slow: each ends by itself, and nobody else notices."""

import asyncio
import contextlib

import pytest
import uvicorn

from execution_site.web import slow_clients
from execution_site.web.slow_clients import BoundedProtocol

MANY = 100
SECONDS = 0.3  # for a request, here
FINE = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nok"
LARGE = 8 * 1024 * 1024


async def application(scope, receive, send):
    while (await receive()).get("more_body"):
        pass
    body = b"x" * (LARGE if scope["path"] == "/large" else 2)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


async def serving(use):
    """Run `use(open)` beside a server; `open` connects to it."""
    config = uvicorn.Config(
        application, port=0, http=BoundedProtocol, lifespan="off", log_config=None
    )
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 uvicorn has no event for it
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        return await use(lambda: asyncio.open_connection("127.0.0.1", port))
    finally:
        server.should_exit = server.force_exit = True
        await task


@pytest.fixture(autouse=True)
def short(monkeypatch):
    monkeypatch.setattr(slow_clients, "REQUEST_SECONDS", SECONDS)
    monkeypatch.setattr(slow_clients, "ANSWER_SECONDS", SECONDS)


@pytest.mark.parametrize(
    ("_case", "first", "drip"),
    [
        ("says nothing", b"", b""),
        ("half a line", b"GET / HT", b""),
        ("a header now and then", b"GET / HTTP/1.1\r\n", b"X: y\r\n"),
        ("empty lines", b"", b"\r\n"),
        ("half a body", FINE[:-1], b""),
        ("a body, drop by drop", FINE[:-2].replace(b": 2", b": 9999"), b"x"),
        ("after one that was whole", FINE + b"GET / HT", b""),
        ("empty lines after one that was whole", FINE, b"\r\n"),
    ],
)
def test_a_request_that_does_not_become_whole_ends(_case, first, drip):
    async def drips(open):
        reader, writer = await open()
        loop = asyncio.get_running_loop()
        began, got = loop.time(), b""
        writer.write(first)
        while loop.time() - began < 20 * SECONDS:
            try:
                part = await asyncio.wait_for(reader.read(65536), SECONDS / 10)
            except TimeoutError:
                if drip:
                    writer.write(drip)
                continue
            if not part:
                break
            got += part
        writer.close()
        return loop.time() - began, got

    seconds, got = asyncio.run(serving(drips))

    assert seconds < 10 * SECONDS
    assert b"408 request_timeout" in got
    assert b"application/problem+json" in got


def test_many_of_them_hold_up_nobody(monkeypatch):
    monkeypatch.setattr(slow_clients, "REQUEST_SECONDS", 3.0)

    async def among_many(open):
        slow = [await open() for _ in range(MANY)]
        for _, writer in slow:
            writer.write(b"GET / HTTP/1.1\r\n")
        answers = []
        for _ in range(20):
            reader, writer = await open()
            writer.write(FINE)
            answers.append(await asyncio.wait_for(reader.read(15), 2.0))
            writer.close()
        assert len(BoundedProtocol.connections_of) == 1
        ended = [asyncio.wait_for(reader.read(), 10.0) for reader, _ in slow]
        return answers, await asyncio.gather(*ended)

    answers, ended = asyncio.run(serving(among_many))

    assert answers == [b"HTTP/1.1 200 OK"] * 20
    assert all(b"408" in text for text in ended)


def test_an_answer_that_nobody_reads_is_given_up():
    async def reads_nothing(open):
        reader, writer = await open()
        writer.write(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
        await asyncio.sleep(4 * SECONDS)
        try:
            return len(await asyncio.wait_for(reader.read(), 5.0))
        except ConnectionError:
            return 0

    assert asyncio.run(serving(reads_nothing)) < LARGE


def test_an_address_holds_so_many_connections_and_no_more(settings):
    settings.CONNECTIONS_PER_ADDRESS = 3

    async def four(open):
        held = [await open() for _ in range(3)]
        await asyncio.sleep(0.05)
        reader, _ = await open()
        refusal = await asyncio.wait_for(reader.read(), 2.0)
        for _, writer in held:
            writer.close()
        await asyncio.sleep(0.05)
        reader, writer = await open()
        writer.write(FINE)
        return refusal, await asyncio.wait_for(reader.read(15), 2.0)

    refusal, answer = asyncio.run(serving(four))

    assert refusal.startswith(b"HTTP/1.1 429")
    assert answer == b"HTTP/1.1 200 OK"
    assert not BoundedProtocol.connections_of


@pytest.mark.parametrize(
    ("_case", "sent", "answered"),
    [
        (
            "one that is large enough",
            b"GET / HTTP/1.1\r\nX: " + b"x" * 60_000 + b"\r\n\r\n",
            b"200",
        ),
        ("a header", b"GET / HTTP/1.1\r\nX: " + b"x" * 70_000 + b"\r\n\r\n", b"431"),
        ("a header that does not end", b"GET / HTTP/1.1\r\nX: " + b"x" * 900_000, b"431"),
        ("an address", b"GET /" + b"x" * 900_000, b"431"),
        ("many headers", b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 300 + b"\r\n", b"431"),
        ("a second one", FINE + b"GET / HTTP/1.1\r\nX: " + b"x" * 900_000, b"431"),
        ("too many that wait", FINE * 5_000, b"429 too_many_requests"),
    ],
)
def test_a_head_is_bounded_and_what_waits_behind_it(_case, sent, answered):
    async def send(open):
        reader, writer = await open()
        writer.write(sent)
        got = b""
        with contextlib.suppress(ConnectionResetError):
            while answered not in got and (part := await asyncio.wait_for(reader.read(65536), 5)):
                got += part
        writer.close()
        return got

    assert answered in asyncio.run(serving(send))


def test_as_many_as_may_wait_on_a_connection_are_all_answered():
    """One is being answered, the others wait for it."""

    async def send(open):
        reader, writer = await open()
        writer.write(FINE * (1 + slow_clients.MOST_PIPELINED))
        got = b""
        while got.count(b"200 OK") <= slow_clients.MOST_PIPELINED:
            got += await asyncio.wait_for(reader.read(65536), 5)
        writer.close()
        return got

    assert b"429" not in asyncio.run(serving(send))
