"""What the risk page and the approvals page show, as it is now."""

import json
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.contrib.auth.models import User

from brokers.models import Instrument
from execution_site.dashboard.overview import allowed, environment, lights
from orders.api.authentication import Principal, principal_for_user
from orders.control import limit_use, mass_actions
from orders.intake import approve
from orders.judging import closing
from orders.models import Approval, MassAction, Order, SignalStatus
from orders.payloads import time_text
from orders.reports import selectors
from orders.two_persons import proposals
from portfolio.models import Position
from risk.facts import SystemMode
from risk.models import ChangeRequest

REFUSALS = 20
WAITING = 100

#: Each mode, what switching to it does, and what it means in a few words.
MODES = [
    (
        SystemMode.GUIDE.value,
        "Signals are refused; stops, flattening and cancels pass.",
        "Signals are refused.",
    ),
    (
        SystemMode.SUPERVISED.value,
        "What passes every check waits for a person.",
        "A person approves each signal.",
    ),
    (
        SystemMode.AUTONOMOUS.value,
        "What passes every check is sent to its venue.",
        "What passes is sent.",
    ),
]


def shell_context(principal: Principal, *, now: datetime) -> dict[str, Any]:
    """Return what every page's header shows."""
    accounts = sorted(principal.accounts)
    system = selectors.system(accounts)
    working = Order.objects.open().filter(connection__name__in=accounts)
    return {
        "now": time_text(now),
        "system": system,
        "environment": environment(system["connections"]),
        "lights": lights(system["processes"]),
        "totals": None,
        "open_count": working.count(),
        "in_doubt_count": system["in_doubt"],
        "waiting_count": waiting(accounts).count(),
        "accounts": accounts,
        **allowed(principal),
    }


def risk_context(user: User, *, now: datetime) -> dict[str, Any]:
    """Return the risk page's variables."""
    principal = principal_for_user(user)
    accounts = sorted(principal.accounts)
    book = limit_use.load(accounts)
    limits = [limit_use.describe(row, book) for row in limit_use.effective(accounts, now=now)]
    refused = selectors.signals(accounts).filter(status=SignalStatus.REFUSED).order_by("-pk")
    context = shell_context(principal, now=now)
    for kill in context["system"]["kill_switches"]:
        kill["scope_json"] = json.dumps(kill["scope"])
    return context | {
        "modes": MODES,
        "strategies": _strategies(accounts),
        "symbols": list(Instrument.objects.order_by("symbol").values_list("symbol", flat=True)),
        "limits": [_limit(row) for row in limits],
        "breakers": [_breaker(selectors.breaker_json(b)) for b in selectors.breakers_of(accounts)],
        "refusals": [selectors.describe_signal(signal) for signal in refused[:REFUSALS]],
        "proposals": _proposed(principal),
        "actions": [_action(row) for row in mass_actions.shown(accounts, now=now)],
        "closes": [closing.describe(row) for row in closing.of_exits(accounts)],
    }


def approvals_context(user: User, *, now: datetime) -> dict[str, Any]:
    """Return the approvals page's variables: what waits, the longest waiting first."""
    principal = principal_for_user(user)
    rows = waiting(sorted(principal.accounts)).order_by("expires_at")[:WAITING]
    shown = []
    for row in rows:
        left = max(0, int((row.expires_at - now).total_seconds()))
        shown.append(approve.describe(row) | {"seconds_left": left})
    shell = shell_context(principal, now=now)
    return shell | {"waiting": shown, "proposals": _proposed(principal)}


def waiting(accounts: Iterable[str]) -> Any:
    """Return the signals of these accounts that wait for a person."""
    return Approval.objects.filter(
        outcome=Approval.Outcome.WAITING, signal__connection__name__in=list(accounts)
    ).select_related("signal__connection", "signal__instrument__quote")


def _proposed(principal: Principal) -> list[dict[str, Any]]:
    """Return the changes that wait for a second person, newest first, as far as one reaches."""
    found = ChangeRequest.objects.filter(
        status=ChangeRequest.Status.WAITING, account__in=["", *principal.accounts]
    )
    return [
        proposals.describe(row) | {"is_own": row.proposing_person_id == principal.person}
        for row in found.order_by("-pk")
        if principal.reaches(row.account or None)
    ]


def _action(row: MassAction) -> dict[str, Any]:
    return mass_actions.describe(row) | {"covers": str(row.scope)}


def _strategies(accounts: Iterable[str]) -> list[str]:
    held = Position.objects.filter(connection__name__in=list(accounts))
    return list(held.order_by("strategy").values_list("strategy", flat=True).distinct())


def _limit(row: dict[str, Any]) -> dict[str, Any]:
    everything = not any(row["scope"].values())
    return row | _measure(row["used"], row["value"]) | {"is_everything": everything}


def _measure(used: str | None, limit: str) -> dict[str, Any]:
    """Return how full a bar is drawn, in percent, and how it is to be read."""
    if used is None:
        return {"percent": None, "level": "unknown"}
    most = Decimal(limit)
    share = Decimal(used) / most if most else Decimal(1)
    percent = max(0, min(100, int(share * 100)))
    level = "full" if share >= 1 else "high" if share >= Decimal("0.8") else "fine"
    return {"percent": percent, "level": level}


def _breaker(row: dict[str, Any]) -> dict[str, Any]:
    measured = _measure(row["value"], row["threshold"])
    if row["state"] == "TRIPPED":
        measured = {"percent": 100, "level": "full"}
    return row | measured
