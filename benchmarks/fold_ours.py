"""Folds random fills with portfolio/holding.py; prints fills a second as JSON."""

import json
import time
from decimal import Decimal

from benchmarks.random_fills import COUNT, fills
from brokers.contract import Side
from portfolio.holding import Holding, apply_fill

made = [
    (Side.BUY if buys else Side.SELL, Decimal(quantity), Decimal(price) / 1000, Decimal(fee) / 100)
    for buys, quantity, price, fee in fills()
]
held, one = Holding(), Decimal(1)
started = time.perf_counter()
for side, quantity, price, commission in made:
    held = apply_fill(
        held,
        side=side,
        quantity=quantity,
        price=price,
        commission=commission,
        multiplier=one,
    )
print(json.dumps({"per_second": COUNT / (time.perf_counter() - started)}))
