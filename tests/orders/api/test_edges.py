"""The edges of the API: whatever is asked for, what comes back is an answer or a named refusal."""

import json
import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
import websockets.sync.client
from django.test import Client
from django.urls import get_resolver
from django.utils import timezone
from websockets.exceptions import ConnectionClosed, InvalidStatus

from brokers import clocks, quotes
from brokers.contract import QuoteUpdate
from brokers.models import Bar, BrokerConnection, Instrument
from execution_site.rest.listing import ApiView
from orders.models.client import issue_key
from orders.reports import selectors
from orders.sending import submission
from portfolio import history
from risk.models import Breaker, RiskLimit
from tests.orders.api.signals import FINE, URL
from tests.orders.groups import option_market
from tests.orders.groups.option_market import symbol as option

JSON = {"content_type": "application/json"}


@pytest.fixture
def api(trader, quote, valkey):
    """A client with every scope that a read of the API needs."""
    quote("AAPL", bid=99, ask=101)
    key = "Api-Key " + issue_key(trader, scopes=["read", "trade", "approve"])[1]
    return Client(headers={"authorization": key}, raise_request_exception=False)


@pytest.fixture
def pair(account):
    """A symbol with a slash, quoted, with a bar."""
    instrument = Instrument.objects.create(
        symbol="BTC/USDT", kind="CRYPTO", currency="USDT", tick_size="0.01", lot_size="0.0001"
    )
    at = datetime.now(UTC).replace(second=0, microsecond=0)
    quotes.store(
        [QuoteUpdate(symbol="BTC/USDT", as_of=at, bid=Decimal(9), ask=Decimal(11))], now=at
    )
    Bar.objects.create(
        instrument=instrument, at=at, **dict.fromkeys(("open", "high", "low", "close"), 10)
    )
    return instrument


def traded(api, **changes):
    """Send a signal and transmit its order."""
    answer = api.post(URL, FINE | changes, **JSON)
    assert answer.status_code == 202, answer.content
    order = answer.json()["order"]["id"]
    submission.transmit(order, now=timezone.now())
    return order


def refused(answer, status=400):
    """Return the errors of a problem, having looked at its form."""
    assert answer.status_code == status, answer.content
    assert answer["Content-Type"] == "application/problem+json"
    problem = answer.json()
    assert set(problem) >= {"type", "title", "status", "detail", "code", "errors"}
    assert re.match(r"[A-Za-z_]", problem["detail"]), "a sentence, not a list or a dict in print"
    return problem["errors"]


# --- Addresses --------------------------------------------------------------------------------


@pytest.mark.parametrize("debug", [True, False])
@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/", 404),
        ("/api/v1/nothing", 404),
        ("/api/v1/orders/", 404),
        ("/api/v1/orders/abc", 404),
        ("/api/v1/orders/-1", 404),
        ("/api/v1/orders/99999999999999999999999999", 404),
        (f"/api/v1/orders/{'9' * 5000}", 404),
        ("/api/v1/instruments/%00", 404),
        ("/api/v1/quotes/A%00PL", 404),
        ("/api/v1/bars/%FF%FE", 404),
        ("/api/v1/option-chain/%0A", 404),
        ("/api/v1/orders?format=html", 400),
    ],
)
def test_no_address_under_api_leads_to_a_page(api, settings, debug, path, status):
    settings.DEBUG = debug

    refused(api.get(path), status)


@pytest.mark.parametrize("debug", [True, False])
def test_what_django_itself_refuses_is_no_page_either(api, settings, debug):
    settings.DEBUG = debug

    refused(api.get("/api/v1/orders", headers={"host": "elsewhere.example"}), 400)
    refused(api.put("/api/v1/orders"), 405)
    refused(api.post("/api/v1/health"), 405)
    refused(api.post("/api/v1/orders/nothing"), 404)


def test_a_symbol_with_a_slash_is_a_symbol_like_any_other(api, pair):
    for name in ("BTC/USDT", "BTC%2FUSDT"):
        assert api.get(f"/api/v1/instruments/{name}").json()["symbol"] == "BTC/USDT"
        assert api.get(f"/api/v1/quotes/{name}").json()["mark"] == "10"
        assert api.get(f"/api/v1/bars/{name}").json()["close"] == ["10"]
    Instrument.objects.create(
        symbol="BTC/USDT-1",
        kind="OPTION",
        underlying="BTC/USDT",
        currency="USDT",
        strike=10,
        right="CE",
        expiry_date=date(2030, 1, 4),
        tick_size=1,
        lot_size=1,
    )
    for name in ("BTC/USDT", "BTC%2FUSDT"):
        chain = api.get(f"/api/v1/option-chain/{name}").json()
        assert chain["strikes"][0]["call"]["symbol"] == "BTC/USDT-1"


def test_slashes_reach_the_running_site_too(site, trade_key):
    with site.client(trade_key) as client:
        for name in ("NO/SUCH", "NO%2FSUCH"):
            answer = client.get(f"/api/v1/quotes/{name}")
            assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize("path", ["/ws/nothing", "/ws/stream/", "/", "/api/v1/orders", "/ws/%00"])
def test_an_unknown_socket_is_404(site, trade_key, path):
    with pytest.raises(InvalidStatus) as refusal:
        websockets.sync.client.connect(
            site.url.replace("http", "ws") + path,
            additional_headers={"Authorization": f"Api-Key {trade_key}"},
        )

    response = refusal.value.response
    assert response.status_code == 404
    assert json.loads(response.body)["code"] == "not_found"


@pytest.mark.parametrize(
    "query",
    [
        "after=",
        "after=x",
        "after=-1",
        f"after={'9' * 30}",
        "after=1&after=2",
        "colour=1",
        "after=%FF",
        "%FF",
    ],
)
def test_a_socket_that_asks_for_nonsense_is_closed_with_4400(site, trade_key, query):
    with (
        websockets.sync.client.connect(
            f"{site.url.replace('http', 'ws')}/ws/stream?{query}",
            additional_headers={"Authorization": f"Api-Key {trade_key}"},
        ) as socket,
        pytest.raises(ConnectionClosed) as closed,
    ):
        socket.recv(timeout=10)

    assert closed.value.rcvd.code == 4400


# --- Parameters -------------------------------------------------------------------------------


def reads():
    """Return every read of the API: its path with names filled in, and its view."""
    names = {"<int:pk>": "1", "<symbol:symbol>": "AAPL", "<symbol:underlying>": "IDX"}
    for pattern in get_resolver().url_patterns:
        if str(pattern.pattern) != "api/v1/":
            continue
        for part in pattern.url_patterns:
            view = getattr(part.callback, "view_class", None)
            if view is not None and hasattr(view, "get"):
                path = str(part.pattern)
                for name, value in names.items():
                    path = path.replace(name, value)
                yield path, view


READS = [(path, view) for path, view in reads() if issubclass(view, ApiView)]


def test_every_view_but_the_documentation_declares_its_parameters():
    others = {path for path, view in reads() if not issubclass(view, ApiView)}

    assert others == {"openapi.json", "docs", "docs/"}
    assert len(READS) > 20


@pytest.mark.parametrize(("path", "view"), READS, ids=[path for path, _ in READS])
def test_every_read_refuses_what_it_does_not_know(api, path, view):
    unknown = refused(api.get(f"/api/v1/{path}?colour=red"))
    assert unknown == [
        {"field": "colour", "code": "unknown_parameter", "detail": "no such parameter"}
    ]

    for name in view.query:
        assert refused(api.get(f"/api/v1/{path}?{name}=%00"))[0]["field"] == name
        assert refused(api.get(f"/api/v1/{path}?{name}="))[0]["field"] == name
        twice = refused(api.get(f"/api/v1/{path}?{name}=1&{name}=1"))
        assert twice[0]["code"] == "repeated"


def test_no_write_takes_parameters(api):
    for path in ("signals", "groups", "orders/cancel-all", "orders/1/cancel"):
        errors = refused(api.post(f"/api/v1/{path}?account=paper", {}, **JSON))
        assert [error["field"] for error in errors] == ["account"]


@pytest.mark.parametrize(
    ("path", "query", "code", "said"),
    [
        ("orders", "status=NOPE", "invalid", "FILLED"),
        ("orders", "status=filled", "invalid", "FILLED"),
        ("executions", "status=NOPE", "invalid", "FILLED"),
        ("signals", "status=NOPE", "invalid", "EXECUTED"),
        ("groups", "status=NOPE", "invalid", "UNWINDING"),
        ("groups", "type=NOPE", "invalid", "IRON_CONDOR"),
        ("instruments", "kind=NOPE", "invalid", "OPTION"),
        ("limits", "metric=NOPE", "invalid", "max_order_quantity"),
        *[
            (path, "account=theirs", "unknown_account", "no such account")
            for path, view in READS
            if "account" in view.query
        ],
        *[
            ("orders", f"{name}={value}", "invalid", "ISO 8601")
            for name in ("since", "until")
            for value in (
                "yesterday",
                "2026-01-01",
                "2026-01-01T00:00:00",
                "2026-13-01T00:00:00Z",
                "0001-01-01T00:00:00%2B23:59",
                "9999-12-31T23:59:59-23:59",
            )
        ],
        *[
            ("orders", f"limit={value}", "invalid", "from 1 to 1000")
            for value in ("0", "-1", "1001", "ten", "1.5", "1e2", "%D9%A1", "9" * 5000)
        ],
        *[
            ("orders", f"cursor={value}", "invalid", "cursor")
            for value in (
                "x",
                "%FF",
                "cD1hYmM=",
                "cD05OTk5OTk5OTk5OTk5OTk5OTk5OTk5",
                "bz0tMQ==",
                "cT0x",
            )
        ],
        *[
            ("fills", f"order={value}", "invalid", "whole")
            for value in ("0", "x", "%C2%B2", "9" * 19)
        ],
        ("pnl", "day=2026-02-30", "invalid", "a date"),
        ("bars/AAPL", "day=tomorrow", "invalid", "a date"),
        ("option-chain/IDX", "expiry=soon", "invalid", "a date"),
    ],
)
def test_what_a_parameter_cannot_be_is_refused_with_what_it_may_be(api, path, query, code, said):
    (error,) = refused(api.get(f"/api/v1/{path}?{query}"))

    assert (error["field"], error["code"]) == (query.split("=")[0], code)
    assert said in error["detail"]


def test_a_filter_by_status_finds_what_is_shown_with_it(api):
    traded(api)
    traded(api, signal_id="rest", order_type="LIMIT", limit_price="90")
    api.post(URL, FINE | {"signal_id": "odd", "quantity": "0.5"}, **JSON)

    for path in ("signals", "orders"):
        shown = api.get(f"/api/v1/{path}").json()["results"]
        for status in {row["status"] for row in shown}:
            found = api.get(f"/api/v1/{path}?status={status}").json()["results"]
            assert found == [row for row in shown if row["status"] == status]
    assert {"EXECUTED", "APPROVED", "REFUSED"} <= {
        row["status"] for row in api.get("/api/v1/signals").json()["results"]
    }


def test_pnl_honours_what_narrows_it(api, account, quote):
    quote("EURUSD", bid="1.10000", ask="1.10001")
    traded(api)
    traded(api, signal_id="two", strategy="beta")
    traded(api, signal_id="three", strategy="beta", symbol="EURUSD", quantity="1000")

    def commission(query=""):
        told = api.get(f"/api/v1/pnl?{query}").json()
        return Decimal(told["total"][0]["commission"]) if told["total"] else 0

    rows = {
        row["strategy"]: Decimal(row["commission"])
        for row in api.get("/api/v1/pnl").json()["by_strategy"]
    }
    assert commission("strategy=alpha") == rows["alpha"] > 0
    assert commission("strategy=beta") == rows["beta"] > rows["alpha"]
    assert commission("strategy=beta&symbol=AAPL") == rows["alpha"]
    assert commission("account=paper") == commission() == rows["alpha"] + rows["beta"]
    assert commission("strategy=none") == 0


def test_a_replayed_account_is_in_no_sum_with_others(api, account, trader, quote):
    other = BrokerConnection.objects.create(name="replay-1", broker="paper", environment="paper")
    trader.accounts.add(other)
    traded(api)
    traded(api, signal_id="replayed", account="replay-1", quantity="1000")
    before = api.get("/api/v1/pnl").json()
    assert Decimal(before["total"][0]["commission"]) > 10

    clocks.set_clock(other, timezone.now())

    told = api.get("/api/v1/pnl").json()
    for group in ("total", "by_strategy", "by_symbol"):
        assert [row["commission"] for row in told[group]] == ["0.101"], group
    assert told["by_account"] == before["by_account"]
    asked = api.get("/api/v1/pnl?account=replay-1").json()
    assert asked["total"][0]["commission"] == told["by_account"][1]["commission"]
    state = selectors.snapshot(["paper", "replay-1"])
    assert (state["pnl"]["total"], state["replayed"]) == (told["total"], ["replay-1"])


def test_pnl_of_a_day_is_what_that_day_made(api, account):
    for day in (19, 20):
        traded(api, signal_id=f"of {day}")
        at = datetime(2026, 11, day, 12, tzinfo=UTC)
        history.sample(connection_id=account.pk, now=at, trading_date=at.date())
    whole = api.get("/api/v1/pnl").json()

    told = api.get("/api/v1/pnl?day=2026-11-20").json()

    assert told["by_day"] == [row for row in whole["by_day"] if row["day"] == "2026-11-20"]
    assert told["total"][0]["commission"] == "0.101"
    assert whole["total"][0]["commission"] == "0.202"
    assert told["by_account"][0]["account"] == "paper"
    assert told["by_strategy"] is None
    assert refused(api.get("/api/v1/pnl?day=2026-11-20&strategy=alpha"))[0]["field"] == "strategy"
    assert api.get("/api/v1/pnl?day=2020-01-01").json()["total"] == []


# --- Answers ----------------------------------------------------------------------------------

#: What may be a JSON number: counts and ids, seconds, and what is measured rather than paid.
NUMBERS = re.compile(
    r"id|order_id|orders?|kill_switch|signal|group|positions?|leg|attempt|version|number|epoch|status|retry_count|restarts"
    r"|last_exit|age|in_doubt|\w*_seconds|delta|gamma|vega|theta|rho|volatility"
)
#: What is money, a price or a quantity: text or nothing.
AMOUNTS = re.compile(
    r"\w*(price|pnl|quantity|size|commission|exposure|debit|loss|profit|slippage)|strike|forward|bid"
    r"|ask|last|mark|open|high|low|close|base|multiplier|value|threshold|distance|used|headroom"
)


@pytest.fixture
def busy(api, account, pair, risk_manager):
    """An account with something of everything that can be read."""
    option_market.make()
    RiskLimit.objects.create(
        metric="max_order_quantity", value=Decimal("1000.5"), connection=account
    )
    traded(api)
    traded(api, signal_id="call", symbol=option(100, "CE"))
    traded(api, signal_id="rest", order_type="LIMIT", limit_price="90")
    api.post(URL, FINE | {"signal_id": "odd", "quantity": "0.5"}, **JSON)
    legs = [
        {"symbol": option(100, right), "action": "BUY", "quantity": "10"} for right in ("CE", "PE")
    ]
    group = {"signal_id": "g", "strategy": "alpha", "type": "STRADDLE", "legs": legs}
    answer = api.post("/api/v1/groups", group, **JSON)
    assert answer.status_code == 202, answer.content
    for leg in api.get("/api/v1/groups").json()["results"][0]["legs"]:
        submission.transmit(leg["id"], now=timezone.now())
    now = timezone.now()
    for minutes in (1, 0):
        history.sample(
            connection_id=account.pk, now=now - timedelta(minutes=minutes), trading_date=now.date()
        )
    assert api.post("/api/v1/orders/cancel-all", {"strategy": "alpha"}, **JSON).status_code < 300
    Breaker.objects.create(kind="daily_loss", threshold=100, connection=account)
    return api


def leaves(value, name=""):
    """Yield each value of a JSON document with the name that it stands under."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, key)
    elif isinstance(value, list):
        for inner in value:
            yield from leaves(inner, name)
    else:
        yield name, value


def test_money_prices_and_quantities_are_text_in_every_answer(busy):
    ids = {
        kind: busy.get(f"/api/v1/{kind}").json()["results"][0]["id"]
        for kind in ("signals", "orders", "positions", "groups", "actions")
    }
    ids["executions"] = ids["orders"]
    seen = set()
    paths = {f"{kind}/1": f"{kind}/{row}" for kind, row in ids.items()}
    paths["bars/AAPL"] = "bars/BTC/USDT"
    for path in (paths.get(path, path) for path, _ in READS):
        answer = busy.get(f"/api/v1/{path}")
        assert answer.status_code in {200, 503}, (path, answer.content)
        for name, value in leaves(answer.json()):
            if AMOUNTS.fullmatch(name):
                seen.add(name)
                assert value is None or isinstance(value, str), (path, name, value)
            if isinstance(value, int | float) and not isinstance(value, bool):
                assert NUMBERS.fullmatch(name), (path, name, value)
    assert seen >= {
        "price",
        "forward",
        "strike",
        "bid",
        "average_price",
        "net_debit",
        "close",
        "used",
    }


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("signals", FINE | {"symbol": "NOPE"}),
        ("signals", FINE | {"expires_at": "2001-01-01T00:00:00Z", "time_in_force": "GTD"}),
        ("signals", FINE | {"quantity": "x"}),
        ("signals", [1]),
        (
            "groups",
            {
                "signal_id": "g",
                "strategy": "a",
                "type": "SPREAD",
                "legs": [
                    {"symbol": "NOPE", "action": "BUY", "quantity": "1"},
                    {"symbol": "AAPL", "action": "BUY", "quantity": "1"},
                ],
            },
        ),
        ("orders/cancel-all", {"account": 1}),
    ],
)
def test_the_detail_of_a_problem_is_a_sentence(api, path, body):
    refused(api.post(f"/api/v1/{path}", body, **JSON))
