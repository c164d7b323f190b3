"""What groups hold and have made, whoever closed their legs: figures, statuses, cost."""

import importlib
import itertools
import random
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from brokers.contract import FillKind, FillReport, Liquidity, OrderReport, Side, VenueStatus
from orders.booking import venue_reports
from orders.control import emergency
from orders.group_states import GroupType
from orders.groups import advance, sharing, view
from orders.intake import submit_group
from orders.intake.group_legs import GroupRequest, LegRequest
from orders.intake.requests import SignalRequest
from orders.intake.submit_signal import submit_signal
from orders.models import Action, Order, OrderGroup, Origin, PositionShare, SharedPosition
from orders.models.share import BEHIND
from orders.reports.agreement import differences
from orders.sending import submission
from portfolio.models import Position
from risk.kills import TradingScope
from tests.clock import now
from tests.orders.groups import option_market
from tests.orders.groups.option_market import symbol

_ids = itertools.count()
SPREAD = ((90, "PE", "BUY"), (95, "PE", "SELL"))


@pytest.fixture
def submit(account, trader, valkey):
    """Submit a group and have it filled: `submit((90, "PE", "BUY"), ...)` -> the group."""
    option_market.make()

    def send(*legs, quantity=10):
        option_market.quote()
        request = GroupRequest(
            signal_id=f"g{next(_ids)}",
            strategy="s",
            account="paper",
            type=GroupType.CUSTOM,
            legs=[
                LegRequest(symbol=symbol(k, r), side=Side(side), quantity=Decimal(quantity))
                for k, r, side in (legs or SPREAD)
            ],
            body={"n": next(_ids)},
        )
        outcome = submit_group.submit_group(request, client=trader, now=now())
        assert outcome.status == 202, outcome.body
        work()
        return OrderGroup.objects.get(pk=outcome.group_id)

    return send


@pytest.fixture
def signal(trader):
    """Submit a plain signal of the groups' strategy: `signal(90, "PE", "SELL", 10)`."""

    def send(strike, right, action, quantity=None):
        option_market.quote()
        request = SignalRequest(
            signal_id=f"x{next(_ids)}",
            strategy="s",
            account="paper",
            symbol=symbol(strike, right),
            action=Action(action),
            quantity=None if quantity is None else Decimal(quantity),
            body={"n": next(_ids)},
        )
        outcome = submit_signal(request, client=trader, now=now())
        assert outcome.status == 202, outcome.body
        work()

    return send


def work(rounds=6):
    """Do what the sweeper would find to do."""
    option_market.quote()
    for _ in range(rounds):
        for group_id in {
            *advance.due(now=now()),
            *OrderGroup.objects.filter(due_at__isnull=False).values_list("pk", flat=True),
        }:
            advance.advance(group_id, now=now())
        for order_id in Order.objects.due(now=now()).values_list("pk", flat=True):
            submission.transmit(order_id, now=now())


def flatten():
    emergency.flatten(TradingScope(), accounts=["paper"], actor="rita", reason="out", now=now())
    work()


def held(group):
    """Return what each leg of a group holds, as the API says."""
    return [Decimal(leg["quantity"]) for leg in view.describe(group)["pnl"]["legs"]]


def shares_agree():
    """Compare the shares of every position with the position: kept ones, and as read now."""
    for group_id in OrderGroup.objects.values_list("pk", flat=True):
        sharing.keep(group_id)
    assert not SharedPosition.objects.filter(BEHIND).exists()
    for position in Position.objects.filter(pk__in=SharedPosition.objects.values("pk")):
        shares = [share.holding for share in PositionShare.objects.filter(position=position.pk)]
        assert sum(share.quantity for share in shares) == position.quantity
        assert sum(share.commission for share in shares) == position.commission
        if not position.quantity:
            assert sum(share.realized_pnl for share in shares) == position.realized_pnl
    assert list(differences(["paper"])) == []


CLOSINGS = {
    "a flatten": lambda group, signal: flatten(),
    "the strategy's exits": lambda group, signal: [
        signal(90, "PE", "EXIT"),
        signal(95, "PE", "EXIT"),
    ],
    "plain opposite signals": lambda group, signal: [
        signal(95, "PE", "BUY", 20),
        signal(90, "PE", "SELL", 20),
    ],
    "in parts": lambda group, signal: [
        signal(95, "PE", "BUY", 20),
        signal(90, "PE", "SELL", 10),
        flatten(),
    ],
    "its own exit": lambda group, signal: [
        advance.request_exit(group.pk, reason="out", now=now()),
        work(8),
    ],
}


@pytest.mark.parametrize("how", CLOSINGS)
def test_whoever_closes_a_group_it_is_closed_and_its_figures_stand_still(submit, signal, how):
    group = submit(quantity=20)
    opened = view.describe(group)
    assert (group.status, held(group)) == ("FILLED", [20, -20])

    CLOSINGS[how](group, signal)

    group.refresh_from_db()
    assert group.status == "CLOSED"
    assert group.due_at is None
    shown = view.describe(group)
    assert held(group) == [0, 0]
    assert shown["held"] is None
    assert shown["actual"] == opened["actual"] == opened["held"]
    assert set(shown["greeks"].values()) == {0.0}
    (row,) = view.rows([group])
    assert set(row["held"].values()) == {None}
    positions = Position.objects.all()
    made = sum(p.realized_pnl for p in positions)
    assert Decimal(shown["pnl"]["realized_pnl"]) == made != 0
    assert Decimal(shown["pnl"]["unrealized_pnl"]) == 0
    assert Decimal(shown["pnl"]["commission"]) == sum(p.commission for p in positions)
    option_market.quote(104.0)
    assert view.describe(group)["pnl"] == shown["pnl"]
    with pytest.raises(advance.NotExitable):
        advance.request_exit(group.pk, reason="again", now=now())
    shares_agree()


def test_a_group_that_still_holds_a_leg_stays_and_shows_that_leg_alone(submit, signal):
    group = submit()
    assert view.describe(group)["held"]["max_loss"] is not None

    signal(95, "PE", "EXIT")

    group.refresh_from_db()
    assert (group.status, held(group)) == ("FILLED", [10, 0])
    shown = view.describe(group)
    assert Decimal(shown["held"]["net_debit"]) > 0 > Decimal(shown["actual"]["net_debit"])
    advance.request_exit(group.pk, reason="out", now=now())
    work(8)
    group.refresh_from_db()
    assert group.status == "CLOSED"
    shares_agree()


def test_a_kept_group_is_closed_once_nothing_of_it_is_held(submit):
    group = submit()
    OrderGroup.objects.update(status="PARTIALLY_FILLED", on_leg_failure="KEEP", failure="a leg")

    flatten()

    group.refresh_from_db()
    assert group.status == "CLOSED"


def test_what_no_group_holds_is_closed_first_then_the_oldest_groups(submit, signal):
    signal(90, "PE", "BUY", 10)
    first, second = submit(quantity=20), submit(quantity=20)

    signal(90, "PE", "SELL", 40)

    assert (held(first)[0], held(second)[0]) == (0, 10)
    advance.request_exit(second.pk, reason="out", now=now())
    work(8)
    second.refresh_from_db()
    assert second.status == "CLOSED"
    assert Position.objects.get(instrument__symbol=symbol(90, "PE")).quantity == 0
    assert held(first) == [0, -20]
    shares_agree()


def test_a_group_that_trades_against_another_closes_it(submit):
    first = submit()

    second = submit((90, "PE", "SELL"), (95, "PE", "BUY"))

    first.refresh_from_db(), second.refresh_from_db()
    assert (first.status, second.status) == ("CLOSED", "CLOSED")
    assert held(first) == held(second) == [0, 0]
    assert set(Position.objects.values_list("quantity", flat=True)) == {0}
    shares_agree()


def report(order, *, trade, side, quantity, price, kind=FillKind.NEW, revision=0, ago=0):
    fill = FillReport(
        client_order_id=order.client_order_id,
        venue_order_id=order.venue_order_id,
        venue_trade_id=trade,
        symbol=order.instrument.symbol,
        side=side,
        quantity=Decimal(quantity),
        price=Decimal(price),
        commission=Decimal(0),
        commission_currency="USD",
        liquidity=Liquidity.TAKER,
        traded_at=now() - timedelta(seconds=ago),
        kind=kind,
        revision=revision,
    )
    told = OrderReport(
        client_order_id=order.client_order_id,
        venue_order_id=order.venue_order_id,
        status=VenueStatus(order.status),
        filled_quantity=order.traded_quantity,
        fills=(fill,),
        reported_at=now(),
    )
    venue_reports.book("paper", [told], now=now())


@pytest.mark.parametrize("kept", [True, False])
def test_a_bust_of_what_closed_a_leg_gives_it_back_and_it_is_closed_again(submit, kept):
    group = submit()
    advance.request_exit(group.pk, reason="out", now=now())
    work(8)
    closing = group.orders.get(leg=0, origin=Origin.UNWIND)
    trade = closing.fills.get()

    report(
        closing,
        trade=trade.venue_trade_id,
        side=Side.SELL,
        quantity=0,
        price=0,
        kind=FillKind.BUST,
        revision=1,
    )

    if kept:
        sharing.keep(group.pk)
    assert held(group) == [10, 0]
    work()
    group.refresh_from_db()
    assert group.status == "UNWINDING"
    again = group.orders.filter(origin=Origin.UNWIND).latest("pk")
    assert (again.leg, again.side, again.quantity) == (0, "SELL", 10)
    assert again.pk != closing.pk
    shares_agree_but_for_the_venue()


def test_a_bust_of_an_entry_that_was_closed_leaves_what_closed_it_which_is_closed_too(submit):
    group = submit()
    advance.request_exit(group.pk, reason="out", now=now())
    work(8)
    entry = group.orders.get(leg=0, origin=Origin.SIGNAL)

    report(
        entry,
        trade=entry.fills.get().venue_trade_id,
        side=Side.BUY,
        quantity=0,
        price=0,
        kind=FillKind.BUST,
        revision=1,
    )

    assert held(group) == [-10, 0]
    work()
    again = group.orders.filter(origin=Origin.UNWIND).latest("pk")
    assert (again.leg, again.side, again.quantity) == (0, "BUY", 10)


@pytest.mark.parametrize("kept", [True, False])
def test_a_correction_and_a_late_fill_count_where_they_belong(submit, signal, kept):
    group = submit()
    entry = group.orders.get(leg=0, origin=Origin.SIGNAL)
    signal(90, "PE", "SELL", 10)
    before = Decimal(view.describe(group)["pnl"]["legs"][0]["realized_pnl"])
    if kept:
        sharing.keep(group.pk)
    trade = entry.fills.get()

    report(
        entry,
        trade=trade.venue_trade_id,
        side=Side.BUY,
        quantity=10,
        price=trade.price + 1,
        kind=FillKind.CORRECTION,
        revision=1,
    )

    leg = view.describe(group)["pnl"]["legs"][0]
    assert Decimal(leg["realized_pnl"]) == before - 10
    plain = Order.objects.filter(group=None).get()
    report(plain, trade="late", side=Side.SELL, quantity=3, price=1, ago=3600)
    sold, bought = plain.fills.earliest("pk").price, trade.price + 1
    leg = view.describe(group)["pnl"]["legs"][0]
    assert Decimal(leg["realized_pnl"]) == 7 * (sold - bought)  # 3 had closed what was sold before
    assert held(group)[0] == 0
    shares_agree_but_for_the_venue()


def shares_agree_but_for_the_venue():
    """The paper venue knows nothing of what a test reports in its name."""
    for group_id in OrderGroup.objects.values_list("pk", flat=True):
        sharing.keep(group_id)
    for position in Position.objects.all():
        shares = PositionShare.objects.filter(position=position.pk)
        assert sum(share.quantity for share in shares) == position.quantity


def test_shares_kept_step_by_step_are_those_of_one_walk(submit, signal):
    rng = random.Random(3)
    for _ in range(3):
        submit()
    for _ in range(12):
        signal(90, "PE", rng.choice(["BUY", "SELL"]), 10 * rng.randint(1, 3))
    shares_agree()
    kept = list(PositionShare.objects.order_by("pk").values_list())

    SharedPosition.objects.update(seen_at=None, through=0, newest=None, amendments=0)
    PositionShare.objects.update(quantity=0, cost=0, realized_pnl=0, commission=0)
    shares_agree()

    assert list(PositionShare.objects.order_by("pk").values_list()) == kept


def test_a_page_of_groups_reads_no_history_and_as_many_statements_as_one_group(submit, signal):
    for _ in range(3):
        submit()
    for _ in range(3):
        signal(90, "PE", "BUY", 10)
    work()

    found = list(view.of_accounts(["paper"]))
    with CaptureQueriesContext(connection) as one:
        view.rows(found[:1])
    with CaptureQueriesContext(connection) as many:
        view.rows(found)

    assert len(many) == len(one) == 2
    assert not [query for query in many if 'FROM "orders_fill"' in query["sql"]]


def test_the_migration_finds_the_groups_that_there_are(submit):
    group = submit()
    flatten_before = held(group)
    PositionShare.objects.all().delete()
    SharedPosition.objects.all().delete()

    with connection.cursor() as cursor:
        cursor.execute(importlib.import_module("orders.migrations.0013_position_shares").BEGIN)

    assert group.pk in advance.due(now=now())
    advance.advance(group.pk, now=now())
    assert held(group) == flatten_before == [10, -10]
    shares_agree()
