"""Kill, cancel and flatten, by scope: what passes, what is told, what must be clean to release."""

import json
import os
from datetime import timedelta
from decimal import Decimal

import psycopg
import pytest
from django.core.management import call_command
from django.test import Client

from brokers.contract import OrderType
from brokers.models import Quote
from execution_site.floor.audit import ReasonRequired
from execution_site.floor.locks import Numbered
from execution_site.rest.idempotency import once
from execution_site.rest.permissions import KeyScope
from orders.control import emergency, mass_actions
from orders.models import Order, SubmissionAttempt
from orders.models.client import issue_key
from orders.reports.selectors import in_flight
from orders.sending import grants, submission
from portfolio.models import Position
from risk import control
from risk.facts import KillLevel
from risk.kills import KillSwitch, TradingScope, engaged
from risk.models import SystemControl
from tests import databases
from tests.clock import now

EVERYTHING = TradingScope()
ALPHA = TradingScope(strategy="alpha")


def release(scope=EVERYTHING, reason="over"):
    with once():
        return emergency.release(scope, actor="rita", reason=reason, now=now())


def flatten(scope=EVERYTHING):
    action = emergency.flatten(scope, accounts=["paper"], actor="rita", reason="a drill", now=now())
    return mass_actions.describe(action)


def kill(scope=EVERYTHING, level=KillLevel.HALTED, *, cancel_open=False, flatten=False):
    return emergency.kill(
        scope,
        level=level,
        actor="rita",
        reason="a drill",
        accounts=["paper"],
        cancel_open=cancel_open,
        flatten_too=flatten,
        now=now(),
    )


def refusal(outcome):
    return [error["code"] for error in json.loads(outcome.body).get("errors", [])]


def transmit_waiting():
    for order in Order.objects.due(now=now()):
        submission.transmit(order.pk, now=now())


@pytest.mark.parametrize(
    ("scope", "refuses"),
    [
        (EVERYTHING, True),
        (TradingScope(account="paper"), True),
        (TradingScope(strategy="alpha"), True),
        (TradingScope(symbol="AAPL"), True),
        (TradingScope(account="paper", strategy="alpha", symbol="AAPL"), True),
        (TradingScope(strategy="beta"), False),
        (TradingScope(symbol="EURUSD"), False),
        (TradingScope(strategy="alpha", symbol="EURUSD"), False),
    ],
)
def test_a_kill_stops_its_scope_and_nothing_else(send, scope, refuses):
    waiting = send("BUY", 1, transmit=False).order_id
    kill(scope)

    assert (refusal(send("BUY", 1, transmit=False)) == ["kill_switch"]) is refuses
    assert (grants.claim_and_grant(waiting, now=now()) is None) is refuses


def test_the_strictest_of_several_kills_counts(send):
    kill(ALPHA, KillLevel.REDUCE_ONLY)
    kill(TradingScope(symbol="AAPL"), KillLevel.HALTED)
    assert refusal(send("BUY", 1)) == ["kill_switch"]

    release(TradingScope(symbol="AAPL"))
    assert refusal(send("BUY", 1)) == ["kill_switch"]
    release(ALPHA)
    assert send("BUY", 1).status == 202


def test_engaging_anew_replaces_the_level_of_the_same_scope(account):
    kill(ALPHA, KillLevel.REDUCE_ONLY)
    kill(ALPHA, KillLevel.HALTED)

    assert [k.level for k in engaged()] == ["HALTED"]
    assert KillSwitch.objects.count() == 2


def test_a_weaker_kill_does_not_undo_a_stricter_one(account):
    kill(ALPHA, KillLevel.HALTED)
    with pytest.raises(control.Loosens, match="release it first"):
        kill(ALPHA, KillLevel.REDUCE_ONLY)

    assert [k.level for k in engaged()] == ["HALTED"]


def test_flatten_cancels_first_then_closes_and_says_so_per_order(send):
    send("BUY", 10)
    resting = send("BUY", 1, order_type=OrderType.LIMIT, limit_price=Decimal(50)).order_id
    submission_waits = send("BUY", 1, transmit=False).order_id

    done = flatten()
    assert {row["order"]: row["result"] for row in done["cancelled"]} == {
        resting: "requested",
        submission_waits: "cancelled",
    }
    (closed,) = done["closed"]
    assert (closed["quantity"], closed["result"]) == ("10", "closing")
    order = Order.objects.get(pk=closed["order"])
    assert (order.origin, order.side, order.reduce_only) == ("FLATTEN", "SELL", True)
    assert order.decision.status == "APPROVED"
    transmit_waiting()
    assert Position.objects.get().quantity == 0


def test_flattening_passes_a_halt_and_every_mode_and_nothing_else_does(send):
    send("BUY", 10)
    SystemControl.objects.update(mode="GUIDE")
    _, action = kill(flatten=True)
    (closed,) = mass_actions.describe(action)["closed"]
    transmit_waiting()

    assert Order.objects.get(pk=closed["order"]).status == "FILLED"
    assert Position.objects.get().quantity == 0
    assert set(refusal(send("EXIT", None))) == {"system_mode", "kill_switch", "nothing_to_close"}


def test_flatten_says_what_it_could_not_close(send):
    send("BUY", 10)
    Quote.objects.all().delete()

    done = flatten(ALPHA)
    (closed,) = done["closed"]
    assert closed["order"] is None
    assert "no quote for AAPL" in closed["result"]


def test_flatten_keeps_to_its_scope(send):
    send("BUY", 10)
    send("BUY", 5, strategy="beta")

    done = flatten(ALPHA)
    assert [row["quantity"] for row in done["closed"]] == ["10"]


def test_flattening_twice_does_not_sell_twice(send):
    send("BUY", 10)
    for _ in range(2):
        done = flatten(ALPHA)
    (second,) = done["closed"]
    assert second["order"] is None
    assert second["result"] == "it is being closed by other orders"
    transmit_waiting()

    assert Position.objects.get().quantity == 0
    assert Order.objects.filter(origin="FLATTEN").count() == 1


def test_a_kill_needs_a_reason_and_so_does_its_release(account):
    with pytest.raises(ReasonRequired):
        control.engage_kill(level=KillLevel.HALTED, actor="rita", reason=" ", now=now())
    kill()
    with pytest.raises(ReasonRequired):
        release(reason="")
    assert engaged().exists()


def test_nothing_is_released_while_an_order_is_in_doubt(send, account):
    order = send("BUY", 1, transmit=False).order_id
    Order.objects.filter(pk=order).update(status="SUBMITTING")
    Order.objects.filter(pk=order).update(status="IN_DOUBT")
    kill()

    with pytest.raises(emergency.NotReleasable, match="1 orders are in doubt"):
        release()
    type(account).objects.update(is_reconciling=True)
    assert len(emergency.release_problems(EVERYTHING)) == 2
    assert emergency.release_problems(TradingScope(strategy="beta")) == [
        "paper is being reconciled"
    ]


@pytest.mark.parametrize(
    ("_case", "address", "lock"),
    [
        ("what is no sender", databases.APPLICATION, "pg_advisory_xact_lock"),
        ("of a role that we may not end", databases.OWNER, "pg_advisory_xact_lock_shared"),
    ],
)
def test_a_kill_that_cannot_be_drained_is_engaged_and_says_so_and_draining_goes_on(
    db, send, _case, address, lock
):
    waiting = send("BUY", 1, transmit=False).order_id
    with psycopg.connect(databases.url_of(db, address=address)) as elsewhere:
        elsewhere.execute(f"SELECT {lock}({Numbered.SENDERS})")
        engaged_kill, action = kill(cancel_open=True)
        assert engaged_kill.drained_at is None
        assert Order.objects.get(pk=waiting).status == "CANCELLED"
        assert action.status == "WORKING"  # what an older sender was granted may still be found
        assert control.finish_drains(now=now() + timedelta(seconds=10)) == 1

    control.finish_drains(now=now() + timedelta(seconds=10))
    engaged_kill.refresh_from_db()
    assert engaged_kill.drained_at is not None
    mass_actions.take_over(action.pk, now=now() + timedelta(seconds=10))
    action.refresh_from_db()
    assert action.status == "DONE"


@pytest.mark.parametrize("lock", ["FOR UPDATE", "FOR SHARE"])
def test_a_kill_waits_for_no_reader_of_the_control_row(send, lock):
    waiting = send("BUY", 1, transmit=False).order_id
    before = grants.claim_and_grant(send("BUY", 1, transmit=False).order_id, now=now())
    with psycopg.connect(os.environ["DATABASE_URL"]) as elsewhere:
        elsewhere.execute(f"SELECT 1 FROM risk_systemcontrol {lock}")
        engaged_kill, _ = kill()

    assert engaged_kill.drained_at is not None
    assert engaged_kill.epoch > before.epoch
    assert grants.claim_and_grant(waiting, now=now()) is None
    release()
    after = grants.claim_and_grant(send("BUY", 1, transmit=False).order_id, now=now())
    assert after.epoch > engaged_kill.epoch


def test_what_was_in_flight_at_the_kill_is_listed_exactly(send):
    answered = send("BUY", 1).order_id
    waiting = send("BUY", 1, transmit=False).order_id
    flying = send("BUY", 1, transmit=False).order_id
    grants.claim_and_grant(flying, now=now())  # and its sender says nothing
    other = send("BUY", 1, transmit=False, strategy="beta").order_id
    grants.claim_and_grant(other, now=now())
    engaged_kill, _ = kill(ALPHA)
    everything, _ = kill()

    assert [row["order"] for row in in_flight(engaged_kill)] == [flying]
    assert {row["order"] for row in in_flight(everything)} == {flying, other}
    assert grants.claim_and_grant(waiting, now=now()) is None
    assert SubmissionAttempt.objects.filter(order__in=[answered, flying, other]).count() == 3


def test_the_api_kills_flattens_and_releases_by_scope(send, trader, outsider_key):
    send("BUY", 10)
    key = "Api-Key " + issue_key(trader, scopes=[*KeyScope])[1]
    client = Client(headers={"authorization": key})

    def post(url, body, client=client):
        return client.post(f"/api/v1/{url}", json.dumps(body), content_type="application/json")

    wanted = {"active": True, "scope": {"strategy": "alpha"}, "flatten": True, "reason": "drill"}
    answer = post("system/kill-switch", wanted)
    assert answer.status_code == 200
    assert answer.json()["kill_switches"][0]["scope"]["strategy"] == "alpha"
    assert not answer.json()["kill_switch"]["active"]  # that one is for everything
    assert [row["quantity"] for row in answer.json()["closed"]] == ["10"]
    elsewhere = {**wanted, "scope": {"account": "elsewhere"}}
    assert post("system/kill-switch", elsewhere).json()["errors"][0]["field"] == "account"
    released = {"active": False, "scope": {"strategy": "alpha"}, "reason": "over"}
    assert post("system/kill-switch", {**released, "flatten": True}).status_code == 400
    weaker = {**wanted, "level": "REDUCE_ONLY", "flatten": False}
    assert post("system/kill-switch", weaker).json()["code"] == "kill_would_loosen"
    assert [post("orders/cancel-all", body).status_code for body in ([], None, 0, "")] == [400] * 4
    assert post("system/kill-switch", released).json()["kill_switches"] == []

    transmit_waiting()
    send("BUY", 3)
    flat = post("positions/flatten", {"symbol": "AAPL", "reason": "close of business"})
    assert [row["quantity"] for row in flat.json()["closed"]] == ["3"]
    assert post("positions/flatten", {"symbol": "AAPL"}).status_code == 400
    stranger = Client(headers={"authorization": outsider_key})
    assert post("positions/flatten", {"reason": "x"}, stranger).json()["closed"] == []


def test_the_commands_cancel_and_flatten_a_scope(send, capsys):
    send("BUY", 10)
    send("BUY", 1, order_type=OrderType.LIMIT, limit_price=Decimal(50), strategy="beta")

    call_command("cancel_all", strategy="beta")
    assert ": requested" in capsys.readouterr().out
    call_command("flatten", strategy="alpha", reason="close of business")
    assert "AAPL of paper" in capsys.readouterr().out
    transmit_waiting()
    assert Position.objects.get(strategy="alpha").quantity == 0
    call_command("flatten", strategy="alpha", reason="again")
    assert "Nothing is working or held" in capsys.readouterr().out


def test_the_flatten_command_fails_where_something_stays_open(send):
    send("BUY", 10)
    Quote.objects.all().delete()

    with pytest.raises(SystemExit):
        call_command("flatten", reason="close of business")
