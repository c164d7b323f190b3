"""Positions in the console, to be read: they are the fold of fills and nothing else."""

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
        "realized_pnl",
        "commission",
        "updated_at",
    )
    list_filter = ("connection",)
    list_select_related = ("connection", "instrument")
    search_fields = ("strategy", "instrument__symbol")
