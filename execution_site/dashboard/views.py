"""The overview: first paint from the database, kept alive by the stream."""

from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache

from execution_site import hub
from orders import authentication, selectors
from orders.clients import Scope
from orders.lifecycle import OPEN

ROLES = ("web", "worker", "beat", "sealer", "market", "postgres", "valkey")


@never_cache
@login_required
def overview(request: HttpRequest) -> HttpResponse:
    """Show orders, fills, positions, PnL and the system's state."""
    principal = authentication.principal_for_user(request.user)  # type: ignore[arg-type]
    accounts = sorted(principal.accounts)
    seq, state = hub.snapshot_with_seq(selectors.snapshot, accounts)
    context: dict[str, Any] = {
        "seq": seq,
        "accounts": accounts,
        "can_trade": Scope.TRADE.value in principal.scopes,
        "can_control": Scope.CONTROL.value in principal.scopes,
        "is_live": any(c["environment"] == "live" for c in state["system"]["connections"]),
        "open_orders": sum(order["status"] in OPEN for order in state["orders"]),
        "lights": _lights(state["system"]["processes"]),
        "state": state,
    }
    return render(request, "dashboard/overview.html", context)


def _lights(processes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return a light per process of the site, those that never reported included."""
    known = {process["name"]: process for process in processes}
    missing: dict[str, Any] = {"state": "unknown", "age": ""}
    return [known.get(name, missing | {"name": name}) for name in ROLES]
