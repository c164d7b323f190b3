"""Everything that can be read back, and the switches."""

import json

import pytest
from django.test import Client
from django.utils import timezone

from orders.sending import submission
from tests.orders.api.signals import FINE, URL


@pytest.fixture
def api(trader_key, quote, valkey):
    quote("AAPL", bid=99, ask=101)
    return Client(headers={"authorization": trader_key})


@pytest.fixture
def filled(api):
    """An order that has been filled."""
    answer = api.post(URL, FINE | {"reference_price": "100"}, content_type="application/json")
    order = answer.json()["order"]["id"]
    submission.transmit(order, now=timezone.now())
    return order


def get(api, path):
    answer = api.get(f"/api/v1{path}")
    assert answer.status_code == 200, answer.content
    return answer.json()


def test_an_order_with_its_fills_and_its_log(api, filled):
    order = get(api, f"/orders/{filled}")

    assert (order["status"], order["average_price"], order["filled_quantity"]) == (
        "FILLED",
        "101",
        "10",
    )
    assert [fill["price"] for fill in order["fills"]] == ["101"]
    statuses = [line["data"]["status"] for line in order["log"] if line["type"] == "order"]
    assert statuses == ["PENDING", "SUBMITTING", "FILLED"]


def test_the_execution_confirmation_measures_against_the_mid(api, filled):
    execution = get(api, f"/executions/{filled}")

    assert (execution["mid_at_grant"], execution["slippage"]) == ("100", "1")
    assert (execution["slippage_basis_points"], execution["quality"]) == ("100", "POOR")


def test_positions_and_pnl_agree(api, filled):
    (position,) = get(api, "/positions")["results"]
    (total,) = get(api, "/pnl")["total"]

    assert (position["quantity"], position["unrealized_pnl"]) == ("10", "-10")
    assert total == {
        "currency": "USD",
        "realized_pnl": "0",
        "unrealized_pnl": "-10",
        "commission": "0.101",
        "other_commissions": {},
        "total_pnl": "-10.101",
    }


def test_lists_page_by_cursor_newest_first(api):
    for n in range(3):
        api.post(URL, FINE | {"signal_id": f"n{n}"}, content_type="application/json")
    first = get(api, "/signals?limit=2")

    assert [s["signal_id"] for s in first["results"]] == ["n2", "n1"]
    rest = api.get(first["next"]).json()
    assert [s["signal_id"] for s in rest["results"]] == ["n0"]
    assert rest["next"] is None


@pytest.mark.parametrize("query", ["?colour=red", "?since=yesterday", "?since=2026-01-01"])
def test_a_parameter_that_means_nothing_is_refused_by_name(api, query):
    answer = api.get(f"/api/v1/orders{query}")

    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"] == query[1:].split("=")[0]


def test_a_resting_order_is_cancelled_and_a_filled_one_is_not(api, filled):
    limit = FINE | {"signal_id": "rest", "order_type": "LIMIT", "limit_price": "90"}
    order = api.post(URL, limit, content_type="application/json").json()["order"]["id"]

    cancelled = api.post(f"/api/v1/orders/{order}/cancel", {}, content_type="application/json")
    assert (cancelled.status_code, cancelled.json()["status"]) == (202, "CANCELLED")
    refused = api.post(f"/api/v1/orders/{filled}/cancel", {}, content_type="application/json")
    assert (refused.status_code, refused.json()["code"]) == (409, "order_not_cancellable")


def test_other_reads(api, filled):
    assert get(api, "/quotes/AAPL")["mark"] == "100"
    assert get(api, "/instruments?search=aap")["results"][0]["symbol"] == "AAPL"
    assert get(api, "/instruments/EURUSD")["tick_size"] == "0.00001"
    assert get(api, "/fills")["results"][0]["order"] == filled
    assert get(api, "/executions")["results"][0]["order_id"] == filled
    assert get(api, "/signals")["results"][0]["status"] == "EXECUTED"
    assert get(api, "/limits")["results"] == []
    assert get(api, "/system")["mode"] == "AUTONOMOUS"


@pytest.mark.parametrize("path", ["/nothing", "/orders/0", "/quotes/NOPE", "/positions/99"])
def test_what_is_not_there_is_a_problem_and_no_page(api, path):
    answer = api.get(f"/api/v1{path}")

    assert answer.status_code == 404
    assert answer["Content-Type"] == "application/problem+json"


def test_the_switches_need_their_scope_and_a_reason(risk_manager, api):
    body = {"active": True, "reason": "drill"}
    path = "/api/v1/system/kill-switch"
    assert api.post(path, body, content_type="application/json").status_code == 403

    manager = Client()
    manager.force_login(risk_manager)
    empty = manager.post(path, body | {"reason": ""}, content_type="application/json")
    assert empty.json()["errors"][0]["field"] == "reason"
    killed = manager.post(path, body, content_type="application/json").json()
    assert killed["kill_switch"]["active"]
    refused = api.post(URL, FINE | {"signal_id": "late"}, content_type="application/json")
    assert [e["code"] for e in refused.json()["errors"]] == ["kill_switch"]
    manager.post(path, {"active": False, "reason": "over"}, content_type="application/json")
    later = api.post(URL, FINE | {"signal_id": "later"}, content_type="application/json")
    assert later.status_code == 202
    guide = {"mode": "GUIDE", "reason": "night"}
    manager.post("/api/v1/system/mode", guide, content_type="application/json")
    refused = api.post(URL, FINE | {"signal_id": "night"}, content_type="application/json")
    assert [e["code"] for e in refused.json()["errors"]] == ["system_mode"]


def test_a_browser_s_post_needs_its_csrf_token(risk_manager):
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(risk_manager)

    answer = browser.post("/api/v1/system/mode", "{}", content_type="application/json")
    assert answer.status_code == 403


def test_every_operation_of_the_schema_is_described(api):
    schema = json.loads(api.get("/api/v1/openapi.json").content)

    assert schema["openapi"].startswith("3.1")
    operations = [
        operation
        for path in schema["paths"].values()
        for name, operation in path.items()
        if name in {"get", "post"}
    ]
    assert len(operations) > 20
    assert all(operation.get("description") for operation in operations)
