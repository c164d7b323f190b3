"""Checks of the order itself: symbol, size, price, and orders of ours like it."""

from collections.abc import Iterator
from decimal import Decimal

from brokers.contract import OrderType, Side
from brokers.instruments.kinds import is_multiple
from risk.checks.verdict import Check, check, unknown
from risk.facts import Facts
from risk.limits import DEFAULT_COLLAR, Metric

BASIS_POINTS = Decimal(10_000)
STOPS = frozenset({OrderType.STOP, OrderType.STOP_LIMIT})


def worst_price(f: Facts) -> Decimal | None:
    """Return the price an order is counted at while it works: no fill of it costs more.

    A market order is counted at the ask x (1 + collar), a limit order at its limit, a stop at its
    stop x (1 + collar); a sale at the market's price where that is higher. None: no price is known.
    """
    collar = 1 + f.within(Metric.PRICE_COLLAR, DEFAULT_COLLAR[f.kind]) / BASIS_POINTS
    market = f.ask if f.ask is not None else f.mid if f.mid is not None else f.bid
    if f.limit_price is not None:
        asked = f.limit_price
    elif f.stop_price is not None:
        asked = f.stop_price * collar
    else:
        return None if market is None else market * collar
    if f.side is Side.BUY:
        return asked
    return asked if market is None else max(asked, market)


def notional(f: Facts) -> Decimal | None:
    """Return |quantity| x worst price x multiplier, or None without a price."""
    price = worst_price(f)
    return None if price is None else f.quantity * price * f.multiplier


def symbol_tradable(f: Facts) -> Check:
    """The instrument itself can be traded (an index cannot), and has not expired."""
    if f.expires_at is not None and f.now >= f.expires_at:
        return check(
            "symbol_tradable",
            False,
            f"{f.symbol} has expired",
            value=f.now.isoformat(),
            limit=f.expires_at.isoformat(),
            code="expired",
        )
    return check("symbol_tradable", f.is_tradable, f"{f.symbol} tradable: {f.is_tradable}")


def symbol_allowed(f: Facts) -> Check | None:
    """On no deny list, and on every allow list that applies. A position can always be closed."""
    if f.reduce_only:
        return None
    if f.symbol in f.denied:
        return check("symbol_allowed", False, f"{f.symbol} is on a deny list", value=f.symbol)
    listed = all(f.symbol in names for names in f.allowed)
    detail = "is allowed" if listed else "is not on an allow list that applies"
    return check("symbol_allowed", listed, f"{f.symbol} {detail}", value=f.symbol)


def tick_and_lot(f: Facts) -> Check:
    """Quantity in whole lots, prices on the tick. What is off is refused, never rounded.

    All that is left of a position can be closed, also where it is no whole number of lots: after an
    odd partial fill, or a lot size that changed meanwhile.
    """
    closes_all = f.reduce_only and f.adds == f.closable
    if not closes_all and not is_multiple(f.quantity, f.lot_size):
        return check(
            "tick_and_lot",
            False,
            "the quantity is no multiple of the lot size",
            value=f.quantity,
            limit=f.lot_size,
            code="quantity_not_in_lots",
        )
    for name, price in (("limit", f.limit_price), ("stop", f.stop_price)):
        if price is not None and not is_multiple(price, f.tick_size):
            return check(
                "tick_and_lot",
                False,
                f"the {name} price is no multiple of the tick size",
                value=price,
                limit=f.tick_size,
                code="price_off_tick",
            )
    return check("tick_and_lot", True, "in whole lots and ticks")


def freeze_quantity(f: Facts) -> Check | None:
    """No more than the exchange takes in one order."""
    if f.freeze_quantity is None:
        return None
    detail = "quantity against the exchange's freeze quantity"
    ok = f.quantity <= f.freeze_quantity
    return check("freeze_quantity", ok, detail, value=f.quantity, limit=f.freeze_quantity)


def min_notional(f: Facts) -> Check | None:
    """No less than the venue takes. A position can always be closed."""
    if f.min_notional is None or f.reduce_only:
        return None
    price = f.limit_price or f.stop_price or f.touch
    if price is None:
        return unknown("min_notional", "no price to value the order", limit=f.min_notional)
    value = f.quantity * price * f.multiplier
    detail = "notional against the venue's smallest"
    return check("min_notional", value >= f.min_notional, detail, value=value, limit=f.min_notional)


def liquidity(f: Facts) -> Iterator[Check]:
    """Quantity against the size quoted at the touch. A position can always be closed."""
    if f.reduce_only:
        return
    size = f.ask_size if f.side is Side.BUY else f.bid_size
    for limit in f.of(Metric.LIQUIDITY):
        if not size:
            yield unknown("liquidity", "the size at the touch is not known", limit=limit.value)
            continue
        detail = f"times the size quoted at the touch ({limit.scope})"
        value = f.quantity / size
        ok = f.quantity <= limit.value * size
        yield check("liquidity", ok, detail, value=round(value, 6), limit=limit.value)


def price_collar(f: Facts) -> Check | None:
    """How much worse than the mid the order may trade. A market order closes at any price.

    The limit, else the expected fill, against the mid; a stop order's limit against its stop.
    """
    if f.reduce_only and f.limit_price is None:
        return None
    limit = f.within(Metric.PRICE_COLLAR, DEFAULT_COLLAR[f.kind])
    if f.order_type in STOPS:
        price, against = f.limit_price, f.stop_price
        if price is None:
            return None  # where a stop triggers is not where the market is
    else:
        price, against = f.limit_price if f.limit_price is not None else f.touch, f.mid
    if price is None or not against:
        return unknown("price_collar", "no price to compare with", limit=limit)
    value = (price - against) / against * f.side.sign * BASIS_POINTS
    detail = "basis points worse than the mid"
    return check("price_collar", value <= limit, detail, value=round(value, 4), limit=limit)


def max_order_quantity(f: Facts) -> Iterator[Check]:
    """Quantity of one order. A position can always be closed."""
    if f.reduce_only:
        return
    for limit in f.of(Metric.MAX_ORDER_QUANTITY):
        detail = f"quantity of one order ({limit.scope})"
        ok = f.quantity <= limit.value
        yield check("max_order_quantity", ok, detail, value=f.quantity, limit=limit.value)


def max_order_notional(f: Facts) -> Iterator[Check]:
    """Notional of one order at its worst price. A position can always be closed."""
    if f.reduce_only or not (limits := f.of(Metric.MAX_ORDER_NOTIONAL)):
        return
    value = notional(f)
    for limit in limits:
        if value is None:
            yield unknown("max_order_notional", "no price to value it", limit=limit.value)
            continue
        detail = f"notional of one order at its worst price ({limit.scope})"
        ok = value <= limit.value
        yield check("max_order_notional", ok, detail, value=value, limit=limit.value)


def max_group_loss(f: Facts) -> Iterator[Check]:
    """The most that the group of orders it is a leg of can lose at expiry."""
    if f.group is None or f.reduce_only:
        return
    for limit in f.of(Metric.MAX_GROUP_LOSS):
        detail = f"the most the group can lose at expiry ({limit.scope})"
        if f.group.unbounded:
            yield check("max_group_loss", False, detail, value="unbounded", limit=limit.value)
        elif f.group.max_loss is None:
            said = "what the group can lose at expiry cannot be told"
            yield unknown("max_group_loss", said, limit=limit.value)
        else:
            loss = f.group.max_loss
            yield check(
                "max_group_loss", loss <= limit.value, detail, value=loss, limit=limit.value
            )


def duplicate_order(f: Facts) -> Check | None:
    """Not the same order again within a window. A position can always be closed."""
    window = f.strictest(Metric.DUPLICATE_WINDOW)
    if window is None or f.reduce_only:
        return None
    if f.duplicate_age is None:
        return check("duplicate_order", True, "no order like it before", limit=window)
    detail = "seconds since the same order (account, symbol, side, quantity, price)"
    ok = f.duplicate_age > window
    return check("duplicate_order", ok, detail, value=f.duplicate_age, limit=window)


def self_trade(f: Facts) -> Check | None:
    """It would not trade with a resting order of the same account. Closing is not held up.

    A market order is judged at the touch.
    """
    if f.reduce_only or f.crossed_price is None or f.stop_price is not None:
        return None
    price = f.limit_price if f.limit_price is not None else f.touch
    crosses = price is None or (price - f.crossed_price) * f.side.sign >= 0
    detail = "the best price of our own orders on the other side"
    return check("self_trade", not crosses, detail, value=price, limit=f.crossed_price)


def reduce_only(f: Facts) -> Check | None:
    """Closes no more than the strategy holds, less what other working orders already close."""
    if not f.reduce_only:
        return None
    if f.closable is None:
        return unknown("reduce_only", "the strategy's position is unknown")
    return check(
        "reduce_only",
        0 < f.adds <= f.closable,
        "quantity to close against what is held and not yet being closed",
        value=f.adds,
        limit=f.closable,
        code="exceeds_closable" if f.closable else "nothing_to_close",
    )
