"""Checks of what we would hold: positions, exposure, margin, counts and losses.

Each is judged on the book after the order, with every working order counted at its worst. What only
closes a position passes all of them.
"""

from collections.abc import Iterator
from decimal import Decimal

from risk.checks.order import worst_price
from risk.checks.verdict import Check, check, seconds, unknown
from risk.facts import Facts, Limit
from risk.limits import Metric

PNL_SECONDS = Decimal(10)  # a day's PnL worked out longer ago says nothing


def own_exposure(f: Facts, *, by_strategy: bool = False) -> Decimal | None:
    """Return the order's instrument's worst |position| after it x price x multiplier."""
    price = worst_price(f)
    if price is None:
        return None
    held = f.strategy if by_strategy else f.account
    unit = max(price, f.mid or price) * f.multiplier
    return held.worst(f.side, f.adds) * unit


def grows(f: Facts, *, by_strategy: bool = False) -> bool:
    """Tell whether the order makes the worst that can come of its instrument any larger."""
    held = f.strategy if by_strategy else f.account
    return held.worst(f.side, f.adds) > held.worst(f.side, Decimal(0))


def max_position(f: Facts) -> Iterator[Check]:
    """Worst |position| of the strategy and of the account's net, each, after the order."""
    if f.reduce_only:
        return
    for limit in f.of(Metric.MAX_POSITION):
        grains = [("strategy", f.strategy)]
        if not limit.by_strategy:
            grains.append(("account", f.account))
        for grain, held in grains:
            value = held.worst_after(f.side, f.adds)
            detail = f"the {grain}'s position if all that works is filled ({limit.scope})"
            ok = value <= limit.value or value < abs(held.net)
            yield check("max_position", ok, detail, value=value, limit=limit.value)


def max_open_orders(f: Facts) -> Iterator[Check]:
    """Working orders, this one included."""
    yield from _counted(f, "max_open_orders", Metric.MAX_OPEN_ORDERS, "orders at work with this")


def daily_trades(f: Facts) -> Iterator[Check]:
    """Orders of the account's trading day, this one included."""
    yield from _counted(f, "daily_trades", Metric.DAILY_TRADES, "orders of the day with this")


def max_gross_exposure(f: Facts) -> Iterator[Check]:
    """Sum over instruments of the worst |position| x price x multiplier, after the order."""
    if f.reduce_only:
        return
    for limit in f.of(Metric.MAX_GROSS_EXPOSURE):
        value = _with_others(limit, own_exposure(f, by_strategy=limit.by_strategy))
        if value is None:
            yield unknown("max_gross_exposure", "something held has no price", limit=limit.value)
            continue
        detail = f"gross exposure after the order ({limit.scope})"
        ok = value <= limit.value or not grows(f, by_strategy=limit.by_strategy)
        yield check("max_gross_exposure", ok, detail, value=value, limit=limit.value)


def concentration(f: Facts) -> Iterator[Check]:
    """Exposure in one underlying as a share of the account's capital."""
    if f.reduce_only:
        return
    for limit in f.of(Metric.CONCENTRATION):
        value = _with_others(limit, own_exposure(f))
        if value is None or not f.capital:
            detail = "something held has no price" if value is None else "no capital is set"
            yield unknown("concentration", detail, limit=limit.value)
            continue
        detail = "exposure in the underlying as a share of capital"
        share = value / f.capital
        ok = share <= limit.value or not grows(f)
        yield check("concentration", ok, detail, value=round(share, 6), limit=limit.value)


def margin(f: Facts) -> Iterator[Check]:
    """Margin (gross notional x rate) x cushion against capital and PnL, where capital is set."""
    if f.reduce_only:
        return
    for limit in f.of(Metric.MARGIN_CUSHION):
        own = own_exposure(f)
        required = _with_others(limit, None if own is None else own * f.margin_rate)
        if required is None or f.capital is None or f.account_pnl is None:
            detail = "something held has no price, or capital or PnL are not known"
            yield unknown("margin", detail)
            continue
        equity = f.capital + f.account_pnl
        detail = f"margin x {limit.value.normalize():f} after the order against equity"
        value = required * limit.value
        ok = value <= equity or not grows(f)
        yield check("margin", ok, detail, value=value, limit=equity)


def daily_loss(f: Facts) -> Iterator[Check]:
    """What the trading day has lost: realized and unrealized, with commission."""
    yield from _lost(f, "daily_loss", Metric.DAILY_LOSS, sign=-1, what="lost today")


def drawdown(f: Facts) -> Iterator[Check]:
    """How far the day's PnL has fallen from its peak."""
    yield from _lost(f, "drawdown", Metric.DRAWDOWN, sign=1, what="below the day's peak")


def loss_streak(f: Facts) -> Iterator[Check]:
    """Closed trades of the strategy that lost, one after the other."""
    if f.reduce_only:
        return
    for limit in f.of(Metric.LOSS_STREAK):
        value = limit.used or Decimal(0)
        detail = "losing trades in a row"
        ok = value < limit.value
        yield check("loss_streak", ok, detail, value=value, limit=limit.value)


def _counted(f: Facts, name: str, metric: Metric, what: str) -> Iterator[Check]:
    if f.reduce_only:
        return
    for limit in f.of(metric):
        value = (limit.used or Decimal(0)) + 1
        detail = f"{what} ({limit.scope})"
        yield check(name, value <= limit.value, detail, value=value, limit=limit.value)


def _lost(f: Facts, name: str, metric: Metric, *, sign: int, what: str) -> Iterator[Check]:
    if f.reduce_only:
        return
    for limit in f.of(metric):
        stale = limit.at is None or seconds(f.now, limit.at) > PNL_SECONDS
        if limit.used is None or stale:
            yield unknown(name, f"the day's PnL is not known ({limit.scope})", limit=limit.value)
            continue
        value = limit.used * sign
        detail = f"{what} ({limit.scope})"
        yield check(name, value < limit.value, detail, value=value, limit=limit.value)


def _with_others(limit: Limit, own: Decimal | None) -> Decimal | None:
    return None if own is None or limit.used is None else limit.used + own
