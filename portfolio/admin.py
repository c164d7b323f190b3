"""Positions in the console, to be read: they are the fold of fills and nothing else."""

from django.contrib import admin

from execution_site.console.tables import AuditedAdmin, ReadOnlyAdmin
from portfolio.models import InterestRate, OptionGreeks, Position


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


@admin.register(InterestRate)
class InterestRateAdmin(AuditedAdmin):
    """The rates that options are valued with."""

    list_display = ("currency", "rate")


@admin.register(OptionGreeks)
class OptionGreeksAdmin(ReadOnlyAdmin):
    """What each option is worth and reacts to, as last valued."""

    list_display = (
        "instrument",
        "delta",
        "gamma",
        "vega",
        "theta",
        "volatility",
        "volatility_source",
        "forward_source",
        "problem",
        "as_of",
    )
    list_filter = ("volatility_source", "forward_source")
    list_select_related = ("instrument",)
    search_fields = ("instrument__symbol",)
