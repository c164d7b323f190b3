"""Folds random fills with Nautilus' `Position.apply`; prints fills a second as JSON."""

import json
import time

from nautilus_trader.core.uuid import UUID4
from nautilus_trader.model.enums import LiquiditySide, OrderSide, OrderType
from nautilus_trader.model.events import OrderFilled
from nautilus_trader.model.identifiers import (
    AccountId,
    ClientOrderId,
    PositionId,
    StrategyId,
    TradeId,
    TraderId,
    VenueOrderId,
)
from nautilus_trader.model.objects import Money, Price, Quantity
from nautilus_trader.model.position import Position
from nautilus_trader.test_kit.providers import TestInstrumentProvider

from benchmarks.random_fills import COUNT, fills

CHUNK = 100

instrument = TestInstrumentProvider.equity()
made = [
    OrderFilled(
        trader_id=TraderId("T-1"),
        strategy_id=StrategyId("S-1"),
        instrument_id=instrument.id,
        client_order_id=ClientOrderId(f"O-{n}"),
        venue_order_id=VenueOrderId(f"V-{n}"),
        account_id=AccountId("SIM-1"),
        trade_id=TradeId(str(n)),
        position_id=PositionId("P-1"),
        order_side=OrderSide.BUY if buys else OrderSide.SELL,
        order_type=OrderType.MARKET,
        last_qty=Quantity.from_int(quantity),
        last_px=Price(price / 1000, 3),
        currency=instrument.quote_currency,
        commission=Money(fee / 100, instrument.quote_currency),
        liquidity_side=LiquiditySide.TAKER,
        event_id=UUID4(),
        ts_event=n,
        ts_init=n,
    )
    for n, (buys, quantity, price, fee) in enumerate(fills())
]
# Its `apply` looks for the trade among all that the position has seen, so that its cost grows with
# them: short positions show it at its best.
chunks = [made[n : n + CHUNK] for n in range(0, COUNT, CHUNK)]
applied, seconds = 0, 0.0
for chunk in chunks:
    position = Position(instrument, chunk[0])
    started = time.perf_counter()
    for fill in chunk[1:]:
        position.apply(fill)
    seconds += time.perf_counter() - started
    applied += len(chunk) - 1
print(json.dumps({"per_second": applied / seconds}))
