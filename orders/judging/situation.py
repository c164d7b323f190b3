"""What is known when an order is judged: what it names, and the state it meets."""

from dataclasses import dataclass
from datetime import datetime, time
from decimal import Decimal

from brokers.contract import Side
from risk.facts import Held, KillLevel, Limit, SystemMode


@dataclass(frozen=True, slots=True, kw_only=True)
class References:
    """The connection and instrument an order names, and ids drawn for what it will become.

    `clock` is the market's time where the account's market is replayed, else None.
    """

    connection_id: int
    connection_enabled: bool
    roll_time: time
    roll_zone: str
    environment: str
    capital: Decimal | None
    reconciling: bool
    clock_offset: Decimal | None
    instrument_id: int
    kind: str
    currency: str
    multiplier: Decimal
    tick_size: Decimal
    lot_size: Decimal
    is_tradable: bool
    underlying: str
    freeze_quantity: Decimal | None
    min_notional: Decimal | None
    margin_rate: Decimal
    expires_at: datetime | None
    strike: Decimal | None
    right: str
    in_session: bool | None
    clock: datetime | None
    signal_id: int
    decision_id: int
    order_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """The state an order is judged against: the columns of situation_sql.py, by name.

    `stored_*` are of the signal that had this key before. `net`, `buys` and `sells` are the
    account's in the instrument, `own_*` the strategy's, `closing_*` what its reduce-only orders
    take; `best_*` the prices of the account's own working orders. `greeks` are one unit's.
    `same_at` is when the same order last came, `account_pnl` what the account has made.
    """

    stored_hash: str | None
    stored_status: int | None
    stored_answer: str | None
    stored_order: int | None
    mode: SystemMode
    live_trading_enabled: bool
    installation: str
    kill_level: KillLevel | None
    kill_scope: str
    breakers: tuple[str, ...]
    bid: Decimal | None
    ask: Decimal | None
    bid_size: Decimal | None
    ask_size: Decimal | None
    last: Decimal | None
    has_book: bool
    quoted_at: datetime | None
    limits: tuple[Limit, ...]
    allowed: tuple[tuple[str, ...], ...]
    denied: tuple[str, ...]
    greeks: list[Decimal] | None
    net: Decimal
    buys: Decimal
    sells: Decimal
    own_net: Decimal
    own_buys: Decimal
    own_sells: Decimal
    closing_buys: Decimal
    closing_sells: Decimal
    best_buy: Decimal | None
    best_sell: Decimal | None
    same_at: datetime | None
    account_pnl: Decimal | None

    @property
    def account(self) -> Held:
        """Return what the account holds and works in the instrument."""
        return Held(net=self.net, buys=self.buys, sells=self.sells)

    @property
    def strategy(self) -> Held:
        """Return what the strategy holds and works in the instrument."""
        return Held(net=self.own_net, buys=self.own_buys, sells=self.own_sells)

    def closable(self, side: Side) -> Decimal:
        """Return what `side` can still close: what is held less what working orders take."""
        held, taken = (
            (self.own_net, self.closing_sells)
            if side is Side.SELL
            else (-self.own_net, self.closing_buys)
        )
        return max(held - taken, Decimal(0))


class UnknownNames(Exception):
    """The account, the symbol, or both are unknown."""

    def __init__(self, *, account: bool, symbol: bool) -> None:
        super().__init__(account, symbol)
        self.account, self.symbol = account, symbol
