"""Positions, to look at."""

from django.contrib import admin

from execution_site.console import ReadOnlyAdmin
from portfolio.models import Position


@admin.register(Position)
class PositionAdmin(ReadOnlyAdmin):
    """What is held."""

    list_display = (
        "id",
        "connection",
        "strategy",
        "instrument",
        "quantity",
        "cost",
        "realized_pnl",
        "commission",
        "updated_at",
    )
    list_filter = ("connection", "strategy")
    list_select_related = ("connection", "instrument")
    ordering = ("-id",)
