"""Checks of what the book would react to: its Greeks after the order.

Of each Greek the largest absolute value that can come of the book, whichever of the working orders
are filled, this one among them. What does not make it larger passes; what only closes a position
passes anyway.
"""

from collections.abc import Iterator
from decimal import Decimal

from risk.checks.verdict import Check, check, unknown
from risk.facts import Facts, Limit
from risk.limits import GREEK_OF, Metric


def max_delta(f: Facts) -> Iterator[Check]:
    """|Delta| of the book, in units of the underlying."""
    yield from _limits(f, Metric.MAX_DELTA)


def max_gamma(f: Facts) -> Iterator[Check]:
    """|Gamma| of the book, in delta per 1.0 of the underlying."""
    yield from _limits(f, Metric.MAX_GAMMA)


def max_vega(f: Facts) -> Iterator[Check]:
    """|Vega| of the book, in money per volatility point."""
    yield from _limits(f, Metric.MAX_VEGA)


def max_theta(f: Facts) -> Iterator[Check]:
    """|Theta| of the book, in money per calendar day."""
    yield from _limits(f, Metric.MAX_THETA)


def max_rho(f: Facts) -> Iterator[Check]:
    """|Rho| of the book, in money per percentage point of the rate."""
    yield from _limits(f, Metric.MAX_RHO)


def _limits(f: Facts, metric: Metric) -> Iterator[Check]:
    if not f.reduce_only:
        yield from (_judge(f, limit, GREEK_OF[metric]) for limit in f.of(metric))


def _judge(f: Facts, limit: Limit, greek: str) -> Check:
    name = limit.metric.value
    if f.greeks is None or limit.used is None or limit.low is None:
        detail = f"the {greek} of something held or ordered is not known, or its quotes are old"
        return unknown(name, detail, limit=limit.value)
    held = f.strategy if limit.by_strategy else f.account
    unit: Decimal = getattr(f.greeks, greek)
    before, after = (
        max(abs(limit.low + low), abs(limit.used + high))
        for low, high in (held.span(f.side, added, unit) for added in (Decimal(0), f.adds))
    )
    detail = f"the largest |{greek}| that can come of the book after the order ({limit.scope})"
    ok = after <= limit.value or after <= before
    return check(name, ok, detail, value=after, limit=limit.value)
