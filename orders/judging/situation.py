"""What is known when an order is judged: what it names, what it asks, and the state it meets."""

from dataclasses import dataclass
from datetime import datetime, time
from decimal import Decimal

from brokers.contract import OrderType, Side
from risk.facts import Change, GroupRisk, Held, KillLevel, Limit, SystemMode


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True)
class Situation:
    """The state an order is judged against."""

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
    account: Held
    strategy: Held
    closing_buys: Decimal
    closing_sells: Decimal
    best_buy: Decimal | None
    best_sell: Decimal | None
    same_at: datetime | None
    account_pnl: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The order that somebody asks for, as far as risk is concerned.

    `side` None closes what is held, `quantity` None all of it that can be closed; `excluding` is an
    order of ours whose place it takes, `filled` what that one has traded, `change` what the new
    terms do to it; `group` is what the whole risks that it is a leg of.
    """

    account: str
    strategy: str
    symbol: str
    side: Side | None
    quantity: Decimal | None
    order_type: OrderType = OrderType.MARKET
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    reduce_only: bool = False
    generated_at: datetime | None = None
    valid_until: datetime | None = None
    origin: str = "SIGNAL"
    approved_by: str | None = None
    client_id: int = 0
    key: str = ""
    change: Change | None = None
    excluding: int = 0
    filled: Decimal = Decimal(0)
    group: GroupRisk | None = None


class UnknownNames(Exception):
    """The account, the symbol, or both are unknown."""

    def __init__(self, *, account: bool, symbol: bool) -> None:
        super().__init__(account, symbol)
        self.account, self.symbol = account, symbol
