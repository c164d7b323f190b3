"""What admits a socket is what keeps it: whatever takes that away ends it."""

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from functools import partial

import httpx
import pytest
from django.contrib.auth.models import Permission, User
from django.contrib.sessions.models import Session
from django.test import Client
from django.utils import timezone
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from brokers.models import BrokerConnection
from execution_site.processes.embedded.runtime import free_port
from execution_site.processes.roles import MANAGE
from execution_site.web.admissions import Admissions, Admitted, Identity, principal_of
from orders.models import ApiClient, ApiKey
from orders.models.client import issue_key

WITHIN = 1.0  # seconds
ADDRESS = "192.0.2.7"


@pytest.fixture
def identities(account, trader):
    """A trader's key and a staff member's session, with somebody else's of each."""
    found = {}
    for name in ("trader", "other"):
        client, _ = ApiClient.objects.get_or_create(name=name)
        client.accounts.add(account)
        found[f"{name}'s key"] = Identity(
            "Api-Key " + issue_key(client, scopes=["read", "trade"])[1], "", ADDRESS
        )
    for name in ("rita", "otto"):
        user = User.objects.create_user(name, password=f"{name}-password", is_staff=True)
        user.user_permissions.add(Permission.objects.get(codename="add_signal"))
        browser = Client()
        browser.force_login(user)
        found[name] = Identity("", browser.session.session_key, ADDRESS)
        principal_of(found[name]).client.accounts.add(account)
    return found


def rita():
    return User.objects.filter(username="rita")


def keys():
    return ApiKey.objects.filter(client__name="trader")


def clients(name="trader"):
    return ApiClient.objects.filter(name=name)


def of_rita():
    return ApiClient.objects.get(user=rita().get())


CAUSES = {
    "the key is revoked": ("trader's key", lambda _: keys().update(revoked_at=timezone.now())),
    "the key expires": (
        "trader's key",
        lambda _: keys().update(expires_at=timezone.now() + timedelta(seconds=0.1)),
    ),
    "the key is deleted": ("trader's key", lambda _: keys().delete()),
    "the key loses a scope": ("trader's key", lambda _: keys().update(scopes=["read"])),
    "its address is not the key's": (
        "trader's key",
        lambda _: keys().update(networks=["198.51.100.0/24"]),
    ),
    "the client is disabled": ("trader's key", lambda _: clients().update(is_active=False)),
    "the client loses an account": ("trader's key", lambda _: clients().get().accounts.clear()),
    "the session ends": (
        "rita",
        lambda found: Session.objects.filter(pk=found["rita"].session_key).delete(),
    ),
    "the user is deactivated": ("rita", lambda _: rita().update(is_active=False)),
    "the user is no staff": ("rita", lambda _: rita().update(is_staff=False)),
    "the password is changed": ("rita", lambda _: rita().update(password="!")),
    "a permission is taken away": ("rita", lambda _: rita().get().user_permissions.clear()),
    "an account is taken away": ("rita", lambda _: of_rita().accounts.clear()),
    "another account is given": (
        "rita",
        lambda _: of_rita().accounts.add(
            BrokerConnection.objects.create(name="second", broker="paper", environment="paper")
        ),
    ),
}


@pytest.mark.parametrize("name", CAUSES)
def test_whoever_may_no_longer_listen_is_ended_at_the_next_look_and_nobody_else(identities, name):
    whose, happens = CAUSES[name]

    async def watch():
        admissions, ended = Admissions(), []
        for who, identity in identities.items():
            principal = await asyncio.to_thread(principal_of, identity)
            for number in range(2):
                note = partial(ended.append, (who, number))
                assert admissions.admit(Admitted(identity, principal, on_end=note))
        await admissions.look()
        assert not ended
        await asyncio.to_thread(happens, identities)
        if "expires" in name:
            await asyncio.sleep(0.2)
        await admissions.look()
        await admissions.look()
        return sorted(ended)

    ended = asyncio.run(watch())

    assert ended == [(whose, 0), (whose, 1)]


def test_a_client_and_an_address_have_so_many_sockets(identities, settings):
    settings.SOCKETS_PER_CLIENT, settings.SOCKETS_PER_ADDRESS = 2, 3
    admissions = Admissions()

    def socket(who, address=ADDRESS):
        identity = identities[who]._replace(address=address)
        return Admitted(identity, principal_of(identities[who]), on_end=lambda: None)

    first = socket("rita")
    admitted = [
        admissions.admit(one)
        for one in (first, socket("rita"), socket("rita"), socket("otto"), socket("otto"))
    ]
    assert admitted == [True, True, False, True, False]
    assert admissions.admit(socket("otto", "192.0.2.8"))

    admissions.leave(first)
    admissions.leave(first)
    assert admissions.admit(socket("rita"))
    settings.SOCKETS_PER_CLIENT = settings.SOCKETS_PER_ADDRESS = 0  # no cap
    assert all(admissions.admit(socket("rita")) for _ in range(10))


# --- On a web process --------------------------------------------------------------------------


@contextmanager
def web(**environment):
    """Run a web process on this test's database."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, str(MANAGE), "run_web"],
        env={**os.environ, "PORT": str(port), **environment},
    )
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                httpx.get(f"http://127.0.0.1:{port}/healthz", timeout=5)
                break
            except httpx.TransportError:
                assert time.monotonic() < deadline
                time.sleep(0.1)
        yield port
    finally:
        process.terminate()
        process.wait(30)


def close_code(socket, *, seconds=10):
    """Return the code that a socket is closed with."""
    deadline = time.monotonic() + seconds
    try:
        while time.monotonic() < deadline:
            socket.recv(timeout=seconds)
    except ConnectionClosed as closed:
        return closed.rcvd.code
    return None


HANDSHAKE = (
    b"GET /ws/stream HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)
#: What costs us work and reaches no application: empty frames, masked, of each kind.
FLOODS = {
    "pings": b"\x89\x80\0\0\0\0" * 5_000,
    "pongs": b"\x8a\x80\0\0\0\0" * 5_000,
    "parts of one message": b"\x01\x80\0\0\0\0" + b"\0\x80\0\0\0\0" * 5_000,
    "more bytes than there is to say": b"\x89\xfd\0\0\0\0" + b"\0" * 125 + b"\0" * 40_000,
}


def flooded(port, secret, frames):
    """Return the code that a socket is closed with that sends all of this at once."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as plain:
        plain.sendall(HANDSHAKE + f"Authorization: Api-Key {secret}\r\n\r\n".encode())
        plain.recv(65536)
        plain.sendall(frames)
        got = b""
        while part := plain.recv(65536):
            got += part
        return int.from_bytes(got[-2:])


def handshake(port, header):
    """Return how a handshake with a header, as bytes, is answered."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as plain:
        plain.sendall(HANDSHAKE + header + b"\r\n\r\n")
        return plain.recv(65536).split(b"\r\n")[0].decode()


def test_sockets_of_a_web_process_are_bounded_and_end_with_their_key(trader, valkey):
    key, secret = issue_key(trader, scopes=["read"])
    with ExitStack() as stack:
        port = stack.enter_context(web(SOCKETS_PER_CLIENT="3"))
        address = f"ws://127.0.0.1:{port}/ws/stream"
        headers = {"Authorization": f"Api-Key {secret}"}

        for name in (b"Authorization", b"Cookie", b"Origin", b"X-Anything"):
            assert " 403 " in handshake(port, name + b": Api-Key \xff\xfe")

        def open_socket():
            return stack.enter_context(connect(address, additional_headers=headers))

        sockets = [open_socket() for _ in range(3)]
        assert all(json.loads(s.recv(timeout=10))["type"] == "snapshot" for s in sockets)
        assert close_code(open_socket()) == 4429

        for _ in range(50):
            sockets[0].send("x")
        assert close_code(sockets[0]) == 4429
        sockets[1].send("x" * 5_000)
        assert close_code(sockets[1]) == 1009
        for frames in FLOODS.values():
            assert flooded(port, secret, frames) == 4429
        assert httpx.get(f"http://127.0.0.1:{port}/healthz", timeout=5).status_code == 200

        key.revoked_at = timezone.now()
        key.save()
        revoked = time.monotonic()
        assert close_code(sockets[2]) == 4403
        assert time.monotonic() - revoked < WITHIN
        with pytest.raises(InvalidStatus):
            open_socket()
