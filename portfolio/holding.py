"""What one fill does to a holding: netting, averaging, flipping, realized PnL."""

from dataclasses import dataclass, replace
from decimal import ROUND_HALF_EVEN, Context, Decimal

from brokers.contract import Side

ZERO = Decimal(0)
PLACES = Decimal("1E-10")
CONTEXT = Context(prec=50, rounding=ROUND_HALF_EVEN)


@dataclass(frozen=True, slots=True)
class Holding:
    """A signed quantity and its signed cost; short is negative in both.

    `cost` is quantity x price, before the multiplier. `realized_pnl` is in the quote currency,
    after the multiplier and before commission, which stands beside it, positive when it cost us.
    """

    quantity: Decimal = ZERO
    cost: Decimal = ZERO
    realized_pnl: Decimal = ZERO
    commission: Decimal = ZERO

    @property
    def average_price(self) -> Decimal | None:
        """Return cost per unit, or None where nothing is held."""
        return quantize(CONTEXT.divide(self.cost, self.quantity)) if self.quantity else None


def quantize(value: Decimal) -> Decimal:
    """Return `value` to 10 places, half-even, as it is stored."""
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

    `quantity` is positive, in contracts; `multiplier` is units per contract. Every money value is
    quantized here, in a context of 50 digits, so that a stored and a folded holding agree to the
    last digit whatever the caller's context.
    """
    context = CONTEXT
    change = quantity * side.sign
    total = context.add(held.quantity, change)
    paid = context.add(held.commission, quantize(commission))
    if held.quantity * change >= 0:  # opening or adding: cost adds up
        cost = quantize(context.add(held.cost, context.multiply(change, price)))
        return replace(held, quantity=total, cost=cost, commission=paid)

    closing = min(abs(change), abs(held.quantity)).copy_sign(held.quantity)
    if abs(closing) == abs(held.quantity):
        cost_closed = held.cost  # the whole: nothing may be left over from a division
    else:
        cost_closed = quantize(context.divide(context.multiply(held.cost, closing), held.quantity))
    gain = context.subtract(context.multiply(closing, price), cost_closed)
    realized_pnl = quantize(context.add(held.realized_pnl, context.multiply(gain, multiplier)))
    if held.quantity * total > 0:  # reduced: what is left keeps its share of the cost
        cost = context.subtract(held.cost, cost_closed)
    else:  # flat, or flipped: what is over opens at the fill's price
        cost = quantize(context.multiply(total, price))
    return Holding(total, cost, realized_pnl, paid)


def unrealized_pnl(held: Holding, *, mark: Decimal, multiplier: Decimal) -> Decimal:
    """Return what closing at `mark` would add to realized PnL, in the quote currency."""
    value = CONTEXT.subtract(CONTEXT.multiply(held.quantity, mark), held.cost)
    return quantize(CONTEXT.multiply(value, multiplier))
