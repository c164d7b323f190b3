"""The sealer: whatever is committed is sealed once, however late, and on disk before it is told."""

import time
from contextlib import contextmanager

import psycopg
import pytest

from execution_site.floor.events import Seal
from execution_site.trail import sealer
from execution_site.trail.sealer import Sealer
from tests import databases

ASYNC = "-c synchronous_commit=off"
INSERT = """
INSERT INTO execution_site_event (type, account, data, at, mac)
VALUES ('order', '', '{}', now(), '') RETURNING id
"""


@pytest.fixture
def soon(monkeypatch):
    """Have the sealer look for what is missing for a moment only, and behind it at once."""
    monkeypatch.setattr(sealer, "GAP_SECONDS", 0.2)
    monkeypatch.setattr(sealer, "SWEEP_SECONDS", 0.0)


@contextmanager
def writer(db):
    """A connection of its own, in a transaction."""
    with psycopg.connect(databases.url_of(db)) as connection:
        yield connection


def insert(connection):
    return connection.execute(INSERT).fetchone()[0]


def seal_for(working, seconds):
    """Step for a while, as the sealer's process does."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        working.step()
        time.sleep(0.02)


def sealed():
    return list(Seal.objects.order_by("seq").values_list("event_id", flat=True))


def test_a_commit_later_than_gaps_are_looked_for_is_sealed_once(db, soon):
    working = Sealer(holder="test")
    with writer(db) as slow, writer(db) as quick:
        late = insert(slow)
        first = insert(quick)
        quick.commit()
        seal_for(working, 0.6)
        assert sealed() == [first]
        slow.commit()
        seal_for(working, 0.3)

    assert sealed() == [first, late]


def test_one_that_ends_without_a_commit_is_waited_for_no_longer(db, soon):
    working = Sealer(holder="test")
    with writer(db) as slow, writer(db) as quick:
        insert(slow)
        ids = [insert(quick)]
        quick.commit()
        seal_for(working, 0.3)
        slow.rollback()
        seal_for(working, 0.3)
        ids.append(insert(quick))
        quick.commit()
        seal_for(working, 0.3)

    assert (sealed(), working._gaps) == (ids, {})


def test_a_successor_finds_what_commits_after_its_predecessor_is_gone(db, soon, monkeypatch):
    monkeypatch.setattr(sealer, "GAPS_AT_START", 0)
    with writer(db) as slow, writer(db) as quick:
        late = insert(slow)
        ids = [insert(quick) for _ in range(20)]
        quick.commit()
        seal_for(Sealer(holder="test"), 0.1)
        successor = Sealer(holder="test")
        seal_for(successor, 0.1)
        slow.commit()
        seal_for(successor, 0.3)

    assert sealed() == [*ids, late]


def test_what_is_far_behind_is_looked_for_in_parts(db, soon, monkeypatch):
    monkeypatch.setattr(sealer, "SWEEP_IDS", 3)
    working = Sealer(holder="test")
    with writer(db) as slow, writer(db) as quick:
        insert(quick)
        late = insert(slow)
        for _ in range(10):
            insert(quick)
        quick.commit()
        seal_for(working, 0.4)
        slow.commit()
        seal_for(working, 0.4)

    assert (len(sealed()), sealed()[-1]) == (12, late)


def test_what_is_sealed_is_on_disk_though_its_own_commit_did_not_wait(db):
    address = databases.url_of(db)
    working = Sealer(holder="test")
    working.step()
    with psycopg.connect(address, autocommit=True, options=ASYNC) as connection:
        insert(connection)
        written = "SELECT pg_current_wal_insert_lsn() <= pg_current_wal_flush_lsn()"
        assert connection.execute(written).fetchone() == (False,)
        end = connection.execute("SELECT pg_current_wal_insert_lsn()").fetchone()[0]
        assert working.step() == 1
        flushed = "SELECT pg_current_wal_flush_lsn() >= %s::pg_lsn"
        assert connection.execute(flushed, [end]).fetchone() == (True,)
