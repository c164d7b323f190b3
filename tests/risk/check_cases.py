"""The cases of the checks: what differs from an order that passes, and the codes it gets."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from brokers.contract import OrderType, Side
from brokers.instruments.kinds import InstrumentKind
from risk.facts import Change, Facts, GroupRisk, Held, KillLevel, Limit, SystemMode, UnitGreeks
from risk.limits import GREEK_OF, Metric

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
FINE = Facts(
    now=NOW,
    mode=SystemMode.AUTONOMOUS,
    connection_enabled=True,
    symbol="EURUSD",
    kind=InstrumentKind.FX,
    side=Side.BUY,
    quantity=Decimal(1000),
    generated_at=NOW,
    tick_size=Decimal("0.00001"),
    lot_size=Decimal(1000),
    is_tradable=True,
    bid=Decimal("1.10000"),
    ask=Decimal("1.10010"),
    quoted_at=NOW,
)
CLOSING = {"reduce_only": True, "closable": Decimal(2000), "side": Side.SELL}
HALTED = {"kill_level": KillLevel.HALTED}
REDUCING = {"kill_level": KillLevel.REDUCE_ONLY}
WIDER, NARROWER = Change.WIDENS, Change.NARROWS
APPROVED = {"mode": SystemMode.SUPERVISED, "approved_by": "rita"}
LIMIT = {"order_type": OrderType.LIMIT}
WIDE = {
    "bid": Decimal(100),
    "ask": Decimal(100),
    "tick_size": Decimal("0.01"),
    "lot_size": Decimal(1),
}  # a mid of 100
PNL = {"at": NOW}


def ago(seconds):
    return NOW - timedelta(seconds=seconds)


def limit(metric, value, **given):
    number = Limit(
        id=1, version=1, metric=metric, value=Decimal(str(value)), scope="everything", **given
    )
    return {"limits": (number,)}


SWITCHES = [
    ("nothing wrong", {}, set()),
    ("GUIDE refuses", {"mode": SystemMode.GUIDE}, {"system_mode"}),
    ("GUIDE refuses to widen", {"mode": SystemMode.GUIDE, "change": WIDER}, {"system_mode"}),
    ("so does SUPERVISED", {"mode": SystemMode.SUPERVISED, "change": WIDER}, {"system_mode"}),
    ("what a person approved", {**APPROVED, "change": WIDER}, set()),
    ("narrowing passes in GUIDE", {"mode": SystemMode.GUIDE, "change": NARROWER}, set()),
    ("narrowing passes a kill", {**HALTED, "change": NARROWER}, set()),
    (
        "narrowing to half a lot",
        {**HALTED, "change": NARROWER, "quantity": Decimal(500)},
        {"quantity_not_in_lots"},
    ),
    ("GUIDE lets flattening pass", {"mode": SystemMode.GUIDE, "origin": "FLATTEN"}, set()),
    ("a kill refuses", HALTED, {"kill_switch"}),
    ("reduce-only passes a REDUCE_ONLY kill", {**REDUCING, **CLOSING}, set()),
    ("an entry does not", REDUCING, {"kill_switch"}),
    ("nothing passes HALTED", {**HALTED, **CLOSING}, {"kill_switch"}),
    ("but flattening", {**HALTED, **CLOSING, "origin": "FLATTEN"}, set()),
    ("a breaker refuses", {"breakers": ("daily_loss: TRIPPED",)}, {"breaker"}),
    ("a breaker lets close", {"breakers": ("daily_loss: TRIPPED",), **CLOSING}, set()),
    ("a disabled connection", {"connection_enabled": False}, {"connection_enabled"}),
    (
        "a live connection with live trading off",
        {"environment": "live", "clock_offset": Decimal(0)},
        {"live_trading_enabled"},
    ),
    (
        "and on",
        {"environment": "live", "clock_offset": Decimal(0), "live_trading_enabled": True},
        set(),
    ),
    ("while reconciling", {"reconciling": True}, {"reconciling"}),
    ("closing while reconciling", {"reconciling": True, **CLOSING}, set()),
    ("clocks at their limit", {"clock_offset": Decimal("-0.5")}, set()),
    ("clocks past it", {"clock_offset": Decimal("0.500001")}, {"clock_offset"}),
    (
        "a live clock never compared",
        {"environment": "live", "live_trading_enabled": True},
        {"clock_offset"},
    ),
    ("in session", {"in_session": True}, set()),
    ("not in session", {"in_session": False}, {"market_open"}),
    ("signal at its age limit", {"generated_at": ago(300)}, set()),
    ("signal past it", {"generated_at": ago(300.000001)}, {"signal_age"}),
    (
        "signal past a limit set",
        {"generated_at": ago(61), **limit(Metric.SIGNAL_AGE_SECONDS, 60)},
        {"signal_age"},
    ),
    ("a clock 5 s ahead", {"generated_at": ago(-5)}, set()),
    ("a clock further ahead", {"generated_at": ago(-5.000001)}, {"signal_age"}),
    ("valid until now", {"valid_until": NOW}, set()),
    ("no longer valid", {"valid_until": ago(0.000001)}, {"signal_age"}),
    ("age not said", {"generated_at": None}, set()),
    ("last price where there is no book", {"bid": None, "ask": None, "last": Decimal(1)}, set()),
    ("no price", {"bid": None, "ask": None}, {"ltp_missing", "price_collar"}),
    ("nothing to sell to", {"side": Side.SELL, "bid": None}, {"ltp_missing", "price_collar"}),
    (
        "a last price is no bid",
        {"side": Side.SELL, "bid": None, "last": Decimal(1)},
        {"ltp_missing", "price_collar"},
    ),
    ("a last price where there is no book", {"bid": None, "ask": None, "last": Decimal(1)}, set()),
    (
        "no quote at all",
        {"bid": None, "ask": None, "quoted_at": None},
        {"ltp_missing", "quote_stale", "price_collar"},
    ),
    ("quote at its age limit", {"quoted_at": ago(10)}, set()),
    ("quote past it", {"quoted_at": ago(10.000001)}, {"quote_stale"}),
    ("FX spread at 50 basis points", {"bid": Decimal("0.9975"), "ask": Decimal("1.0025")}, set()),
    ("FX spread above", {"bid": Decimal("0.9974"), "ask": Decimal("1.0025")}, {"spread"}),
    (
        "a spread limit that applies takes the default's place",
        {"bid": Decimal("0.9974"), "ask": Decimal("1.0025"), **limit(Metric.MAX_SPREAD, 52)},
        set(),
    ),
    ("a wide spread does not hold up closing", {"bid": Decimal("0.98"), **CLOSING}, set()),
]
ORDER = [
    ("an index is not traded", {"is_tradable": False}, {"symbol_tradable"}),
    ("a moment before its cut-off", {"expires_at": ago(-0.000001)}, set()),
    ("at its cut-off", {"expires_at": ago(0)}, {"expired"}),
    ("denied", {"denied": ("EURUSD",)}, {"symbol_allowed"}),
    ("another symbol denied", {"denied": ("GBPUSD",)}, set()),
    ("on every allow list", {"allowed": (("EURUSD",), ("EURUSD", "GBPUSD"))}, set()),
    ("off one allow list", {"allowed": (("EURUSD",), ("GBPUSD",))}, {"symbol_allowed"}),
    ("a denied position can be closed", {"denied": ("EURUSD",), **CLOSING}, set()),
    ("half a lot", {"quantity": Decimal(1500)}, {"quantity_not_in_lots"}),
    (
        "a part of a position that is no whole number of lots",
        {**CLOSING, "quantity": Decimal(1500)},
        {"quantity_not_in_lots"},
    ),
    (
        "all that is left of one",
        {**CLOSING, "quantity": Decimal(1500), "closable": Decimal(1500)},
        set(),
    ),
    ("price on the tick", {"limit_price": Decimal("1.10001"), **LIMIT}, set()),
    ("price off the tick", {"limit_price": Decimal("1.100015"), **LIMIT}, {"price_off_tick"}),
    ("at the freeze quantity", {"freeze_quantity": Decimal(1000)}, set()),
    ("above it", {"freeze_quantity": Decimal(999), "lot_size": Decimal(1)}, {"freeze_quantity"}),
    ("closing above it too", {"freeze_quantity": Decimal(999), **CLOSING}, {"freeze_quantity"}),
    ("at the smallest notional", {"min_notional": Decimal("1100.1")}, set()),
    ("below it", {"min_notional": Decimal("1100.11")}, {"min_notional"}),
    ("closing below it", {"min_notional": Decimal(10**6), **CLOSING}, set()),
    ("at the quoted size", {"ask_size": Decimal(500), **limit(Metric.LIQUIDITY, 2)}, set()),
    ("above it", {"ask_size": Decimal(499), **limit(Metric.LIQUIDITY, 2)}, {"liquidity"}),
    ("size not quoted", limit(Metric.LIQUIDITY, 2), {"liquidity"}),
    ("limit at the collar", {**WIDE, **LIMIT, "limit_price": Decimal(102)}, set()),
    ("limit past it", {**WIDE, **LIMIT, "limit_price": Decimal("102.01")}, {"price_collar"}),
    ("a far passive limit", {**WIDE, **LIMIT, "limit_price": Decimal(1)}, set()),
    (
        "a sale below the collar",
        {**WIDE, **LIMIT, "side": Side.SELL, "limit_price": Decimal("97.99")},
        {"price_collar"},
    ),
    (
        "a market order into a far ask",
        {**WIDE, "bid": Decimal(95), "ask": Decimal(105), **limit(Metric.MAX_SPREAD, 10_000)},
        {"price_collar"},
    ),
    (
        "a stop may be far away",
        {**WIDE, "order_type": OrderType.STOP, "stop_price": Decimal(150)},
        set(),
    ),
    (
        "a stop's limit is judged against its stop",
        {
            **WIDE,
            "order_type": OrderType.STOP_LIMIT,
            "stop_price": Decimal(150),
            "limit_price": Decimal("153.01"),
        },
        {"price_collar"},
    ),
    ("quantity at its limit", limit(Metric.MAX_ORDER_QUANTITY, 1000), set()),
    ("quantity above it", limit(Metric.MAX_ORDER_QUANTITY, 999), {"max_order_quantity"}),
    ("closing above it", {**limit(Metric.MAX_ORDER_QUANTITY, 999), **CLOSING}, set()),
    (
        "notional at its limit: the ask and a collar of 2 %",
        limit(Metric.MAX_ORDER_NOTIONAL, "1122.102"),
        set(),
    ),
    ("above", limit(Metric.MAX_ORDER_NOTIONAL, "1122.101"), {"max_order_notional"}),
    (
        "the multiplier counts",
        {**limit(Metric.MAX_ORDER_NOTIONAL, "1122.102"), "multiplier": Decimal(2)},
        {"max_order_notional"},
    ),
    ("no order like it", limit(Metric.DUPLICATE_WINDOW, 5), set()),
    (
        "one at the window's end",
        {**limit(Metric.DUPLICATE_WINDOW, 5), "duplicate_age": Decimal(5)},
        {"duplicate_order"},
    ),
    (
        "one before",
        {**limit(Metric.DUPLICATE_WINDOW, 5), "duplicate_age": Decimal("5.000001")},
        set(),
    ),
    (
        "a buy at our own offer",
        {**LIMIT, "limit_price": Decimal("1.1001"), "crossed_price": Decimal("1.1001")},
        {"self_trade"},
    ),
    (
        "below it",
        {**LIMIT, "limit_price": Decimal("1.1"), "crossed_price": Decimal("1.1001")},
        set(),
    ),
    ("a market order meets it at the touch", {"crossed_price": Decimal("1.1001")}, {"self_trade"}),
    ("and not behind it", {"crossed_price": Decimal("1.10011")}, set()),
    ("closing meets it", {"crossed_price": Decimal("1.2"), **CLOSING}, set()),
    ("closing all that is held", {**CLOSING, "quantity": Decimal(2000)}, set()),
    ("closing more", {**CLOSING, "quantity": Decimal(3000)}, {"exceeds_closable"}),
    (
        "nothing to close",
        {**CLOSING, "closable": Decimal(0), "quantity": Decimal(0)},
        {"nothing_to_close"},
    ),
    ("position unknown", {"reduce_only": True}, {"reduce_only"}),
]
UNIT = {
    "greeks": UnitGreeks(
        delta=Decimal("0.5"),
        gamma=Decimal("0.06"),
        vega=Decimal("0.25"),
        theta=Decimal("-0.125"),
        rho=Decimal("-0.05"),
    )
}
OTHERS = {"used": Decimal(30), "low": Decimal(-10)}  # what can come of the rest of the book
#: 1,000 units more: on top of 30 where a unit is positive, below -10 where it is negative.
AFTER = {"delta": 530, "gamma": 90, "vega": 280, "theta": 135, "rho": 60}
GREEKS = [
    case
    for metric, name in GREEK_OF.items()
    for case in (
        (f"{name} at its limit", {**limit(metric, AFTER[name], **OTHERS), **UNIT}, set()),
        (f"{name} above", {**limit(metric, AFTER[name] - 1, **OTHERS), **UNIT}, {metric.value}),
        (f"{name} unknown", limit(metric, 10**6, **OTHERS), {metric.value}),
        (f"{name} of the rest unknown", {**limit(metric, 10**6), **UNIT}, {metric.value}),
        (f"closing whatever the {name}", {**limit(metric, 0, **OTHERS), **UNIT, **CLOSING}, set()),
    )
]
ALONE = {"used": Decimal(0), "low": Decimal(0)}
GREEKS += [
    (
        "vega with what works, all of it filled",
        {**limit(Metric.MAX_VEGA, 999, **ALONE), **UNIT, "account": Held(buys=Decimal(3000))},
        {"max_vega"},
    ),
    (
        "vega that the other side's working orders make worse already",
        {**limit(Metric.MAX_VEGA, 999, **ALONE), **UNIT, "account": Held(sells=Decimal(9000))},
        set(),
    ),
    (
        "a strategy's vega is of what the strategy holds",
        {
            **limit(Metric.MAX_VEGA, 250, by_strategy=True, **ALONE),
            **UNIT,
            "account": Held(net=Decimal(9000)),
        },
        set(),
    ),
    (
        "a hedge that makes vega smaller",
        {**limit(Metric.MAX_VEGA, 1, **ALONE), **UNIT, "account": Held(net=Decimal(-2000))},
        set(),
    ),
]
LOSS = {"group": GroupRisk(max_loss=Decimal("26.20"))}
GROUPS = [
    ("a group's loss at its limit", {**limit(Metric.MAX_GROUP_LOSS, "26.20"), **LOSS}, set()),
    ("above", {**limit(Metric.MAX_GROUP_LOSS, "26.19"), **LOSS}, {"max_group_loss"}),
    (
        "without bound",
        {
            **limit(Metric.MAX_GROUP_LOSS, 10**9),
            "group": GroupRisk(max_loss=None, unbounded=True),
        },
        {"max_group_loss"},
    ),
    (
        "not to be told",
        {**limit(Metric.MAX_GROUP_LOSS, 10**9), "group": GroupRisk(max_loss=None)},
        {"max_group_loss"},
    ),
    ("an order by itself has no group", limit(Metric.MAX_GROUP_LOSS, 0), set()),
]
HELD = Held(net=Decimal(3000), buys=Decimal(1000), sells=Decimal(500))
BOOK = [
    (
        "position at its limit",
        {**limit(Metric.MAX_POSITION, 5000), "account": HELD, "strategy": HELD},
        set(),
    ),
    (
        "the account's net above it",
        {**limit(Metric.MAX_POSITION, 4999), "account": HELD},
        {"max_position"},
    ),
    (
        "a strategy's limit looks at the strategy",
        {**limit(Metric.MAX_POSITION, 4999, by_strategy=True), "account": HELD},
        set(),
    ),
    (
        "selling reduces",
        {**limit(Metric.MAX_POSITION, 1500), "account": HELD, "side": Side.SELL},
        set(),
    ),
    (
        "a short counts as well",
        {**limit(Metric.MAX_POSITION, 999), "side": Side.SELL},
        {"max_position"},
    ),
    ("the last open order", limit(Metric.MAX_OPEN_ORDERS, 10, used=Decimal(9)), set()),
    ("one too many", limit(Metric.MAX_OPEN_ORDERS, 10, used=Decimal(10)), {"max_open_orders"}),
    (
        "exposure at its limit",
        limit(Metric.MAX_GROSS_EXPOSURE, "6122.102", used=Decimal(5000)),
        set(),
    ),
    (
        "above it",
        limit(Metric.MAX_GROSS_EXPOSURE, "6122.101", used=Decimal(5000)),
        {"max_gross_exposure"},
    ),
    (
        "something held has no price",
        limit(Metric.MAX_GROSS_EXPOSURE, 10**9),
        {"max_gross_exposure"},
    ),
    (
        "reducing passes above the limit",
        {
            **limit(Metric.MAX_GROSS_EXPOSURE, 1, used=Decimal(5000)),
            "account": Held(net=Decimal(-1000)),
        },
        set(),
    ),
    (
        "a share at its limit",
        {
            **limit(Metric.CONCENTRATION, "0.5", used=Decimal("377.898")),
            "capital": Decimal(3000),
        },
        set(),
    ),
    (
        "above it",
        {**limit(Metric.CONCENTRATION, "0.5", used=Decimal("377.899")), "capital": Decimal(3000)},
        {"concentration"},
    ),
    ("no capital set", limit(Metric.CONCENTRATION, 1, used=Decimal(0)), {"concentration"}),
    (
        "margin at its limit",
        {
            **limit(Metric.MARGIN_CUSHION, "1.5", used=Decimal(0)),
            "margin_rate": Decimal("0.1"),
            "capital": Decimal(200),
            "account_pnl": Decimal("-31.6847"),
        },
        set(),
    ),
    (
        "above it",
        {
            **limit(Metric.MARGIN_CUSHION, "1.5", used=Decimal(0)),
            "margin_rate": Decimal("0.1"),
            "capital": Decimal(200),
            "account_pnl": Decimal("-31.6848"),
        },
        {"margin"},
    ),
    ("margin without capital", limit(Metric.MARGIN_CUSHION, 1, used=Decimal(0)), {"margin"}),
    ("the last trade of the day", limit(Metric.DAILY_TRADES, 10, used=Decimal(9)), set()),
    ("one too many", limit(Metric.DAILY_TRADES, 10, used=Decimal(10)), {"daily_trades"}),
    (
        "closing is not counted",
        {**limit(Metric.DAILY_TRADES, 0, used=Decimal(10)), **CLOSING},
        set(),
    ),
    ("a loss below its limit", limit(Metric.DAILY_LOSS, 100, used=Decimal("-99.99"), **PNL), set()),
    ("a loss at it", limit(Metric.DAILY_LOSS, 100, used=Decimal(-100), **PNL), {"daily_loss"}),
    ("a day of profit", limit(Metric.DAILY_LOSS, 100, used=Decimal(500), **PNL), set()),
    ("an unknown PnL", limit(Metric.DAILY_LOSS, 100), {"daily_loss"}),
    (
        "a PnL of ten seconds ago",
        limit(Metric.DAILY_LOSS, 100, used=Decimal(0), at=ago(10)),
        set(),
    ),
    ("an older one", limit(Metric.DAILY_LOSS, 100, used=Decimal(0), at=ago(10.1)), {"daily_loss"}),
    ("below the peak", limit(Metric.DRAWDOWN, 50, used=Decimal("49.99"), **PNL), set()),
    ("at the limit below it", limit(Metric.DRAWDOWN, 50, used=Decimal(50), **PNL), {"drawdown"}),
    ("two losses of three", limit(Metric.LOSS_STREAK, 3, used=Decimal(2)), set()),
    ("three", limit(Metric.LOSS_STREAK, 3, used=Decimal(3)), {"loss_streak"}),
]
CASES = [*SWITCHES, *ORDER, *GREEKS, *GROUPS, *BOOK]
