"""Whatever an address holds, in each path and query value of each endpoint: no fault of ours."""

import asyncio
from urllib.parse import unquote

import pytest
from django.core.wsgi import get_wsgi_application
from django.test import Client
from django.urls import URLResolver, get_resolver

from execution_site.rest.http import CONTENT_TYPE
from execution_site.web import consumers
from execution_site.web.hub import Hub
from execution_site.web.threads import Threads
from execution_site.web.waiting import HttpFront, Pools
from orders.models.client import issue_key
from tests.execution_site.rest.hostile import UNSTORABLE, VALUES
from tests.orders.groups import option_market

SHARES = 6
SCOPES = ["read", "trade", "control", "approve"]
SEARCHES = ("q", "p", "pk__exact", "_changelist_filters")


class Front:
    """The HTTP side of a web process, asked as uvicorn asks it."""

    def __init__(self, *headers):
        wsgi = get_wsgi_application()
        self.front = HttpFront(Pools(*[Threads(wsgi, 1)] * 5), Hub(), execution=lambda _: None)
        self.headers = [(b"host", b"localhost"), *headers]

    def ask(self, requests):
        """Return (request, status, content type) of each (method, target)."""

        async def ask_all():
            return [(request, *await self._ask(*request)) for request in requests]

        return asyncio.run(ask_all())

    async def _ask(self, method, target):
        raw, _, query = target.partition("?")
        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": unquote(raw),
            "raw_path": raw.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": list(self.headers),
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 8000),
        }
        sent = []

        async def receive():
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message):
            sent.append(message)

        await self.front(scope, receive, send)
        return sent[0]["status"], dict(sent[0]["headers"]).get(b"content-type", b"").decode()


def routes(resolver, before="/"):
    """Yield each address below a resolver, with its pattern."""
    for pattern in resolver.url_patterns:
        address = before + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from routes(pattern, address)
        else:
            yield address, pattern


ROUTES = [(a, p) for a, p in routes(get_resolver()) if "(?P" not in a]
API = [(a, p) for a, p in ROUTES if not a.startswith("/admin/")]
ADMIN = [a for a, _ in ROUTES if a.startswith("/admin/")]


def filled(address, value):
    """Return an address with one value in place of each of its own."""
    parts = address.split("<")
    return parts[0] + "".join(value + part.partition(">")[2] for part in parts[1:])


def methods(pattern):
    view = getattr(pattern.callback, "cls", None)
    return [m for m in ("GET", "POST", "PUT") if view is None or hasattr(view, m.lower())]


def api_requests(value):
    """Return each endpoint with a value in its path, in each of its queries, and in another."""
    for address, pattern in API:
        for method in methods(pattern):
            if "<" in address:
                yield method, filled(address, value)
            names = getattr(getattr(pattern.callback, "cls", None), "query", {})
            if method == "GET":
                yield from ((method, f"{filled(address, '1')}?{name}={value}") for name in names)


def admin_requests(value):
    for address in ADMIN:
        if address.endswith("/change/"):
            yield "GET", filled(address, value)
        elif address.count("/") == 4:
            yield from (("GET", f"{address}?{name}={value}") for name in SEARCHES)


def faults(answers):
    return [f"{m} {t[:80]}: {status}" for (m, t), status, _ in answers if status >= 500]


@pytest.fixture
def key(account, trader, quote, valkey):
    option_market.make()
    quote("AAPL", bid=99, ask=101)
    return "Api-Key " + issue_key(trader, scopes=SCOPES)[1]


@pytest.mark.parametrize("share", range(SHARES))
def test_no_value_in_an_address_of_the_api_is_a_fault(key, share):
    front = Front((b"authorization", key.encode()))

    answers = front.ask(
        request for value in list(VALUES.values())[share::SHARES] for request in api_requests(value)
    )

    assert len(answers) > 60 * len(VALUES) / SHARES
    assert faults(answers) == []
    api = [(r, status, kind) for r, status, kind in answers if r[1].startswith("/api/")]
    assert [a for a in api if a[1] >= 400 and a[2] != CONTENT_TYPE] == []


def test_no_value_in_an_address_of_the_admin_is_a_fault(risk_manager, account):
    browser = Client()
    browser.force_login(risk_manager)
    cookies = "; ".join(f"{name}={morsel.value}" for name, morsel in browser.cookies.items())
    front = Front((b"cookie", cookies.encode()))

    values = (VALUES[name] for name in UNSTORABLE)
    answers = front.ask(request for value in values for request in admin_requests(value))

    assert faults(answers) == []


def test_no_number_of_parameters_is_a_fault(risk_manager, key):
    """Of the API, the pages and the console: what is too much is said."""
    many = "&".join(f"a{n}=1" for n in range(1_200))
    asked = [("GET", f"{filled(address, '1')}?{many}") for address, _ in ROUTES]

    answers = Front((b"authorization", key.encode())).ask(asked)

    assert len(answers) > 100
    assert {status for _, status, _ in answers} == {400}


def test_what_hashes_passwords_has_a_thread_of_its_own():
    """Each page of ours with a password in it, and nothing else."""
    pools = Pools(*["urgent", "writes", "reads", "greedy", "passwords"])
    chosen = {
        address
        for address, _ in ROUTES
        if pools.of({"method": "POST", "path": filled(address, "1"), "query_string": b""})
        == "passwords"
    }

    assert chosen == {
        "/login/",
        "/confirm/",
        "/admin/login/",
        "/admin/password_change/",
        "/admin/auth/user/add/",
        "/admin/auth/user/<id>/password/",
    }


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_a_socket_resumes_after_the_seq_of_a_frame_and_nothing_else(value):
    resumes = value.isascii() and value.isdecimal() and len(value) <= 18

    assert _after(f"after={value}") == (int(value) if resumes else "refused")
    assert _after(f"after=1&{value}=1") == "refused"


def _after(query):
    """Return the seq that a socket resumes after; refused, it is closed with 4400."""
    try:
        return consumers._after({"query_string": query.encode()})
    except ValueError:
        return "refused"


@pytest.mark.parametrize(
    "origin", [b"http://[::1", b"http://[v1.x]", b"http://a:99999", b"\xff", b""]
)
def test_an_origin_that_is_no_address_is_not_ours(origin):
    assert not consumers._our_origin({b"origin": origin, b"host": b"localhost"})
