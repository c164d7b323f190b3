"""Whatever closes risk converges: what is turned away, cut or raced ends flat, or is told of."""

from decimal import Decimal

import pytest

from brokers import registry
from brokers.contract import OrderType, Side
from brokers.models import BrokerConnection, PaperOrder, Quote
from brokers.paper.venue import ledger_positions
from execution_site.floor.events import Event, EventType
from execution_site.rest.idempotency import once
from orders.booking import venue_reports
from orders.control import emergency, mass_actions
from orders.judging import closing
from orders.lifecycle import OrderStatus, PendingAction
from orders.models import MassAction, Order, PositionClose
from orders.sending import submission, venue_queries
from orders.sending.grants import claim_and_grant
from portfolio.models import Position
from risk.facts import KillLevel
from risk.kills import TradingScope
from tests.clock import now

EVERYTHING = TradingScope()


def held(**position):
    return sum(Position.objects.filter(**position).values_list("quantity", flat=True))


def flatten(scope=EVERYTHING):
    return emergency.flatten(scope, accounts=["paper"], actor="rita", reason="a drill", now=now())


def work():
    """Do, once, what the workers do of what waits, as if its time had come."""
    for rows in (PositionClose.objects, MassAction.objects):
        rows.filter(status="WORKING").update(due_at=now())
    for order in Order.objects.due(now=now()):
        submission.transmit(order.pk, now=now())
    for order in Order.objects.filter(pending_action=PendingAction.CANCEL):
        venue_queries.cancel(order.pk, now=now())
    for close in PositionClose.objects.due(now=now()):
        closing.advance(close.pk, now=now())
    for action in MassAction.objects.due(now=now()):
        mass_actions.take_over(action.pk, now=now())


def work_until(done, *, rounds=30):
    """Let the workers go on until it is done."""
    for _ in range(rounds):
        if done():
            return
        work()
    pytest.fail(f"not done after {rounds} rounds: {list(PositionClose.objects.values())}")


def all_done():
    return not PositionClose.objects.filter(status="WORKING").exists()


def turn_away(account, *, chance):
    """Have the venue refuse with this chance from now on."""
    account.settings = {**account.settings, "reject_probability": str(chance), "seed": 5}
    account.save(update_fields=["settings"])


@pytest.mark.parametrize(
    ("_case", "order", "on_request", "expected"),
    [
        ("refused by its venue", {"status": "REJECTED"}, False, True),
        ("never arrived", {"status": "FAILED"}, False, True),
        ("cut by its venue", {"status": "CANCELLED", "claimed_at": now()}, False, True),
        (
            "half filled and cut",
            {"status": "CANCELLED", "claimed_at": now(), "filled": 4},
            0,
            True,
        ),
        (
            "less could be closed at the grant",
            {"status": "CANCELLED", "status_reason": "nothing_to_close"},
            False,
            True,
        ),
        ("a market order's day ended", {"status": "EXPIRED", "claimed_at": now()}, False, True),
        ("filled", {"status": "FILLED", "filled": 10}, False, False),
        (
            "cut when all was filled",
            {"status": "CANCELLED", "claimed_at": now(), "filled": 10},
            0,
            0,
        ),
        ("a person cancelled it", {"status": "CANCELLED", "claimed_at": now()}, True, False),
        ("stopped by a kill", {"status": "CANCELLED", "status_reason": "kill_switch"}, 0, False),
        ("its signal grew old", {"status": "EXPIRED", "status_reason": "signal_expired"}, 0, False),
        (
            "immediate or cancel",
            {"status": "CANCELLED", "claimed_at": now(), "time_in_force": "IOC"},
            False,
            False,
        ),
        (
            "a limit order's time was over",
            {"status": "EXPIRED", "claimed_at": now(), "order_type": "LIMIT"},
            False,
            False,
        ),
        (
            "a dry run",
            {"status": "CANCELLED", "claimed_at": now(), "status_reason": "dry_run"},
            0,
            0,
        ),
        ("still working", {"status": "ACCEPTED", "claimed_at": now()}, False, False),
    ],
)
def test_what_counts_as_turned_away(_case, order, on_request, expected):
    columns = {"quantity": Decimal(10), "order_type": "MARKET", "time_in_force": "DAY", **order}
    filled = Decimal(columns.pop("filled", 0))
    row = Order(filled_quantity=filled, amended_quantity=Decimal(0), **columns)

    assert closing.was_turned_away(row, on_request=bool(on_request)) is bool(expected)


def test_a_flattening_that_its_venue_refuses_is_sent_again_until_flat(send, account):
    send("BUY", 10)
    turn_away(account, chance=1)
    action = flatten()
    work()
    assert Order.objects.get(origin="FLATTEN").status == OrderStatus.REJECTED
    assert held() == 10

    turn_away(account, chance=0)
    work_until(all_done)
    assert held() == 0
    assert mass_actions.describe(MassAction.objects.get(pk=action.pk))["status"] == "DONE"


def test_a_venue_that_refuses_for_long_is_told_of_once_and_tried_on(send, account):
    send("BUY", 10)
    turn_away(account, chance=1)
    action = flatten()
    for _ in range(12):
        work()

    close = PositionClose.objects.get()
    assert close.status == "WORKING"
    assert close.sent > closing.ALERT_TURNED_AWAY
    told = Event.objects.filter(type=EventType.RECONCILIATION, data__close=close.pk)
    assert told.count() == 1
    left = mass_actions.describe(action)["left"]["positions"]
    assert [(row["held"], row["sent"]) for row in left] == [("10", close.sent)]
    assert "refused on request" in left[0]["result"]


def test_two_strategies_flattened_at_once_are_not_turned_away_by_a_venue_that_knows_their_net(send):
    """The venue holds 2; told that closing 12 only reduces, it would refuse."""
    send("BUY", 12)
    send("SELL", 10, strategy="beta")
    flatten()
    work_until(lambda: held(strategy="alpha") == 0 == held(strategy="beta"))

    assert not Order.objects.filter(status=OrderStatus.REJECTED).exists()
    assert ledger_positions("paper").get("AAPL", Decimal(0)) == 0


@pytest.mark.parametrize(
    ("_case", "others", "reduces"),
    [
        ("nothing else works", [], True),
        ("what else works leaves enough", [("beta", "SELL", 4)], True),
        ("what else works may leave too little", [("beta", "SELL", 5)], False),
        ("what works on the other side leaves more", [("beta", "BUY", 5)], True),
    ],
)
def test_the_venue_is_told_that_an_order_only_reduces_where_it_does_whatever_fills_first(
    send, _case, others, reduces
):
    """The account holds 10: 6 of alpha's, which are closed, and 4 of gamma's."""
    send("BUY", 6)
    send("BUY", 4, strategy="gamma")
    for strategy, side, quantity in others:
        limit = Decimal(150) if side == "SELL" else Decimal(50)
        send(side, quantity, strategy=strategy, order_type=OrderType.LIMIT, limit_price=limit)
    closing_order = send("EXIT", None, transmit=False).order_id

    grant = claim_and_grant(closing_order, now=now())

    assert (grant.request.quantity, grant.request.reduce_only) == (6, reduces)


def test_an_exit_that_was_turned_away_is_worked_out_again(send, account):
    send("BUY", 10)
    turn_away(account, chance=1)
    first = Order.objects.get(pk=send("EXIT", None).order_id)
    assert first.status == OrderStatus.REJECTED
    turn_away(account, chance=0)
    send("SELL", 4, reduce_only=True)  # meanwhile somebody closes a part

    work_until(all_done)
    again = Order.objects.get(origin="EXIT")
    (close,) = closing.of_order(first)
    assert closing.describe(close)["result"] == "closed"
    assert (again.side, again.quantity, again.status) == (Side.SELL, 6, OrderStatus.FILLED)
    assert held() == 0
    assert again.client_order_id != first.client_order_id


def test_an_exit_of_a_part_closes_that_part_and_no_more(send, account):
    send("BUY", 10)
    turn_away(account, chance=1)
    send("EXIT", 3)
    turn_away(account, chance=0)

    work_until(all_done)
    assert held() == 7


def test_an_exit_that_a_newer_entry_has_overtaken_closes_nothing(send, account):
    send("BUY", 10)
    turn_away(account, chance=1)
    send("EXIT", None)
    turn_away(account, chance=0)
    send("BUY", 5)

    work_until(all_done)
    assert held() == 15
    assert PositionClose.objects.get().detail == "overtaken by a newer entry"


def test_an_exit_that_a_person_cancels_stays_cancelled(send):
    send("BUY", 10)
    limit = {"order_type": OrderType.LIMIT, "limit_price": Decimal(150)}
    resting = send("EXIT", None, **limit).order_id
    emergency.request_cancel(resting, actor="rita", now=now())
    work()

    assert Order.objects.get(pk=resting).status == OrderStatus.CANCELLED
    assert not PositionClose.objects.exists()


def test_an_entry_that_fills_while_it_is_cancelled_is_closed_too(send):
    """The order is on its way when flattening begins: it fills, and is not forgotten."""
    flying = send("BUY", 10, transmit=False).order_id
    grant = claim_and_grant(flying, now=now())
    report = registry.adapter_for("paper").submit(grant)
    action = flatten()
    assert action.status == "WORKING"
    venue_reports.book("paper", [report], now=now())
    assert held() == 10

    work_until(all_done)
    assert held() == 0
    work()
    assert MassAction.objects.get().status == "DONE"


def test_what_cannot_be_closed_now_waits_and_is_closed_when_it_can(send, quote):
    send("BUY", 10)
    Quote.objects.all().delete()
    action = flatten()
    assert "no quote" in mass_actions.describe(action)["closed"][0]["result"]

    quote("AAPL", bid=99, ask=101)
    work_until(all_done)
    assert held() == 0


def test_a_withdrawn_flattening_sends_nothing_more(send):
    send("BUY", 10)
    Quote.objects.all().delete()
    action = flatten()
    with once():
        mass_actions.withdraw(action.pk, actor="rita", reason="by hand then", now=now())
    for _ in range(5):
        work()

    assert not Order.objects.filter(origin="FLATTEN").exists()
    assert held() == 10
    with once(), pytest.raises(mass_actions.NotWithdrawable):
        mass_actions.withdraw(action.pk, actor="rita", reason="again", now=now())


@pytest.mark.parametrize(
    ("level", "left"), [(KillLevel.REDUCE_ONLY, ["EXIT"]), (KillLevel.HALTED, [])]
)
def test_a_kill_that_lets_reducing_pass_leaves_the_protective_orders(send, level, left):
    send("BUY", 10)
    stop = {"order_type": OrderType.STOP, "stop_price": Decimal(90)}
    send("EXIT", None, **stop)
    send("BUY", 1, order_type=OrderType.LIMIT, limit_price=Decimal(50))
    emergency.kill(
        EVERYTHING,
        level=level,
        actor="rita",
        reason="a drill",
        accounts=["paper"],
        cancel_open=True,
        flatten_too=False,
        now=now(),
    )
    work()

    working = Order.objects.open().select_related("signal")
    assert [order.signal.action for order in working] == left
    assert list(
        PaperOrder.objects.exclude(status__in=["CANCELLED", "FILLED"]).values_list(
            "order_type", flat=True
        )
    ) == ["STOP" for _ in left]


def test_a_disabled_connection_keeps_what_it_holds_in_sight(send, account):
    send("BUY", 10)
    BrokerConnection.objects.update(is_enabled=False)
    action = flatten()
    for _ in range(4):
        work()
    assert "connection_enabled" in mass_actions.describe(action)["left"]["positions"][0]["result"]

    BrokerConnection.objects.update(is_enabled=True)
    work_until(all_done)
    assert held() == 0


def test_a_partial_fill_that_is_cut_closes_the_rest(send, quote, account):
    send("BUY", 10)
    quote("AAPL", bid=99, ask=101, bid_size=4)
    flatten()
    work()
    order = Order.objects.get(origin="FLATTEN")
    assert (order.filled_quantity, order.status) == (4, OrderStatus.PARTIALLY_FILLED)
    emergency.request_cancel(order.pk, actor="the venue's desk", now=now())
    quote("AAPL", bid=98, ask=100, bid_size=100)

    work_until(all_done)
    assert held() == 0
