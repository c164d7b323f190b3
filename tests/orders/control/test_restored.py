"""Copies of the database: what was taken comes back, and trades when a person says so."""

import io
import stat
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import connections

from brokers.contract import OrderType
from execution_site.floor.events import Event, EventType, Seal
from execution_site.installation import copies
from execution_site.trail import anchors
from execution_site.trail.sealer import Sealer
from orders.control import emergency
from orders.models import Order
from orders.sending import submission, venue_queries
from risk.facts import KillLevel
from risk.kills import engaged
from tests import databases

WHO = ("--actor", "rita", "--reason", "the disk was lost")


@pytest.fixture
def owned(db):
    """The test's database, as its owner sees it; what a restore has kept is dropped."""
    anchors.path().unlink(missing_ok=True)
    databases.use(db, address=databases.OWNER)
    yield db
    connections.close_all()
    with psycopg.connect(databases.url_of("postgres", address=databases.OWNER)) as server:
        kept = server.execute(
            "SELECT datname FROM pg_database WHERE datname LIKE %s", [f"{db}\\_%"]
        ).fetchall()
    for (name,) in kept:
        databases.execute(f"DROP DATABASE {name}")
    anchors.path().unlink(missing_ok=True)
    for left in anchors.path().parent.glob("audit-anchor.until-*"):
        left.unlink()


def seal():
    sealer = Sealer(holder="test")
    while sealer.step():
        pass
    sealer.stop()


def run(command, *arguments):
    out = io.StringIO()
    call_command(command, *map(str, arguments), stdout=out, stderr=io.StringIO())
    return out.getvalue()


def test_the_drill(owned, send, tmp_path, steady):
    """Trade, copy, trade on, lose it all, put the copy back, reconcile, confirm, trade."""
    filled = send("BUY", 10).order_id
    working = send("BUY", 5, limit_price=Decimal(90), order_type=OrderType.LIMIT).order_id
    waiting = send("BUY", 7, transmit=False).order_id
    seal()
    file = tmp_path / "copy"
    run("backup", file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600

    submission.transmit(waiting, now=datetime.now(UTC))
    later = send("BUY", 3).order_id
    seal()
    lost = anchors.newest(anchors.path())
    said = run("restore", file, *WHO)

    assert "1 orders in doubt, 1 working" in said
    assert Order.objects.get(pk=filled).status == "FILLED"
    assert not Order.objects.filter(pk=later).exists()
    assert Order.objects.get(pk=waiting).status == "IN_DOUBT"
    assert Order.objects.get(pk=working).poll_due_at is not None
    (kill,) = engaged()
    assert (kill.level, kill.actor, kill.reason) == (KillLevel.HALTED, "rita", WHO[-1])
    told = Event.objects.get(type=EventType.AUDIT, data__action="restored").data
    assert (told["before"]["seq"], told["actor"]) == (lost.seq, "rita")

    refused = send("BUY", 1)
    assert refused.status == 422
    with pytest.raises(CommandError, match="1 orders are in doubt"):
        run("confirm_restore", *WHO)
    for minutes in range(1, 5):
        steady.at += 60
        venue_queries.look_up(waiting, now=datetime.now(UTC) + timedelta(minutes=minutes))
    assert Order.objects.get(pk=waiting).status == "FAILED"  # its venue was put back too
    run("confirm_restore", *WHO)
    assert Order.objects.get(pk=send("BUY", 1).order_id).status == "FILLED"
    seal()
    run("verify_audit")


def test_what_runs_is_not_replaced(owned, tmp_path):
    file = tmp_path / "copy"
    run("backup", file)
    with (
        psycopg.connect(databases.url_of(owned), application_name="execution"),
        pytest.raises(CommandError, match="in use by execution: stop the site first"),
    ):
        run("restore", file, *WHO)
    with pytest.raises(CommandError, match="is there already"):
        run("backup", file)


def test_what_is_no_copy_changes_nothing(owned, send, tmp_path):
    order = send("BUY", 10).order_id
    (tmp_path / "copy").write_text("no copy")
    with pytest.raises(CommandError, match="pg_restore failed"):
        run("restore", tmp_path / "copy", *WHO)

    assert Order.objects.get(pk=order).status == "FILLED"
    assert not list(engaged())


def test_a_copy_of_a_newer_build_is_refused(owned, tmp_path):
    with databases.as_owner() as owner:
        owner.execute(
            "INSERT INTO django_migrations (app, name, applied) VALUES ('orders', '9999', now())"
        )
    run("backup", tmp_path / "copy")
    with pytest.raises(CommandError, match=r"newer build: orders\.9999"):
        run("restore", tmp_path / "copy", *WHO)


@pytest.mark.parametrize(
    ("_case", "anchored", "is_older"),
    [
        ("as it was left", 0, False),
        ("more was anchored than it holds", 5, True),
        ("nothing was anchored here", None, False),
    ],
)
def test_a_database_older_than_its_anchors_reconciles_only(owned, send, _case, anchored, is_older):
    """Whatever put it back: a snapshot of the disk, a standby."""
    send("BUY", 10)
    seal()
    head = Seal.objects.latest("seq")
    if anchored is None:
        anchors.path().unlink()
    elif anchored:
        anchors.append(anchors.of_head(head.seq + anchored, "f" * 64), anchors.path())

    held = copies.hold_older_state(now=datetime.now(UTC))

    assert (held is not None) is is_older
    assert [kill.level for kill in engaged()] == [KillLevel.HALTED] * is_older
    if is_older:
        assert emergency.release_problems(kill_scope := engaged()[0].scope) == [], kill_scope
        assert anchors.newest(anchors.path()).seq == head.seq
        assert copies.hold_older_state(now=datetime.now(UTC)) is None
