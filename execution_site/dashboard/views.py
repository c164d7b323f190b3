"""Server-rendered pages; static/js keeps them live."""

from collections.abc import Callable
from typing import Any

from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from execution_site.dashboard.overview import overview_context
from execution_site.dashboard.risk import approvals_context, risk_context


@never_cache
@require_safe
def show_overview(request: HttpRequest) -> HttpResponse:
    """Show what trades now: switches, money, positions, orders, fills, quotes and signals."""
    user = request.user
    assert isinstance(user, User)  # the guard has seen to it
    return render(request, "dashboard/overview.html", overview_context(user, now=timezone.now()))


@never_cache
@require_safe
def show_risk(request: HttpRequest) -> HttpResponse:
    """Show what may be traded: switches, limits with their use, breakers, the last refusals."""
    return _live(request, "dashboard/risk.html", risk_context)


@never_cache
@require_safe
def show_risk_state(request: HttpRequest) -> HttpResponse:
    """Show the part of the risk page that changes."""
    return _live(request, "dashboard/risk_state.html", risk_context)


@never_cache
@require_safe
def show_approvals(request: HttpRequest) -> HttpResponse:
    """Show the signals that wait for a person."""
    return _live(request, "dashboard/approvals.html", approvals_context)


@never_cache
@require_safe
def show_approvals_state(request: HttpRequest) -> HttpResponse:
    """Show the part of the approvals page that changes."""
    return _live(request, "dashboard/approvals_state.html", approvals_context)


def _live(
    request: HttpRequest, template: str, context: Callable[..., dict[str, Any]]
) -> HttpResponse:
    user = request.user
    assert isinstance(user, User)  # the guard has seen to it
    return render(request, template, context(user, now=timezone.now()))
