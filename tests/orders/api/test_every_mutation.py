"""Every mutating endpoint under every fault: what is asked for is done once, and told truly.

The process dies before or after a commit; the answer is on disk; the request is repeated with its
key and body, with another body, and a day later; what it needs is locked elsewhere.
"""

import itertools
import json
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import timedelta

import psycopg
import pytest
from django.db import connection
from django.utils import timezone

from execution_site.floor.locks import Numbered
from execution_site.rest import idempotency
from execution_site.urls import api
from tests import databases
from tests.orders.api.mutations import CASES, Stage, work

WRITES = ("post", "put", "patch", "delete")
COMMITS = 3  # that a death is tried at; no request makes its mark later than its first
REPEATS = 4
_keys = itertools.count()


class Died(BaseException):
    """The process is no more."""


@pytest.fixture
def stage(send, manager, quote):
    return Stage(send, manager, quote)


def ask(stage, case, path, body, key):
    return stage.post(path, body, key=key if case.keyed else None)


def test_the_table_has_every_mutating_endpoint():
    views = {str(route.pattern): getattr(route.callback, "cls", None) for route in api}
    served = {path for path, view in views.items() if any(hasattr(view, w) for w in WRITES)}

    assert served == {name.split(" (", maxsplit=1)[0] for name in CASES}


@pytest.mark.parametrize("name", CASES)
def test_a_repeat_gets_the_stored_answer_whatever_has_happened_since(stage, name, monkeypatch):
    case = CASES[name]
    path, body = case.prepare(stage)
    assert case.done() == case.nothing
    first = ask(stage, case, path, body, "k")
    assert first.status_code in {200, 202}, first.content
    work()
    assert case.done() == case.expected
    case.between(stage)

    again = ask(stage, case, path, body, "k")
    assert (again.status_code, again.json()) == (first.status_code, first.json())
    assert again["Idempotent-Replayed"] == "true"
    assert ask(stage, case, path, {**body, **case.other}, "k").status_code == 409
    today = timezone.now()
    monkeypatch.setattr(timezone, "now", lambda: today + timedelta(days=1))
    late = ask(stage, case, path, body, "k")
    assert (late.status_code, late.json()) == (first.status_code, first.json())
    monkeypatch.undo()
    work()
    assert case.done() == case.expected


@pytest.mark.parametrize("name", CASES)
def test_concurrent_repeats_get_one_answer(stage, name):
    case = CASES[name]
    path, body = case.prepare(stage)
    together = threading.Barrier(REPEATS)

    def repeat(_):
        together.wait()
        try:
            return ask(stage, case, path, body, "k")
        finally:
            connection.close()

    with ThreadPoolExecutor(REPEATS) as pool:
        answers = list(pool.map(repeat, range(REPEATS)))
    work()

    assert len({(a.status_code, json.dumps(a.json(), sort_keys=True)) for a in answers}) == 1
    assert sum(a.has_header("Idempotent-Replayed") for a in answers) == REPEATS - 1
    assert case.done() == case.expected


@contextmanager
def death(at, *, committed):
    """Have the process die at a commit, before it or after; yield whether it did."""
    number, died = itertools.count(1), []
    commit = connection.commit

    def dying():
        if next(number) != at:
            commit()
            return
        died.append(at)
        if committed:
            commit()
        raise Died

    connection.commit = dying
    try:
        with suppress(Died):
            yield died
    finally:
        del connection.commit
        if died:
            databases.use(connection.settings_dict["NAME"])  # its connection is gone


@pytest.mark.parametrize("committed", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("at", range(1, COMMITS + 1))
@pytest.mark.parametrize("name", CASES)
def test_whoever_dies_leaves_it_undone_or_to_be_finished_by_others(
    stage, name, at, committed, monkeypatch
):
    monkeypatch.setattr(idempotency, "ANSWERED_WITHIN", timedelta())  # nobody answers it any more
    case = CASES[name]
    path, body = case.prepare(stage)
    with death(at, committed=committed) as died:
        ask(stage, case, path, body, "k")
    assert died or at > 1
    work()
    assert case.done() == (case.nothing if died and at == 1 and not committed else case.expected)

    again = ask(stage, case, path, body, "k")
    assert again.status_code in {200, 202}, again.content
    work()
    assert case.done() == case.expected
    assert ask(stage, case, path, {**body, **case.other}, "k").status_code == 409


@pytest.mark.parametrize("name", CASES)
def test_what_was_answered_is_on_disk(stage, name):
    """The end of the log at each commit has been flushed when the answer is given."""
    case = CASES[name]
    path, body = case.prepare(stage)
    ends = []
    commit = connection.commit
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as server:

        def noting():
            commit()
            ends.append(server.execute("SELECT pg_current_wal_insert_lsn()").fetchone()[0])

        connection.commit = noting
        try:
            answer = ask(stage, case, path, body, "k")
        finally:
            del connection.commit
        flushed = "SELECT pg_current_wal_flush_lsn() >= %s::pg_lsn"
        on_disk = [server.execute(flushed, [end]).fetchone()[0] for end in ends]

    assert answer.status_code in {200, 202}
    assert on_disk
    assert all(on_disk)


LOCKS = {
    "the control row": "SELECT 1 FROM risk_systemcontrol FOR UPDATE",
    "the orders": "SELECT 1 FROM orders_order FOR UPDATE",
    "the positions": "SELECT 1 FROM portfolio_position FOR UPDATE",
    "the limits": f"SELECT pg_advisory_xact_lock({Numbered.LIMITS})",
    "the senders": f"SELECT pg_advisory_xact_lock({Numbered.SENDERS})",
    "what it names": """
        WITH g AS (SELECT 1 FROM orders_ordergroup FOR UPDATE),
             a AS (SELECT 1 FROM orders_approval FOR UPDATE),
             p AS (SELECT 1 FROM risk_changerequest FOR UPDATE),
             b AS (SELECT 1 FROM risk_breaker FOR UPDATE),
             m AS (SELECT 1 FROM orders_massaction FOR UPDATE)
        SELECT * FROM g UNION ALL SELECT * FROM a UNION ALL SELECT * FROM p
        UNION ALL SELECT * FROM b UNION ALL SELECT * FROM m""",
}


@pytest.mark.parametrize("lock", LOCKS)
@pytest.mark.parametrize("name", CASES)
def test_what_is_locked_elsewhere_is_done_later_and_once_and_no_answer_is_untrue(stage, name, lock):
    case = CASES[name]
    path, body = case.prepare(stage)
    with connection.cursor() as cursor:
        cursor.execute("SET lock_timeout = '100ms'")
    with psycopg.connect(os.environ["DATABASE_URL"]) as elsewhere:
        elsewhere.execute(LOCKS[lock])
        answer = ask(stage, case, path, body, "k")
    said = answer.json()
    if answer.status_code == 503:
        assert "not known" in said["detail"]
    else:
        assert answer.status_code in {200, 202}, said
    if name == "system/kill-switch":
        assert (answer.status_code, said["kill_switches"][0]["active"]) == (200, True)

    again = ask(stage, case, path, body, "k")
    assert again.status_code in {200, 202}, again.content
    work()
    assert case.done() == case.expected
