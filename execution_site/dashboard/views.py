"""Server-rendered pages; static/js keeps them live."""

from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from execution_site.dashboard.overview import overview_context


@never_cache
@require_safe
@login_required
def show_overview(request: HttpRequest) -> HttpResponse:
    """Show what trades now: switches, money, positions, orders, fills, quotes and signals."""
    user = request.user
    assert isinstance(user, User)  # login_required has seen to it
    return render(request, "dashboard/overview.html", overview_context(user, now=timezone.now()))
