"""POST /signals from outside: strict bodies, clear errors, nothing half-done."""

import json
import time
from decimal import Decimal

import pytest
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orders.models import ApiKey, Order, Signal
from tests.orders.api.signals import FINE, URL


@pytest.fixture
def post(trader_key, quote, valkey):
    quote("AAPL", bid=99, ask=101)
    client = Client(headers={"authorization": trader_key})

    def send(body, **headers):
        text = body if isinstance(body, (str, bytes)) else json.dumps(body)
        return client.post(URL, text, content_type="application/json", headers=headers)

    return send


def test_an_approved_signal_is_answered_202_with_its_order(post):
    answer = post(FINE)

    assert answer.status_code == 202
    assert answer["Location"] == f"/api/v1/orders/{answer.json()['order']['id']}"
    assert {c["status"] for c in answer.json()["decision"]["checks"]} == {"PASSED"}
    again = post(FINE)
    assert (again.content, again["Idempotent-Replayed"]) == (answer.content, "true")


def test_a_refused_signal_is_answered_422_with_every_check_that_ran(post):
    answer = post(FINE | {"quantity": "0.5"})

    assert answer.status_code == 422
    assert answer["Content-Type"] == "application/problem+json"
    assert answer.json()["code"] == "risk_refused"
    assert answer.json()["signal"]["status"] == "REFUSED"
    assert len(answer.json()["decision"]["checks"]) > 1


def test_the_same_key_with_another_body_is_409(post):
    post(FINE)

    assert post(FINE | {"quantity": "11"}).json()["code"] == "idempotency_conflict"


def test_the_account_may_be_left_out_where_there_is_one(post):
    body = {name: value for name, value in FINE.items() if name != "account"}

    assert post(body).json()["signal"]["account"] == "paper"


@pytest.mark.parametrize(
    ("_case", "change", "field", "code"),
    [
        ("missing", {"signal_id": None}, "signal_id", "null"),
        ("unknown field", {"leverage": 5}, "leverage", "unknown_field"),
        ("unknown symbol", {"symbol": "NOPE"}, "symbol", "unknown_symbol"),
        ("unknown account", {"account": "elsewhere"}, "account", "unknown_account"),
        ("unknown action", {"action": "SHORT"}, "action", "invalid_choice"),
        ("action of another type", {"action": ["BUY"]}, "action", "invalid_choice"),
        ("no number", {"quantity": "ten"}, "quantity", "invalid"),
        ("a flag for a number", {"quantity": True}, "quantity", "invalid"),
        ("an exponent", {"quantity": "1e3"}, "quantity", "invalid"),
        ("too many places", {"quantity": "1.00000000001"}, "quantity", "invalid"),
        ("nothing", {"quantity": "0"}, "quantity", "invalid"),
        ("no quantity", {"quantity": None}, "quantity", "invalid"),
        ("HOLD with a quantity", {"action": "HOLD"}, "quantity", "invalid"),
        ("LIMIT without a price", {"order_type": "LIMIT"}, "limit_price", "invalid"),
        ("MARKET with a price", {"limit_price": "1"}, "limit_price", "invalid"),
        ("STOP without its price", {"order_type": "STOP"}, "stop_price", "invalid"),
        ("a stop price of none", {"stop_price": "1"}, "stop_price", "invalid"),
        (
            "STOP_LIMIT without its limit",
            {"order_type": "STOP_LIMIT", "stop_price": "1"},
            "limit_price",
            "invalid",
        ),
        (
            "a stop at once",
            {"order_type": "STOP", "stop_price": "1", "time_in_force": "IOC"},
            "time_in_force",
            "invalid",
        ),
        ("GTD without its time", {"time_in_force": "GTD"}, "expires_at", "invalid"),
        ("a time without GTD", {"expires_at": "2099-01-01T00:00:00Z"}, "expires_at", "invalid"),
        (
            "a time that has passed",
            {"time_in_force": "GTD", "expires_at": "2020-01-01T00:00:00Z"},
            "expires_at",
            "in_the_past",
        ),
        ("post-only at market", {"post_only": True}, "post_only", "invalid"),
        ("protection", {"protect": {"stop_loss": "1"}}, "protect", "unsupported"),
        ("a part of a position", {"fraction": "0.5"}, "fraction", "unsupported"),
        ("the reserved strategy", {"strategy": "EXTERNAL"}, "strategy", "reserved"),
        ("a time without a zone", {"generated_at": "2026-11-20T09:20:00"}, "generated_at", "naive"),
        ("a year that is none", {"valid_until": "0001-01-01T00:00:00+14:00"}, "valid_until", None),
        ("control characters", {"reason": "a\u0007b"}, "reason", "unprintable"),
        ("metadata of another type", {"metadata": []}, "metadata", "invalid"),
        ("too much metadata", {"metadata": {"x": "y" * 5000}}, "metadata", "too_large"),
    ],
)
def test_bad_input_names_its_field_and_stores_nothing(post, _case, change, field, code):
    answer = post(FINE | change)

    if code is None:  # a year that Python cannot turn into UTC is either read or refused
        assert answer.status_code in {400, 422}
        return
    assert answer.status_code == 400
    assert answer["Content-Type"] == "application/problem+json"
    assert (field, code) in {(e["field"], e["code"]) for e in answer.json()["errors"]}
    assert not Signal.objects.exists()


@pytest.mark.parametrize(
    ("_case", "text", "status", "code"),
    [
        ("no JSON", "{", 400, "malformed_json"),
        ("NaN", '{"quantity": NaN}', 400, "malformed_json"),
        ("41 digits", '{"quantity": ' + "9" * 41 + "}", 400, "malformed_json"),
        ("an endless exponent", '{"quantity": 1e999999}', 400, "malformed_json"),
        ("one name twice", '{"symbol": "A", "symbol": "B"}', 400, "malformed_json"),
        ("deeper than we read", "[" * 40 + "]" * 40, 400, "malformed_json"),
        ("half a character", r'{"symbol": "\ud800"}', 400, "malformed_json"),
        ("NUL", r'{"symbol": "\u0000"}', 400, "malformed_json"),
        ("bytes that are no text", b"\xff\xfe{}", 400, "malformed_json"),
        ("one megabyte", '{"reason": "' + "x" * 1_000_000 + '"}', 413, "too_large"),
        ("a list", "[]", 400, "invalid"),
        ("text", '"x"', 400, "invalid"),
    ],
)
def test_what_we_do_not_read(post, _case, text, status, code):
    answer = post(text)

    assert (answer.status_code, answer.json()["code"]) == (status, code)


@pytest.mark.parametrize(
    ("_case", "header", "status"),
    [
        ("none", None, 401),
        ("no key", "Api-Key nonsense", 401),
        ("unknown", "Api-Key 000000000000.secret", 401),
        ("another scheme", "Bearer x", 401),
    ],
)
def test_without_a_good_key_there_is_no_way_in(db, _case, header, status):
    headers = {"authorization": header} if header else {}
    answer = Client(headers=headers).post(URL, FINE, content_type="application/json")

    assert answer.status_code == status
    assert answer["Content-Type"] == "application/problem+json"
    assert answer["WWW-Authenticate"] == "Api-Key"


def test_a_revoked_key_is_refused_and_a_narrow_one_may_only_read(post, trader_key):
    ApiKey.objects.update(scopes=["read"])
    assert post(FINE).status_code == 403
    ApiKey.objects.update(scopes=["trade"], networks=["10.0.0.0/8"])
    assert post(FINE).status_code == 401


def test_an_outsider_cannot_tell_a_foreign_account_from_none(post, outsider_key):
    order = post(FINE).json()["order"]["id"]
    outsider = Client(headers={"authorization": outsider_key})

    answer = outsider.post(URL, FINE, content_type="application/json")
    assert answer.json()["errors"][0]["code"] == "unknown_account"
    assert outsider.get(f"/api/v1/orders/{order}").status_code == 404
    assert outsider.get("/api/v1/orders").json()["results"] == []
    cancel = outsider.post(f"/api/v1/orders/{order}/cancel", {}, content_type="application/json")
    assert cancel.status_code == 404


ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(10**30, 10**45),
    st.floats(),
    st.text(max_size=200),
    st.decimals(allow_nan=True, allow_infinity=True).map(str),
    st.lists(st.integers(), max_size=3),
    st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3),
    st.recursive(st.none(), lambda inner: st.lists(inner, min_size=1, max_size=1), max_leaves=50),
    st.just("x" * 300_000),
)
NAMES = [*FINE, "order_type", "limit_price", "time_in_force", "generated_at", "valid_until"]
NAMES += ["reduce_only", "metadata", "reason", "protect", "confidence", "correlation_id", "unknown"]
BODIES = st.one_of(
    st.fixed_dictionaries({}, optional=dict.fromkeys(NAMES, ODD)),
    st.dictionaries(st.sampled_from(NAMES), ODD, min_size=1, max_size=3).map(lambda d: FINE | d),
    ODD,
)


def test_two_thousand_generated_bodies_never_break_anything(post):
    counts: dict[int, int] = {}
    started = time.monotonic()

    @settings(
        max_examples=2000,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(BODIES)
    def generated(body):
        before = Signal.objects.count(), Order.objects.count()
        answer = post(json.dumps(body))
        counts[answer.status_code] = counts.get(answer.status_code, 0) + 1
        assert answer.status_code < 500
        if answer.status_code >= 400:
            assert answer["Content-Type"] == "application/problem+json"
        if answer.status_code == 400:
            problem = answer.json()
            assert problem["code"] == "malformed_json" or problem["errors"] or problem["detail"]
            assert (Signal.objects.count(), Order.objects.count()) == before

    generated()
    print(f"{sum(counts.values())} bodies in {time.monotonic() - started:.0f} s: {counts}")
    assert set(counts) <= {200, 202, 400, 409, 413, 422}
    assert Signal.objects.filter(quantity__lt=Decimal(0)).count() == 0
