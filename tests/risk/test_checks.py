"""Every check at, below and above its limit."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from brokers.contract import Side
from risk.checks import CheckStatus, Facts, KillLevel, SystemMode
from risk.gate import judge

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
FINE = Facts(
    now=NOW,
    mode=SystemMode.AUTONOMOUS,
    kill_active=False,
    kill_level=KillLevel.HALTED,
    connection_enabled=True,
    symbol="EURUSD",
    side=Side.BUY,
    quantity=Decimal(1000),
    limit_price=None,
    stop_price=None,
    reduce_only=False,
    closable=None,
    generated_at=NOW,
    valid_until=None,
    tick_size=Decimal("0.00001"),
    lot_size=Decimal(1000),
    is_tradable=True,
    bid=Decimal("1.10000"),
    ask=Decimal("1.10010"),
    last=None,
    quoted_at=NOW,
    allowed=(),
    denied=(),
    max_order_quantity=Decimal(5000),
    max_daily_trades=Decimal(10),
    trades_today=Decimal(0),
    max_quote_age=Decimal(10),
    max_signal_age=Decimal(300),
)
CLOSING = {"reduce_only": True, "closable": Decimal(2000), "side": Side.SELL}


def ago(seconds):
    return NOW - timedelta(seconds=seconds)


def failing(facts):
    return {c.code for c in judge(facts).checks if c.status is not CheckStatus.PASSED}


@pytest.mark.parametrize(
    ("_case", "change", "codes"),
    [
        ("nothing wrong", {}, set()),
        ("GUIDE refuses", {"mode": SystemMode.GUIDE}, {"system_mode"}),
        ("a kill refuses", {"kill_active": True}, {"kill_switch"}),
        (
            "reduce-only passes a REDUCE_ONLY kill",
            {"kill_active": True, "kill_level": KillLevel.REDUCE_ONLY, **CLOSING},
            set(),
        ),
        (
            "an entry does not",
            {"kill_active": True, "kill_level": KillLevel.REDUCE_ONLY},
            {"kill_switch"},
        ),
        ("nothing passes HALTED", {"kill_active": True, **CLOSING}, {"kill_switch"}),
        (
            "a disabled connection",
            {"connection_enabled": False},
            {"connection_enabled"},
        ),
        ("an index is not traded", {"is_tradable": False}, {"symbol_tradable"}),
        ("denied", {"denied": ("EURUSD",)}, {"symbol_allowed"}),
        ("another symbol denied", {"denied": ("GBPUSD",)}, set()),
        (
            "on every allow list",
            {"allowed": (("EURUSD",), ("EURUSD", "GBPUSD"))},
            set(),
        ),
        (
            "off one allow list",
            {"allowed": (("EURUSD",), ("GBPUSD",))},
            {"symbol_allowed"},
        ),
        ("a denied position can be closed", {"denied": ("EURUSD",), **CLOSING}, set()),
        ("signal at its age limit", {"generated_at": ago(300)}, set()),
        ("signal past it", {"generated_at": ago(300.000001)}, {"signal_age"}),
        ("a clock 5 s ahead", {"generated_at": ago(-5)}, set()),
        ("a clock further ahead", {"generated_at": ago(-5.000001)}, {"signal_age"}),
        ("valid until now", {"valid_until": NOW}, set()),
        ("no longer valid", {"valid_until": ago(0.000001)}, {"signal_age"}),
        ("age not said", {"generated_at": None}, set()),
        (
            "last price where there is no book",
            {"bid": None, "ask": None, "last": Decimal(1)},
            set(),
        ),
        ("no price", {"bid": None, "ask": None}, {"ltp_missing"}),
        (
            "no quote at all",
            {"ask": None, "quoted_at": None},
            {"ltp_missing", "quote_stale"},
        ),
        ("quote at its age limit", {"quoted_at": ago(10)}, set()),
        ("quote past it", {"quoted_at": ago(10.000001)}, {"quote_stale"}),
        ("half a lot", {"quantity": Decimal(1500)}, {"quantity_not_in_lots"}),
        ("price on the tick", {"limit_price": Decimal("1.10001")}, set()),
        (
            "price off the tick",
            {"limit_price": Decimal("1.100015")},
            {"price_off_tick"},
        ),
        ("quantity at its limit", {"quantity": Decimal(5000)}, set()),
        ("quantity above it", {"quantity": Decimal(6000)}, {"max_order_quantity"}),
        (
            "no quantity limit",
            {"quantity": Decimal(6000), "max_order_quantity": None},
            set(),
        ),
        ("the last trade of the day", {"trades_today": Decimal(9)}, set()),
        ("one too many", {"trades_today": Decimal(10)}, {"daily_trades"}),
        ("closing is not counted", {"trades_today": Decimal(10), **CLOSING}, set()),
        ("closing all that is held", {**CLOSING, "quantity": Decimal(2000)}, set()),
        ("closing more", {**CLOSING, "quantity": Decimal(3000)}, {"exceeds_closable"}),
        (
            "nothing to close",
            {**CLOSING, "closable": Decimal(0), "quantity": Decimal(0)},
            {"nothing_to_close"},
        ),
    ],
)
def test_verdicts(_case, change, codes):
    facts = replace(FINE, **change)

    assert failing(facts) == codes
    assert judge(facts).approved is not bool(codes)


def test_every_check_that_applies_is_kept_not_only_the_first_that_failed():
    facts = replace(FINE, mode=SystemMode.GUIDE, kill_active=True, quantity=Decimal(1500))

    assert failing(facts) == {"system_mode", "kill_switch", "quantity_not_in_lots"}
    assert len(judge(facts).checks) > len(failing(facts))


def test_stored_facts_make_the_same_verdict_again():
    facts = replace(FINE, denied=("X",), allowed=(("EURUSD",),), limit_price=Decimal("1.10001"))

    again = Facts.from_json(facts.as_json())
    assert again == facts
    assert judge(again) == judge(facts)
