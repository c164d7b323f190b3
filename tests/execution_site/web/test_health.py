"""Health that is true: each process by its own heart, the database by whether it takes writes."""

import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime

import psycopg
import pytest
from django.conf import settings
from django.db import connection, connections
from django.test import Client

from execution_site.floor import hearts, outages, release
from execution_site.floor.hearts import ROLES, SILENT_SECONDS, Beating, Heart
from execution_site.models import Event
from execution_site.processes.roles import MANAGE
from orders.models import Order, Signal
from tests import databases
from tests.orders.api.signals import FINE, URL

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
RED_WITHIN = 5.0  # seconds


@pytest.fixture
def writes(monkeypatch):
    """What this process remembers of refused writes: nothing yet."""
    monkeypatch.setattr(outages, "refused_writes", outages.Recent(5.0))


@pytest.fixture
def api(trader_key, quote, valkey, writes):
    quote("AAPL", bid=99, ask=101)
    return Client(headers={"authorization": trader_key}, raise_request_exception=False)


def heard(role, *, ago=0.0, host="here"):
    """Have a process of a role heard so many seconds ago, by the database's clock."""
    heart = Heart.objects.create(name=f"{role}@{host}:1", role=role, since=NOW, beat_at=NOW)
    sql = "UPDATE execution_site_heart SET beat_at = clock_timestamp() - %s * interval '1 s'"
    with connection.cursor() as cursor:
        cursor.execute(f"{sql} WHERE name = %s", [ago, heart.name])


def readiness():
    answer = Client().get("/readyz")
    return answer.status_code, answer.json()["missing"]


def parts(path="/api/v1/health"):
    return {name: part["ok"] for name, part in Client().get(path).json()["parts"].items()}


# --- Hearts -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("_case", "ages", "expected"),
    [
        ("none at all", [], (503, ["worker"])),
        ("one that beats", [0], (200, [])),
        ("just silent", [SILENT_SECONDS], (503, ["worker"])),
        ("one of two beats", [60, 0], (200, [])),
        ("two that are silent", [60, 60], (503, ["worker"])),
    ],
)
def test_without_a_live_worker_nothing_is_ready(db, writes, _case, ages, expected):
    for number, ago in enumerate(ages):
        heard("worker", ago=ago, host=f"host-{number}")

    assert readiness() == expected


@pytest.mark.parametrize("role", ROLES)
def test_a_silent_process_is_red_also_without_a_supervisor_and_beside_others(db, valkey, role):
    assert not parts()[role]
    for name in ROLES:
        heard(name)
    assert all(parts()[name] for name in ROLES)

    heard(role, ago=SILENT_SECONDS, host="there")
    assert [name for name in ROLES if not parts()[name]] == [role]


def test_a_successor_forgets_the_dead_of_its_machine_and_nobody_elses(db):
    ended = subprocess.Popen(["true"])
    ended.wait()
    mine = Beating("sealer")
    machine = mine.name.rpartition(":")[0]
    for name in (f"{machine}:{ended.pid}", f"{machine}:1", f"sealer@there:{ended.pid}"):
        Heart.objects.create(name=name, role="sealer", since=NOW, beat_at=datetime.now(UTC))

    mine.beat()

    left = set(Heart.objects.values_list("name", flat=True))
    assert left == {mine.name, f"{machine}:1", f"sealer@there:{ended.pid}"}


def test_work_that_does_not_move_is_silent(db, monkeypatch):
    monkeypatch.setattr(hearts, "STILL_SECONDS", 0.2)
    monkeypatch.setattr(hearts, "BEAT_SECONDS", 0.05)
    heart = Beating("market").start()
    time.sleep(0.6)
    last = Heart.objects.get().beat_at
    time.sleep(0.3)
    assert Heart.objects.get().beat_at == last

    heart.moved()
    wait_for(lambda: Heart.objects.get().beat_at > last)


@pytest.fixture
def sealer(db, valkey):
    """A sealer as it runs in a split installation, on this test's database."""
    process = subprocess.Popen(
        [sys.executable, str(MANAGE), "run_sealer"],
        env=os.environ,
        stderr=subprocess.PIPE,
        text=True,
    )
    yield process
    if process.poll() is None:
        process.send_signal(signal.SIGCONT)
        process.kill()
    process.communicate()


def wait_for(told, *, seconds=60):
    deadline = time.monotonic() + seconds
    while not told():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def test_a_frozen_process_is_red_and_one_that_wakes_is_well(sealer):
    wait_for(lambda: parts()["sealer"])

    sealer.send_signal(signal.SIGSTOP)
    frozen = time.monotonic()
    wait_for(lambda: not parts()["sealer"])
    assert time.monotonic() - frozen < RED_WITHIN

    sealer.send_signal(signal.SIGCONT)
    wait_for(lambda: parts()["sealer"])


# --- Build and schema --------------------------------------------------------------------------

NEWER = "INSERT INTO django_migrations (app, name, applied) VALUES ('orders', '9999_newer', now())"
OLDER = "DELETE FROM django_migrations WHERE app = 'orders' AND name = '0001_initial'"
OTHER = "INSERT INTO execution_site_release (id, build, prepared_at) VALUES (1, 'other', now())"


@pytest.mark.parametrize(
    ("_case", "change", "told"),
    [
        ("the database is newer", NEWER, "does not know orders.9999_newer"),
        ("the database is older", OLDER, "lacks orders.0001_initial"),
        ("another build was prepared", OTHER, "the site runs build other"),
    ],
)
def test_what_does_not_belong_together_refuses_to_work(db, _case, change, told):
    with psycopg.connect(settings.DATABASE_SECRET_URL, autocommit=True) as server:
        release.check(server)
        release.install(now=NOW)
        release.check(server)
        release.Release.objects.all().delete()
        with databases.as_owner() as owner:
            owner.execute(change)
        with pytest.raises(release.Mismatch, match=told):
            release.check(server)
    with pytest.raises(SystemExit, match=f"worker refuses to work: .*{told}"):
        hearts.begin("worker")
    assert not Heart.objects.exists()


def test_a_process_that_works_leaves_when_a_newer_build_is_prepared(sealer):
    wait_for(lambda: parts()["sealer"])

    with connection.cursor() as cursor:
        cursor.execute(OTHER)

    _, said = sealer.communicate(timeout=60)
    assert sealer.returncode == 0  # asked to stop, not killed: what it does is finished
    assert "sealer refuses to work: the site runs build other" in said


# --- A database that takes no writes -----------------------------------------------------------


def make_read_only():
    name = connection.settings_dict["NAME"]
    with databases.as_owner() as owner:
        owner.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
    connections.close_all()


def make_full(table):
    with databases.as_owner() as owner:
        owner.execute(
            "CREATE FUNCTION no_room() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            " RAISE EXCEPTION 'could not extend file' USING ERRCODE = 'disk_full'; END $$"
        )
        owner.execute(f"CREATE TRIGGER no_room BEFORE INSERT ON {table} EXECUTE FUNCTION no_room()")


FULL_AT = ("orders_signal", "orders_order", "execution_site_event", "risk_riskdecision")


def refused(api, code):
    answer = api.post(URL, FINE, content_type="application/json")
    assert (answer.status_code, answer.json()["code"]) == (503, code), answer.content
    assert answer["Retry-After"]
    assert not Signal.objects.exists()
    assert not Order.objects.exists()
    assert not Event.objects.filter(type__in=["signal", "order"]).exists()


def test_a_read_only_database_is_said_to_be(api):
    heard("worker")
    make_read_only()

    assert readiness() == (503, ["writes"])
    refused(api, "database_read_only")
    assert not parts()["database"]


@pytest.mark.parametrize("table", FULL_AT)
def test_a_full_database_is_said_to_be_and_nothing_is_half_done(api, table):
    heard("worker")
    make_full(table)

    refused(api, "database_full")
    assert readiness() == (503, ["writes"])
    with databases.as_owner() as owner:
        owner.execute("DROP FUNCTION no_room CASCADE")
    assert api.post(URL, FINE, content_type="application/json").status_code == 202


# --- Whether it may trade ----------------------------------------------------------------------


def lease(name, seconds):
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO execution_site_lease (name, holder, epoch, expires_at)"
            " VALUES (%s, 'x', 1, clock_timestamp() + %s * interval '1 s')",
            [name, seconds],
        )


def test_it_may_be_traded_where_every_fact_is_fresh(account, quote, writes):
    path = "/api/v1/health/trading"
    lease("sealer", 60)
    lease("market_loop", 60)
    quote("AAPL", bid=99, ask=101)
    assert Client().get(path).status_code == 200, Client().get(path).json()
    assert set(parts(path)) == {
        "database", "clock", "leases", "chain", "feeds", "queue_age", "in_doubt",
    }  # fmt: skip

    with connection.cursor() as cursor:
        cursor.execute("UPDATE execution_site_lease SET expires_at = now() WHERE name = 'sealer'")
        cursor.execute("UPDATE brokers_quote SET received_at = now() - interval '11 s'")

    answer = Client().get(path)
    assert (answer.status_code, answer.json()["ready"]) == (503, False)
    assert [name for name, ok in parts(path).items() if not ok] == ["leases", "feeds"]
