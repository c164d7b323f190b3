"""The fills both sides of G3 fold: random, and never through flat, as Nautilus splits those."""

import random
import sys
from collections.abc import Iterator

COUNT = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000


def fills() -> Iterator[tuple[bool, int, int, int]]:
    """Yield whether it buys, the quantity, the price in thousandths, the commission in cents."""
    draw = random.Random(7)  # noqa: S311 data, not a secret
    held = 0
    for _ in range(COUNT):
        quantity = draw.randint(1, 50)
        buys = held - quantity <= 0 or draw.random() < 0.5
        held += quantity if buys else -quantity
        yield buys, quantity, draw.randint(90_000, 110_000), draw.randint(0, 200)
