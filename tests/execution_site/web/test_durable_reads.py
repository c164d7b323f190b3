"""What is shown is on disk, though what was read was committed without waiting for it.

The tests' server writes its log when it is waited for, and else every ten seconds.
"""

import psycopg
import pytest
from django.test import Client

from brokers.models import BrokerConnection
from execution_site.floor import statements
from execution_site.web import hub
from orders.reports import selectors
from tests import databases

INSERT = """
INSERT INTO execution_site_event (type, account, data, at, mac)
VALUES ('order', '', '{}', now(), '')
"""


@pytest.fixture
def written(db):
    """Commit without waiting for the disk; tell whether that has reached it."""
    options = "-c synchronous_commit=off"
    with psycopg.connect(databases.url_of(db), autocommit=True, options=options) as connection:

        def is_on_disk(end):
            query = "SELECT pg_current_wal_flush_lsn() >= %s::pg_lsn"
            return connection.execute(query, [end]).fetchone()[0]

        def write():
            connection.execute(INSERT)
            end = connection.execute("SELECT pg_current_wal_insert_lsn()").fetchone()[0]
            assert not is_on_disk(end)
            return lambda: is_on_disk(end)

        yield write


@pytest.mark.parametrize(
    "path",
    ["orders", "fills", "signals", "positions", "executions", "groups", "system", "pnl", "limits"],
)
def test_what_the_api_shows_is_on_disk(written, trader_key, path):
    api = Client(headers={"authorization": trader_key})
    api.get(f"/api/v1/{path}")
    on_disk = written()

    assert api.get(f"/api/v1/{path}").status_code == 200
    assert on_disk()


@pytest.mark.parametrize("path", ["/", "/admin/orders/order/"])
def test_what_a_page_shows_is_on_disk(written, account, risk_manager, path):
    browser = Client()
    browser.force_login(risk_manager)
    on_disk = written()

    assert browser.get(path).status_code == 200
    assert on_disk()


def test_a_snapshot_is_on_disk(written, account):
    accounts = list(BrokerConnection.objects.values_list("name", flat=True))
    on_disk = written()

    seq, shown = hub.snapshot_with_seq(selectors.snapshot, accounts)

    assert (seq, shown["orders"]) == (0, [])
    assert on_disk()


def test_nothing_is_written_where_all_is_on_disk(db):
    statements.flush()
    query = "SELECT pg_current_wal_insert_lsn()"
    before = statements.one(query)
    statements.flush_seen()

    assert statements.one(query) == before


def test_health_asks_no_database(db, django_db_blocker):
    with django_db_blocker.block():
        assert Client().get("/healthz").status_code == 200
