"""What one fill does to a holding: netting, averaging, flipping, realized PnL."""

from dataclasses import dataclass, replace
from decimal import ROUND_HALF_EVEN, Context, Decimal

from brokers.contract import Side

ZERO = Decimal(0)
#: Quantities, prices, multipliers and commissions are stored to 10 places. So quantity x price is
#: exact in 20, and times the multiplier in 30: a position's amounts are stored as they are.
PLACES, COST_PLACES = Decimal("1E-10"), Decimal("1E-20")
#: Wider than the product of three stored numbers of 28 digits, and any sum of such products.
CONTEXT = Context(prec=100, rounding=ROUND_HALF_EVEN)


@dataclass(frozen=True, slots=True)
class Holding:
    """A signed quantity and its signed cost; short is negative in both.

    `cost` is quantity x price, before the multiplier, to 20 places. `realized_pnl` is in the quote
    currency, after the multiplier and before commission, to 30 places; `commission` stands beside
    it, in the same currency, positive when it cost us.
    """

    quantity: Decimal = ZERO
    cost: Decimal = ZERO
    realized_pnl: Decimal = ZERO
    commission: Decimal = ZERO

    @property
    def average_price(self) -> Decimal | None:
        """Return cost per unit, or None where nothing is held; of one fill it is its price."""
        return quantize(CONTEXT.divide(self.cost, self.quantity)) if self.quantity else None

    @property
    def net(self) -> Decimal:
        """Return realized PnL less commission."""
        return CONTEXT.subtract(self.realized_pnl, self.commission)


def quantize(value: Decimal) -> Decimal:
    """Return `value` to 10 places, half-even, as it is shown and most of it stored."""
    return value.quantize(PLACES, context=CONTEXT)


def apply_fill(
    held: Holding,
    *,
    side: Side,
    quantity: Decimal,
    price: Decimal,
    commission: Decimal,
    multiplier: Decimal,
) -> Holding:
    """Return the holding after a fill, at weighted average cost.

    `quantity` is positive, in contracts; `multiplier` is units per contract; both, and the price,
    have at most 10 places. One thing is rounded, half-even to 20 places: the share of the cost that
    closing a part takes. What it takes is what is gone, so that no money is lost: realized PnL less
    cost is the cash of all fills, to the last digit, and a stored and a folded holding are equal.
    """
    context = CONTEXT
    change = quantity * side.sign
    total = context.add(held.quantity, change)
    paid = context.add(held.commission, quantize(commission))
    if held.quantity * change >= 0:  # opening or adding: cost adds up
        cost = context.add(held.cost, context.multiply(change, price))
        return replace(held, quantity=total, cost=cost, commission=paid)

    closing = min(abs(change), abs(held.quantity)).copy_sign(held.quantity)
    if abs(closing) == abs(held.quantity):
        cost_closed = held.cost  # the whole: nothing may be left over from a division
    else:
        share = context.divide(context.multiply(held.cost, closing), held.quantity)
        cost_closed = share.quantize(COST_PLACES, context=context)
    gain = context.subtract(context.multiply(closing, price), cost_closed)
    realized_pnl = context.add(held.realized_pnl, context.multiply(gain, multiplier))
    if held.quantity * total > 0:  # reduced: what is left keeps its share of the cost
        cost = context.subtract(held.cost, cost_closed)
    else:  # flat, or flipped: what is over opens at the fill's price
        cost = context.multiply(total, price)
    return Holding(total, cost, realized_pnl, paid)


def unrealized_pnl(held: Holding, *, mark: Decimal, multiplier: Decimal) -> Decimal:
    """Return what closing at `mark` would add to realized PnL, in the quote currency, exactly."""
    value = CONTEXT.subtract(CONTEXT.multiply(held.quantity, mark), held.cost)
    return CONTEXT.multiply(value, multiplier)
