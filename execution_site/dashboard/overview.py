"""What the overview shows: the snapshot a socket would begin with, and what is derived from it."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.contrib.auth.models import User

from brokers.instruments.kinds import decimal_text
from brokers.models import Environment, Instrument
from execution_site.rest.permissions import Right
from execution_site.web.hub import snapshot_with_seq
from orders.api.authentication import Principal, principal_for_user
from orders.lifecycle import OPEN, OrderStatus
from orders.payloads import time_text
from orders.reports import selectors
from portfolio.holding import CONTEXT

ROWS = 100  # the most that a table of the page holds, working orders apart
SILENT_SECONDS = 3  # after this long without a sign of life a process counts as down
PROCESSES = ("postgres", "valkey", "web", "worker", "beat", "sealer", "market")


def overview_context(user: User, *, now: datetime) -> dict[str, Any]:
    """Return the template's variables, all of one instant: the stream goes on after `seq`."""
    principal = principal_for_user(user)
    seq, state = snapshot_with_seq(_state, sorted(principal.accounts))
    system, shown = state["system"], state["orders"]
    derived = {
        "seq": seq,
        "now": time_text(now),
        "row_limit": ROWS,
        "environment": environment(system["connections"]),
        "lights": lights(system["processes"]),
        "totals": with_exposure(
            state["pnl"]["total"],
            [row for row in state["positions"] if row["account"] not in state["replayed"]],
            multipliers=state["multipliers"],
        ),
        "charted": charted(state["fills"], state["positions"], state["quotes"]),
        "open_count": sum(order["status"] in OPEN for order in shown),
        "in_doubt_count": sum(order["status"] == OrderStatus.IN_DOUBT for order in shown),
        "accounts": sorted(principal.accounts),
        **allowed(principal),
    }
    return {**state, **derived}


def allowed(principal: Principal) -> dict[str, bool]:
    """Return what a person may do, as the templates ask."""
    rights, everywhere = principal.rights, principal.reaches(None)
    return {
        "can_trade": Right.TRADE in rights,
        "can_approve": Right.APPROVE in rights,
        "can_change_mode": Right.CHANGE_MODE in rights,
        "can_kill": Right.KILL in rights,
        "can_kill_all": Right.KILL in rights and everywhere,
        "can_release": Right.RELEASE_KILL in rights,
        "can_release_all": Right.RELEASE_KILL in rights and everywhere,
        "can_reset": Right.RESET_BREAKER in rights,
        "reaches_all": everywhere,
    }


def charted(*tables: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the symbols that can be charted: of the latest fill first, each once."""
    return list(dict.fromkeys(row["symbol"] for table in tables for row in table))


def environment(connections: Iterable[Mapping[str, Any]]) -> str:
    """Return the most dangerous environment among the connections that are on."""
    names = {row["environment"] for row in connections if row["is_enabled"]}
    for name in (Environment.LIVE, Environment.PRACTICE):
        if name in names:
            return str(name).upper()
    return str(Environment.PAPER).upper()


def lights(processes: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the processes in the page's order, each with whether it is well."""
    known = {row["name"]: row for row in processes}
    names = [name for name in PROCESSES if name in known]
    names += sorted(set(known) - set(PROCESSES))
    return [{**known[name], **_health(known[name])} for name in names]


def with_exposure(
    totals: Iterable[Mapping[str, Any]],
    positions: Sequence[Mapping[str, Any]],
    *,
    multipliers: Mapping[str, str],
) -> list[dict[str, Any]]:
    """Return each currency's PnL with its exposure: the sum of |quantity| x price x multiplier.

    A position without a price makes the exposure of its currency unknown (None).
    """
    exposures: dict[str, Decimal | None] = {}
    for position in positions:
        notional = _notional(position, multipliers.get(position["symbol"]))
        held = exposures.get(position["currency"], Decimal(0))
        known = None if notional is None or held is None else CONTEXT.add(held, notional)
        exposures[position["currency"]] = known
    return [
        {**total, "exposure": _text(exposures.get(total["currency"], Decimal(0)))}
        for total in totals
    ]


def _notional(position: Mapping[str, Any], multiplier: str | None) -> Decimal | None:
    quantity, price = Decimal(position["quantity"]), position["last_price"]
    if not quantity:
        return Decimal(0)
    if price is None or multiplier is None:
        return None
    return CONTEXT.multiply(CONTEXT.multiply(abs(quantity), Decimal(price)), Decimal(multiplier))


def _text(value: Decimal | None) -> str | None:
    return None if value is None else decimal_text(value)


def _health(process: Mapping[str, Any]) -> dict[str, str]:
    """Say in a word how a process does; static/js/lights.js says the same."""
    if process["state"] != "up":
        return {"health": "bad", "said": process["state"]}
    if process["age"] > SILENT_SECONDS:
        return {"health": "bad", "said": f"silent {process['age']} s"}
    return {"health": "good", "said": f"{process['age']} s"}


def _state(accounts: Sequence[str]) -> dict[str, Any]:
    """Return the snapshot, with every working order however old, working ones first."""
    state = selectors.snapshot(accounts)
    newest = {order["id"] for order in state["orders"]}
    older = selectors.orders(accounts).filter(status__in=OPEN).exclude(pk__in=newest)
    shown = [*state["orders"], *map(selectors.describe_order, older.order_by("-pk"))]
    state["orders"] = sorted(shown, key=lambda order: order["status"] not in OPEN)
    held = {row["symbol"] for row in (*state["positions"], *state["quotes"])}
    known = Instrument.objects.filter(symbol__in=held).values_list("symbol", "multiplier")
    state["multipliers"] = {symbol: decimal_text(value) for symbol, value in known}
    return state
