"""The paper venue's ledger: on disk, in order, complete, and clear about what it cannot know."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connections
from django.test.utils import CaptureQueriesContext

from brokers.contract import BrokerUnavailable, OutcomeUnknown, Side, VenueStatus
from brokers.models import BrokerConnection, Instrument, PaperOrder, PaperReport, Quote
from brokers.paper.venue import PAGE, PaperVenue, ledger_positions, match
from tests.clock import now

BUY, SELL = Side.BUY, Side.SELL


def test_it_is_committed_before_the_answer(send, server):
    send(BUY, 10)

    lines = server.execute("SELECT status FROM brokers_paperreport ORDER BY id").fetchall()
    assert lines == [("ACCEPTED",), ("FILLED",)]


def test_it_is_on_disk_before_the_answer(send, server):
    """Without the flush the log's end is behind at nearly every answer."""
    behind = 0
    for _ in range(20):
        send(BUY, 1)
        ends = server.execute("SELECT pg_current_wal_flush_lsn(), pg_current_wal_insert_lsn()")
        flushed, inserted = ends.fetchone()
        behind += flushed != inserted

    assert behind <= 5


def test_a_second_send_of_one_id_is_a_second_order(send, venue):
    first, second = (send(BUY, 10, client_order_id="twice") for _ in range(2))

    assert first.venue_order_id != second.venue_order_id
    assert PaperOrder.objects.filter(client_order_id="twice").count() == 2
    assert venue.find_order("twice").venue_order_id == first.venue_order_id
    assert ledger_positions("paper") == {"AAPL": 20}


def test_the_ledger_s_time_never_runs_backwards(send, venue, quote, reports):
    """Else an execution would fold in another order than the venue dealt in."""
    send(BUY, 10, limit=95)
    send(BUY, 10, limit=95)
    quote("AAPL", bid=93, ask=94)
    match(["AAPL"], now=now() - timedelta(hours=1))
    send(BUY, 10)

    times = [report.reported_at for report in reports()]
    assert len(times) == 6
    assert times == sorted(set(times))


def test_reports_come_in_pages_and_end(send, venue):
    send(BUY, 10, limit=95)
    first = PaperOrder.objects.get()
    PaperReport.objects.bulk_create(
        PaperReport(
            account="paper",
            order=first,
            status="ACCEPTED",
            filled_quantity=0,
            order_quantity=10,
            at=now(),
        )
        for _ in range(PAGE)
    )

    page = venue.reports_since("")
    rest = venue.reports_since(page.cursor)
    end = venue.reports_since(rest.cursor)

    assert (len(page.reports), len(rest.reports), len(end.reports)) == (PAGE, 1, 0)
    assert end.cursor == rest.cursor


def test_a_follower_of_eight_senders_misses_nothing(venue, grant):
    """Ids are drawn before the commit: without the account's lock a later id shows first."""
    senders, orders_each = 8, 25
    stop, seen, cursor = threading.Event(), [], ""

    def work(number):
        try:
            for n in range(orders_each):
                venue.submit(grant(client_order_id=f"s{number}n{n}"))
        finally:
            connections.close_all()

    def follow():
        nonlocal cursor
        try:
            while True:
                last_round = stop.is_set()
                page = venue.reports_since(cursor)
                cursor = page.cursor
                seen.extend(page.reports)
                if last_round and not page.reports:
                    return
        finally:
            connections.close_all()

    with ThreadPoolExecutor(senders + 1) as pool:
        follower = pool.submit(follow)
        for sender in [pool.submit(work, number) for number in range(senders)]:
            sender.result()
        stop.set()
        follower.result()

    assert len(seen) == PaperReport.objects.count() == senders * orders_each * 2
    trades = [fill.venue_trade_id for report in seen for fill in report.fills]
    assert len(set(trades)) == senders * orders_each
    assert ledger_positions("paper") == {"AAPL": senders * orders_each * 10}


def test_positions_are_the_sum_of_executions(send):
    send(BUY, 10)
    send(SELL, 25)
    send(BUY, 7, limit=50)

    assert ledger_positions("paper") == {"AAPL": -15}
    assert ledger_positions("other") == {}


def test_a_connection_that_dies_before_the_commit_leaves_nothing(send, venue, server):
    server.execute(_dies("AFTER INSERT"))
    with pytest.raises(BrokerUnavailable):
        send(BUY, 10, client_order_id="lost")

    server.execute("DROP TRIGGER dies ON brokers_paperreport")
    assert venue.find_order("lost") is None
    assert send(BUY, 10).status is VenueStatus.FILLED


def test_a_connection_that_dies_at_the_commit_leaves_a_doubt(send, venue, server):
    server.execute(_dies("AFTER INSERT", deferred=True))

    with pytest.raises(OutcomeUnknown):
        send(BUY, 10, client_order_id="doubt")

    server.execute("DROP TRIGGER dies ON brokers_paperreport")
    assert venue.find_order("doubt") is None  # here it did not arrive; the sender cannot know


def test_a_database_that_is_away_is_unavailable(send, venue, monkeypatch, reports):
    with monkeypatch.context() as patch:
        patch.setitem(connections["paper"].settings_dict, "PORT", "9")  # nothing listens there
        connections["paper"].close()
        for ask in (lambda: send(BUY, 10), lambda: venue.find_order("x"), lambda: reports()):
            with pytest.raises(BrokerUnavailable):
                ask()

    assert send(BUY, 10).status is VenueStatus.FILLED


def test_an_idle_connection_that_was_cut_is_replaced(send, server):
    send(BUY, 10)
    server.execute(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
        " WHERE datname = current_database() AND application_name = 'paper-venue'"
    )

    assert send(BUY, 10).status is VenueStatus.FILLED


def test_while_a_sender_holds_the_ledger_there_is_no_not_found(venue, server, grant):
    """A paused sender may still commit: no answer is no evidence."""
    with server.transaction():
        server.execute("SELECT pg_advisory_xact_lock(hashtextextended('paper', 7))")
        started = time.monotonic()
        with pytest.raises(BrokerUnavailable):
            venue.find_order("nothing")
        with pytest.raises(BrokerUnavailable):
            venue.submit(grant())
    assert time.monotonic() - started < 2 * venue.timeout_seconds
    assert venue.find_order("nothing") is None


def test_an_account_that_is_held_up_holds_up_no_other(send, venue, quote, server, grant):
    BrokerConnection.objects.create(name="other", broker="paper", environment="paper")
    send(BUY, 10, limit=95, client_order_id="one")
    PaperVenue("other").submit(grant(limit=95, client_order_id="two"))

    quote("AAPL", bid=93, ask=94)
    with server.transaction():
        server.execute("SELECT pg_advisory_xact_lock(hashtextextended('other', 7))")
        match(["AAPL"], now=now())

    assert venue.find_order("one").status is VenueStatus.FILLED
    assert PaperVenue("other").find_order("two").status is VenueStatus.ACCEPTED


def test_an_order_in_a_withdrawn_instrument_waits_and_holds_up_nobody(send, venue, quote):
    send(BUY, 1000, symbol="EURUSD", client_order_id="withdrawn")
    send(BUY, 10, limit=95, client_order_id="other")
    Instrument.objects.filter(symbol="EURUSD").delete()

    quote("AAPL", bid=93, ask=94)
    match(["EURUSD", "AAPL"], now=now())

    assert venue.find_order("withdrawn").status is VenueStatus.ACCEPTED
    assert venue.find_order("other").status is VenueStatus.FILLED


def test_the_ledger_is_not_the_engine_s_connection(send):
    with CaptureQueriesContext(connections["default"]) as queries:
        send(BUY, 10)

    assert not queries.captured_queries
    assert Quote.objects.exists()


def _dies(when, *, deferred=False):
    """Return SQL that ends the session that writes a line, then or at its commit."""
    kind = "CONSTRAINT TRIGGER" if deferred else "TRIGGER"
    defer = "DEFERRABLE INITIALLY DEFERRED" if deferred else ""
    return f"""
        CREATE FUNCTION dies() RETURNS trigger LANGUAGE plpgsql AS
        'BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(1);
         RETURN NEW; END';
        CREATE {kind} dies {when} ON brokers_paperreport {defer}
        FOR EACH ROW EXECUTE FUNCTION dies()
    """
