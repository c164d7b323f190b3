"""Checks of the state we are in: switches, breakers, connection, clocks, session, quote."""

from decimal import Decimal

from brokers.contract import Side
from risk.checks.verdict import Check, check, seconds, unknown
from risk.facts import Change, Facts, SystemMode
from risk.limits import (
    DEFAULT_CLOCK_OFFSET,
    DEFAULT_QUOTE_AGE,
    DEFAULT_SIGNAL_AGE,
    DEFAULT_SPREAD,
    Metric,
)
from risk.origins import PASSES, Origin, passes_breaker, passes_kill, passes_mode

FUTURE_TOLERANCE_SECONDS = Decimal(5)  # a client's clock may be this far ahead of ours


def system_mode(f: Facts) -> Check:
    """Signals are traded in AUTONOMOUS, and in SUPERVISED once a person has approved them.

    What protects or closes on our own account passes in every mode. What widens an order that
    nobody approved takes a new signal in SUPERVISED.
    """
    origin = Origin(f.origin)
    if origin in PASSES and PASSES[origin].every_mode:
        return check("system_mode", True, f"{f.origin} orders pass in every mode", value=f.mode)
    detail = f"the system is in {f.mode}"
    if f.mode is SystemMode.SUPERVISED:
        by = f"approved by {f.approved_by}" if f.approved_by else "a person must approve"
        detail += f": {by}"
    # what nobody has approved yet waits for that, unless it widens an order that works
    approved = f.approved_by is not None or f.change is not Change.WIDENS
    ok = passes_mode(origin, f.mode, approved=approved)
    return check("system_mode", ok, detail, value=f.mode, limit=SystemMode.AUTONOMOUS)


def kill_switch(f: Facts) -> Check:
    """Nothing but flattening passes HALTED; reduce-only passes REDUCE_ONLY."""
    if f.kill_level is None:
        return check("kill_switch", True, "no kill switch is engaged here", value="released")
    state = f"engaged at {f.kill_level} for {f.kill_scope or 'everything'}"
    passed = passes_kill(Origin(f.origin), f.kill_level, reduce_only=f.reduce_only)
    return check("kill_switch", passed, f"the kill switch is {state}", value=f.kill_level)


def breaker(f: Facts) -> Check:
    """No breaker that applies has tripped or cannot be evaluated. A position can be closed."""
    if not f.breakers or passes_breaker(Origin(f.origin), reduce_only=f.reduce_only):
        return check("breaker", True, "no breaker stands in the way")
    return check("breaker", False, "; ".join(f.breakers), value=str(len(f.breakers)))


def connection_enabled(f: Facts) -> Check:
    """The account's connection is switched on."""
    detail = "the connection is on" if f.connection_enabled else "the connection is disabled"
    return check("connection_enabled", f.connection_enabled, detail)


def live_trading_enabled(f: Facts) -> Check | None:
    """Real money moves only where somebody has switched live trading on."""
    if f.environment != "live":
        return None
    detail = "on" if f.live_trading_enabled else "off"
    return check("live_trading_enabled", f.live_trading_enabled, f"live trading is {detail}")


def reconciling(f: Facts) -> Check:
    """Entries wait while the account is being compared with its venue."""
    busy = f.reconciling and not f.reduce_only
    detail = "the account is being reconciled" if f.reconciling else "the account is settled"
    return check("reconciling", not busy, detail)


def clock_offset(f: Facts) -> Check | None:
    """Our clock and the venue's agree; a live connection's offset must be known."""
    limit = f.within(Metric.CLOCK_OFFSET_SECONDS, DEFAULT_CLOCK_OFFSET)
    if f.clock_offset is None:
        if f.environment != "live":
            return None
        return unknown("clock_offset", "the venue's clock has not been compared", limit=limit)
    return check(
        "clock_offset",
        abs(f.clock_offset) <= limit,
        "our clock against the venue's, in seconds",
        value=abs(f.clock_offset),
        limit=limit,
    )


def market_open(f: Facts) -> Check | None:
    """The exchange is in session; one without a calendar is not asked."""
    if f.in_session is None:
        return None
    detail = "in session" if f.in_session else "not in session"
    return check("market_open", f.in_session, f"the exchange is {detail}")


def signal_age(f: Facts) -> Check:
    """Generated no longer ago than the limit, not in the future, and still valid."""
    limit = f.within(Metric.SIGNAL_AGE_SECONDS, DEFAULT_SIGNAL_AGE)
    if f.valid_until is not None and f.now > f.valid_until:
        return check(
            "signal_age",
            False,
            "the signal's valid_until has passed",
            value=f.now.isoformat(),
            limit=f.valid_until.isoformat(),
        )
    if f.generated_at is None:
        return check("signal_age", True, "the signal does not say when it was generated")
    age = seconds(f.now, f.generated_at)
    return check(
        "signal_age",
        -FUTURE_TOLERANCE_SECONDS <= age <= limit,
        "seconds since it was generated",
        value=age,
        limit=limit,
    )


def market_data_present(f: Facts) -> Check:
    """There is a price to judge the order by."""
    if f.touch is None:
        side = "ask" if f.side is Side.BUY else "bid"
        detail = f"no {side} for {f.symbol}"
        return unknown("market_data_present", detail, code="ltp_missing")
    return check("market_data_present", True, "a price is known", value=f.touch)


def quote_fresh(f: Facts) -> Check:
    """The quote is no older than the limit."""
    limit = f.within(Metric.QUOTE_AGE_SECONDS, DEFAULT_QUOTE_AGE)
    if f.quoted_at is None:
        return unknown("quote_fresh", f"no quote for {f.symbol}", limit=limit, code="quote_stale")
    age = seconds(f.now, f.quoted_at)
    detail = "age of the quote in seconds"
    ok = age <= limit
    return check("quote_fresh", ok, detail, value=age, limit=limit, code="quote_stale")


def spread(f: Facts) -> Check | None:
    """The quoted spread, relative to the mid. A position can always be closed."""
    if f.reduce_only or f.bid is None or f.ask is None:
        return None  # a missing side is market_data_present's to judge
    limit = f.within(Metric.MAX_SPREAD, DEFAULT_SPREAD[f.kind])
    mid = (f.bid + f.ask) / 2
    if not mid:
        return None
    value = (f.ask - f.bid) / mid * 10_000
    detail = "spread in basis points of the mid"
    return check("spread", value <= limit, detail, value=round(value, 4), limit=limit)
