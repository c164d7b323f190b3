"""A case: one order that somebody asks for. It travels whole from what it names to its verdict."""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from brokers.contract import OrderType, Side, TimeInForce
from orders.judging.situation import References
from risk.facts import Change, GroupRisk


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposed:
    """The order that somebody asks for, as far as risk is concerned.

    `side` None closes what is held, `quantity` None all of it that can be closed; `excluding` is an
    order of ours whose place it takes, `filled` what that one has traded, `change` what the new
    terms do to it; `group` is what the whole risks that it is a leg of. `client_id` and `key` are
    those of the signal, whose repeats wait; what is not a signal has a key of its own.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderSpec:
    """What an order is beyond what risk judges it by.

    `client` (a name), `leg` and the key of what is proposed make, with account and strategy, the
    id that it has at its venue; `closes_leg` is the leg of a group that it closes.
    """

    client: str
    leg: int = 0
    closes_leg: int | None = None
    time_in_force: TimeInForce = TimeInForce.DAY
    expires_at: datetime | None = None
    post_only: bool = False
    reference_price: Decimal | None = None
    correlation_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What is asked, and what it names. Without a `spec` no order is made of it.

    `now` is the wall's time, `day` the account's trading day. `shared` are, once they are locked,
    the limits that orders in different instruments take from: the metric of each, and whether it
    spans accounts.
    """

    proposed: Proposed
    spec: OrderSpec | None
    references: References
    now: datetime
    day: date
    shared: tuple[tuple[str, bool], ...] = ()
