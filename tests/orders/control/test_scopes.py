"""What a kill, a cancel and a flatten are about exists: what would stop nothing is refused."""

import json

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from execution_site.rest.permissions import KeyScope
from orders.models import MassAction
from orders.models.client import issue_key
from risk.kills import KillSwitch

ENDPOINTS = {
    "system/kill-switch": lambda scope, unknown: {
        "active": True,
        "scope": scope,
        "reason": "a drill",
        **unknown,
    },
    "orders/cancel-all": lambda scope, unknown: {**scope, **unknown},
    "positions/flatten": lambda scope, unknown: {**scope, "reason": "a drill", **unknown},
}


@pytest.fixture
def post(send, trader):
    """Ask as a client of every scope; alpha holds AAPL."""
    send("BUY", 10)
    key = issue_key(trader, scopes=[*KeyScope])[1]
    client = Client(headers={"authorization": f"Api-Key {key}"})

    def post(path, body):
        return client.post(f"/api/v1/{path}", json.dumps(body), content_type="application/json")

    return post


@pytest.mark.parametrize("path", ENDPOINTS)
@pytest.mark.parametrize(
    ("_case", "scope", "unknown", "code", "said"),
    [
        ("all that is there", {}, {}, None, ""),
        ("it exists", {"account": "paper", "strategy": "alpha", "symbol": "AAPL"}, {}, None, ""),
        ("no such symbol", {"symbol": "AAPLX"}, {}, "unknown_symbol", "no such symbol"),
        ("another case", {"symbol": "aapl"}, {}, "unknown_symbol", "there is AAPL"),
        ("no such strategy", {"strategy": "omega"}, {}, "unknown_strategy", "no such strategy"),
        ("another case", {"strategy": "Alpha"}, {}, "unknown_strategy", "there is alpha"),
        ("one that shall not begin", {"strategy": "omega"}, {"allow_unknown": True}, None, ""),
        ("a symbol all the same", {"symbol": "X"}, {"allow_unknown": True}, "unknown_symbol", ""),
        ("no such account", {"account": "papre"}, {}, "unknown_account", "no such account"),
    ],
)
def test_a_name_that_does_not_exist_is_refused_by_name(
    post, path, _case, scope, unknown, code, said
):
    answer = post(path, ENDPOINTS[path](scope, unknown))

    if code is None:
        assert answer.status_code in {200, 202}, answer.content
        return
    (error,) = answer.json()["errors"]
    assert (answer.status_code, error["code"], error["field"]) == (400, code, next(iter(scope)))
    assert said in error["detail"]
    assert not MassAction.objects.exists()
    assert not KillSwitch.objects.exists()


def test_the_answer_says_what_it_matched(post):
    flat = post("positions/flatten", {"symbol": "AAPL", "reason": "a drill"}).json()
    none = post("orders/cancel-all", {"symbol": "EURUSD"}).json()

    assert (flat["matched"], none["matched"]) == (
        {"orders": 0, "positions": 1},
        {"orders": 0, "positions": 0},
    )


@pytest.mark.parametrize(("command", "more"), [("cancel_all", {}), ("flatten", {"reason": "x"})])
def test_the_commands_refuse_them_too(post, command, more):
    with pytest.raises(CommandError, match="no such symbol; there is AAPL"):
        call_command(command, symbol="aapl", **more)
