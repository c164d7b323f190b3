"""What every mutating endpoint is asked for in the tests that put each to every fault.

A case prepares a state, says what is asked for, and tells from the state how often that was done.
"""

import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.contrib.auth.models import Permission, User
from django.test import Client

from brokers.contract import OrderType
from brokers.models import Quote
from execution_site.floor.audit import Actor
from execution_site.floor.events import Event, EventType
from execution_site.rest.permissions import KeyScope
from orders.control import mass_actions
from orders.groups import advance
from orders.judging import closing
from orders.models import (
    Approval,
    MassAction,
    Order,
    OrderGroup,
    PositionClose,
    Replacement,
    Signal,
)
from orders.models.client import issue_key
from orders.sending import replacement as replacements
from orders.sending import submission, venue_queries
from orders.two_persons import proposals
from portfolio.models import Position
from risk import control
from risk.breakers import BreakerState
from risk.change_kinds import ChangeKind
from risk.facts import KillLevel, SystemMode
from risk.models import Breaker, ChangeRequest, FourEyesRule, KillSwitch, SystemControl
from tests.clock import now

_keys = itertools.count()


class Stage:
    """An account in which alpha holds 10 AAPL, with a client of every scope, not the trader's."""

    def __init__(self, send, manager, quote):
        self.send, self.quote = send, quote
        key = issue_key(manager, scopes=[*KeyScope])[1]
        self.client = Client(
            headers={"authorization": f"Api-Key {key}"}, raise_request_exception=False
        )

    def post(self, path, body, *, key=None):
        headers = {} if key is None else {"idempotency-key": key}
        return self.client.post(
            f"/api/v1/{path}", json.dumps(body), content_type="application/json", headers=headers
        )

    def hold(self):
        self.send("BUY", 10)

    def rest(self, quantity=1):
        """Have a limit order work; return its id."""
        limit = {"order_type": OrderType.LIMIT, "limit_price": Decimal(50)}
        return self.send("BUY", quantity, **limit).order_id


def work(rounds=3):
    """Do what the workers do, as if the time of all that waits had come."""
    for _ in range(rounds):
        for rows in (PositionClose.objects, MassAction.objects):
            rows.filter(status="WORKING").update(due_at=now())
        for group in OrderGroup.objects.all():
            advance.advance(group.pk, now=now())
        for order in Order.objects.due(now=now()):
            submission.transmit(order.pk, now=now())
        for order in Order.objects.filter(pending_action="CANCEL"):
            venue_queries.cancel(order.pk, now=now())
        for order in Order.objects.filter(pending_action="REPLACE"):
            replacements.transmit(order.pk, now=now())
        mass_actions.finish_due(now=now())
        for close in PositionClose.objects.due(now=now()):
            closing.advance(close.pk, now=now())


@dataclass(frozen=True, kw_only=True)
class Case:
    """One endpoint: `prepare` returns path and body; `done` what a test may count, `expected` once.

    `other` is another request that the same key must not stand for. `between` happens after the
    first answer: whatever it brings, a repeat does not touch it.
    """

    prepare: Callable[[Stage], tuple[str, dict[str, Any]]]
    done: Callable[[], Any]
    expected: Any
    nothing: Any
    other: dict[str, Any]
    between: Callable[[Stage], None] = lambda stage: None
    keyed: bool = True


def _cancel(stage):
    return f"orders/{stage.rest()}/cancel", {}


def _modify(stage):
    return f"orders/{stage.rest(2)}/modify", {"quantity": "20"}


def _cancel_all(stage):
    stage.rest()
    stage.rest()
    return "orders/cancel-all", {"symbol": "AAPL"}


def _flatten(stage):
    stage.hold()
    return "positions/flatten", {"strategy": "alpha", "reason": "a drill"}


def _kill(stage):
    stage.rest()
    return "system/kill-switch", {
        "active": True,
        "level": "HALTED",
        "cancel_open": True,
        "scope": {"strategy": "alpha"},
        "reason": "a drill",
    }


def _engage():
    control.engage_kill(level=KillLevel.HALTED, actor="rita", reason="a drill", now=now())


def _release(stage):
    _engage()
    return "system/kill-switch", {"active": False, "reason": "over"}


def _mode(stage):
    return "system/mode", {"mode": "GUIDE", "reason": "calmer"}


def _trip(stage=None):
    Breaker.objects.update_or_create(
        kind="slippage",
        defaults={"threshold": 1, "state": BreakerState.TRIPPED, "tripped_at": now()},
    )


def _breaker(stage):
    _trip()
    return f"system/breakers/{Breaker.objects.get().pk}/reset", {"reason": "the venue is back"}


def _ask_for_approval(stage):
    SystemControl.objects.update(mode=SystemMode.SUPERVISED)
    stage.send("BUY", 3)
    return Approval.objects.get().signal_id


def _approve(stage):
    return f"signals/{_ask_for_approval(stage)}/approve", {}


def _decline(stage):
    return f"signals/{_ask_for_approval(stage)}/decline", {"reason": "not today"}


def _group_body(signal_id):
    return {
        "signal_id": signal_id,
        "strategy": "pair",
        "type": "CUSTOM",
        "legs": [
            {"symbol": "AAPL", "action": "BUY", "quantity": "3"},
            {"symbol": "EURUSD", "action": "BUY", "quantity": "1000"},
        ],
    }


def _group(stage):
    stage.quote("EURUSD", bid="1.1", ask="1.1001")
    return "groups", _group_body("g1")


def _exit(stage):
    path, body = _group(stage)
    assert stage.post(path, body).status_code == 202
    work()
    return f"groups/{OrderGroup.objects.get().pk}/exit", {"reason": "done with it"}


def _proposal(stage):
    held = Permission.objects.get(codename="change_mode")
    User.objects.get(username="maria").user_permissions.add(held)
    FourEyesRule.objects.create(kind=ChangeKind.MODE)
    row = proposals.propose_or_apply(
        ChangeKind.MODE,
        target="system",
        after={"mode": "GUIDE"},
        actor=Actor("rita", User.objects.create_user("rita").pk),
        reason="calmer",
        now=now(),
    )
    return row.pk


def _withdraw(stage):
    stage.hold()
    Quote.objects.all().delete()
    stage.post("positions/flatten", {"reason": "a drill"})  # which cannot be done without a quote
    return f"actions/{MassAction.objects.get().pk}/withdraw", {"reason": "by hand then"}


def _signal(stage):
    return "signals", {
        "signal_id": "s-once",
        "strategy": "alpha",
        "symbol": "AAPL",
        "action": "BUY",
        "quantity": "3",
        "order_type": "LIMIT",
        "limit_price": "60",
        "time_in_force": "GTD",
        "expires_at": (now() + timedelta(hours=1)).isoformat(),
    }


def _audits(action):
    return Event.objects.filter(type=EventType.AUDIT, data__action=action).count()


def _statuses():
    return sorted(Order.objects.values_list("status", flat=True))


REASON = {"reason": "another reason"}
CASES: dict[str, Case] = {
    "signals": Case(
        prepare=_signal,
        done=lambda: Order.objects.filter(limit_price=60).count(),
        expected=1,
        nothing=0,
        other={"quantity": "4"},
        keyed=False,
    ),
    "groups": Case(
        prepare=_group,
        done=lambda: (OrderGroup.objects.count(), Signal.objects.filter(strategy="pair").count()),
        expected=(1, 1),
        nothing=(0, 0),
        other={"type": "SPREAD"},
        keyed=False,
    ),
    "orders/<int:pk>/cancel": Case(
        prepare=_cancel,
        done=_statuses,
        expected=["CANCELLED"],
        nothing=["ACCEPTED"],
        other={"unknown": 1},
    ),
    "orders/<int:pk>/modify": Case(
        prepare=_modify,
        done=lambda: (
            Replacement.objects.count(),
            [f"{o.quantity:f}".rstrip("0").rstrip(".") for o in Order.objects.all()],
        ),
        expected=(1, ["20"]),
        nothing=(0, ["2"]),
        other={"quantity": "30"},
    ),
    "orders/cancel-all": Case(
        prepare=_cancel_all,
        done=lambda: Order.objects.filter(status="CANCELLED").count(),
        expected=2,
        nothing=0,
        other={"symbol": "EURUSD"},
        between=lambda stage: stage.rest(),
    ),
    "positions/flatten": Case(
        prepare=_flatten,
        done=lambda: [
            Order.objects.filter(origin="FLATTEN").count(),
            Position.objects.get(strategy="alpha").quantity,
        ],
        expected=[1, 0],
        nothing=[0, 10],
        other=REASON,
    ),
    "system/kill-switch": Case(
        prepare=_kill,
        done=lambda: (KillSwitch.objects.count(), _statuses()),
        expected=(1, ["CANCELLED"]),
        nothing=(0, ["ACCEPTED"]),
        other=REASON,
    ),
    "system/kill-switch (release)": Case(
        prepare=_release,
        done=lambda: KillSwitch.objects.exclude(released_at=None).count(),
        expected=1,
        nothing=0,
        other=REASON,
        between=lambda stage: _engage(),
    ),
    "system/mode": Case(
        prepare=_mode,
        done=lambda: _audits("system_mode"),
        expected=1,
        nothing=0,
        other=REASON,
    ),
    "system/breakers/<int:pk>/reset": Case(
        prepare=_breaker,
        done=lambda: _audits("breaker_reset"),
        expected=1,
        nothing=0,
        other=REASON,
        between=_trip,
    ),
    "signals/<int:pk>/approve": Case(
        prepare=_approve,
        done=lambda: (Order.objects.count(), Approval.objects.get().outcome),
        expected=(1, "APPROVED"),
        nothing=(0, "WAITING"),
        other={"unknown": 1},
    ),
    "signals/<int:pk>/decline": Case(
        prepare=_decline,
        done=lambda: (Order.objects.count(), Approval.objects.get().outcome),
        expected=(0, "DECLINED"),
        nothing=(0, "WAITING"),
        other=REASON,
    ),
    "groups/<int:pk>/exit": Case(
        prepare=_exit,
        done=lambda: OrderGroup.objects.get().status,
        expected="CLOSED",
        nothing="FILLED",
        other=REASON,
    ),
    "proposals/<int:pk>/approve": Case(
        prepare=lambda stage: (f"proposals/{_proposal(stage)}/approve", {"reason": "agreed"}),
        done=lambda: (ChangeRequest.objects.get().status, _audits("system_mode")),
        expected=("APPLIED", 1),
        nothing=("WAITING", 0),
        other=REASON,
    ),
    "proposals/<int:pk>/decline": Case(
        prepare=lambda stage: (f"proposals/{_proposal(stage)}/decline", {"reason": "no"}),
        done=lambda: (ChangeRequest.objects.get().status, _audits("system_mode")),
        expected=("DECLINED", 0),
        nothing=("WAITING", 0),
        other=REASON,
    ),
    "actions/<int:pk>/withdraw": Case(
        prepare=_withdraw,
        done=lambda: _audits("action_withdrawn"),
        expected=1,
        nothing=0,
        other=REASON,
    ),
}
