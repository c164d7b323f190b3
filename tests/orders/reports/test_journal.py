"""The trading journal."""

import csv
import io
from decimal import Decimal

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from brokers.contract import OrderType
from brokers.models import Instrument
from orders.booking import venue_reports
from orders.control import emergency
from orders.groups import advance
from orders.models import Fill, Order, OrderGroup
from orders.reports import journal
from orders.sending import submission
from portfolio.holding import quantize
from portfolio.models import Position
from risk.kills import TradingScope
from tests.orders.booking.histories import History
from tests.orders.conftest import now
from tests.orders.groups import option_market
from tests.orders.groups.option_market import symbol as option


@pytest.fixture
def export(capsys):
    """Export and read back."""

    def go(*arguments):
        capsys.readouterr()
        call_command("export_journal", *arguments)
        return list(csv.reader(io.StringIO(capsys.readouterr().out)))

    return go


@pytest.fixture
def rows(export):
    """Export, and return a dictionary a line."""

    def go(*arguments):
        header, *lines = export(*arguments)
        return [dict(zip(header, line, strict=True)) for line in lines]

    return go


def test_one_line_per_order(send, export):
    send(product="NRML", timeframe="5m", exchange="NSE")
    send("SELL", 3, order_type=OrderType.LIMIT, limit_price=Decimal(105), strategy="-1+2")

    header, first, second = export()

    assert " ".join(header) == (
        "timestamp order_id symbol side quantity price status exchange product strategy timeframe"
        " mode underlying account currency origin order_type filled_quantity commission"
        " commission_currency realized_pnl client_order_id venue_order_id signal_id group_id leg"
        " trade_ids trading_date filled_at"
    )
    assert " ".join(first[2:13]) == "AAPL BUY 10 101 FILLED NSE NRML alpha 5m AUTONOMOUS AAPL"
    assert second[2:7] == ["AAPL", "SELL", "3", "105", "ACCEPTED"]
    assert second[9] == "'-1+2"


@pytest.mark.parametrize(
    ("value", "safe"),
    [("=1+1", "'=1+1"), ("@x", "'@x"), ("-5", "-5"), ("+1.5", "+1.5"), ("-a", "'-a"), ("a", "a")],
)
def test_no_cell_is_run_as_a_formula(value, safe):
    assert journal._safe(value) == safe


def test_it_can_be_narrowed(send, export):
    send()

    assert len(export("--until", "2020-01-01T00:00:00Z")) == 1
    assert len(export("--since", "2020-01-01T00:00:00Z", "--account", "paper")) == 2
    with pytest.raises(CommandError, match="--account"):
        export("--account", "nobody")
    with pytest.raises(CommandError, match="--since"):
        export("--since", "yesterday")


def test_a_line_has_what_an_accountant_asks_for(send, rows):
    send(correlation_id="c1", signal_id="first")
    send("SELL", 4, signal_id="second")
    order = Order.objects.order_by("pk").first()

    opened, closed = rows()

    assert opened["account"] == "paper"
    assert (opened["currency"], opened["commission_currency"]) == ("USD", "USD")
    assert (opened["filled_quantity"], opened["commission"]) == ("10", "0.101")
    assert (opened["realized_pnl"], closed["realized_pnl"]) == ("0", "-8")
    assert opened["client_order_id"] == order.client_order_id
    assert opened["venue_order_id"] == order.venue_order_id != ""
    assert opened["trade_ids"] == Fill.objects.get(order=order).venue_trade_id
    assert (opened["signal_id"], closed["signal_id"]) == ("first", "second")
    assert (opened["group_id"], opened["leg"], opened["origin"]) == ("", "", "SIGNAL")
    assert opened["trading_date"] == order.trading_date.isoformat()


def test_legs_name_their_group_its_signal_their_mode_and_underlying(send, rows, trader_key):
    option_market.make()
    legs = [
        {"symbol": option(100, right), "action": "BUY", "quantity": "10"} for right in ("CE", "PE")
    ]
    body = {"signal_id": "g1", "strategy": "straddle", "type": "STRADDLE", "legs": legs}
    api = Client(headers={"authorization": trader_key})
    assert api.post("/api/v1/groups", body, content_type="application/json").status_code == 202
    for order in Order.objects.order_by("pk"):
        submission.transmit(order.pk, now=now())
    group = OrderGroup.objects.get()
    advance.advance(group.pk, now=now())

    first, second = rows()

    for leg in (first, second):
        assert (leg["underlying"], leg["mode"], leg["status"]) == ("IDX", "AUTONOMOUS", "FILLED")
        assert (leg["group_id"], leg["signal_id"]) == (str(group.pk), "g1")
    assert [first["leg"], second["leg"]] == ["0", "1"]
    assert (first["symbol"], second["symbol"]) == (option(100, "CE"), option(100, "PE"))


def test_an_order_without_a_signal_has_its_origin_and_its_mode(send, rows, trader):
    send()
    emergency.flatten(
        TradingScope(), accounts={"paper": 1}, actor="rita", reason="drill", now=now()
    )

    *_, closing = rows()

    assert (closing["origin"], closing["mode"], closing["side"]) == (
        "FLATTEN",
        "AUTONOMOUS",
        "SELL",
    )
    assert (closing["signal_id"], closing["product"]) == ("", "")


def test_what_orders_realized_and_paid_adds_up_to_their_position(account, valkey, rows):
    """Also where trades came late, twice, were busted and corrected."""
    instrument = Instrument.objects.get(symbol="AAPL")
    histories = [History(n, account, instrument) for n in range(30)]
    Order.objects.bulk_create(order for history in histories for order in history.orders)
    for history in histories:
        for batch in history.deliveries():
            venue_reports.book("paper", batch, now=now())

    told = rows()

    for position in Position.objects.all():
        mine = [row for row in told if row["strategy"] == position.strategy]
        made = sum(Decimal(row["realized_pnl"]) for row in mine)
        assert made == quantize(position.realized_pnl)
        assert sum(Decimal(row["commission"]) for row in mine) == position.commission
    assert sum(bool(row["trade_ids"]) for row in told) > 30
