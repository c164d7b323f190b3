"""When a fast moving average crosses a slow one: pure."""

from collections import deque
from decimal import Decimal


class Cross:
    """The two averages of one symbol's prices, and the side the fast one is on."""

    def __init__(self, fast: int, slow: int) -> None:
        """Average over the last `fast` and the last `slow` prices, `fast` being the fewer."""
        self.fast, self.slow = fast, slow
        self._prices: deque[Decimal] = deque(maxlen=slow)
        self._fast_sum = self._slow_sum = Decimal(0)
        self._above: bool | None = None

    def turn(self, price: Decimal) -> str | None:
        """Add a price and return BUY or SELL where the fast average has crossed the slow one."""
        if len(self._prices) == self.slow:
            self._slow_sum -= self._prices[0]
        if len(self._prices) >= self.fast:
            self._fast_sum -= self._prices[-self.fast]
        self._prices.append(price)
        self._fast_sum += price
        self._slow_sum += price
        if len(self._prices) < self.slow:
            return None
        above = self._fast_sum * self.slow > self._slow_sum * self.fast
        was, self._above = self._above, above
        if was is None or was == above:
            return None
        return "BUY" if above else "SELL"
