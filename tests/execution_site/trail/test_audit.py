"""The audit trail proves itself: whatever a superuser does to it behind our back is named."""

import io
import os
import random
import threading
import time
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from django.core.management import call_command
from django.db import DatabaseError, connections, transaction

from execution_site.floor.events import Event, EventType, Seal, record_event
from execution_site.floor.leases import Lease
from execution_site.trail import anchors, verification
from execution_site.trail.sealer import Sealer
from risk.models import RiskDecision
from tests import databases

ROWS = 20


def write(n, *, type=EventType.ORDER):
    with transaction.atomic():
        record_event(type, {"n": n}, account="paper", at=datetime.now(UTC))


@pytest.fixture
def sealed(db):
    """Twenty sealed events, and an anchor of the last."""
    anchors.path().unlink(missing_ok=True)
    for n in range(ROWS):
        write(n)
    sealer = Sealer(holder="test")
    while sealer.step():
        pass
    sealer.stop()
    yield
    anchors.path().unlink(missing_ok=True)


def verify(*arguments):
    """Return the exit code of verify_audit and what it said."""
    out, err = io.StringIO(), io.StringIO()
    try:
        call_command("verify_audit", *arguments, stdout=out, stderr=err)
    except SystemExit as e:
        return e.code, err.getvalue()
    return 0, out.getvalue()


def tamper(sql):
    """Do what whoever owns the tables can do: with the triggers off."""
    with databases.as_owner() as owner:
        for table in ("execution_site_event", "execution_site_seal"):
            owner.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        owner.execute(sql)
        for table in ("execution_site_event", "execution_site_seal"):
            owner.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")


def test_an_untouched_trail_verifies(sealed):
    code, said = verify()

    assert (code, f"verified {ROWS} rows" in said) == (0, True)


@pytest.mark.parametrize(
    ("_case", "sql", "named"),
    [
        (
            "edited",
            "UPDATE execution_site_event SET data = '{\"n\": 99}' WHERE id = "
            "(SELECT event_id FROM execution_site_seal WHERE seq = 7)",
            "seal 7,",
        ),
        (
            "edited with its time",
            "UPDATE execution_site_event SET at = at + interval '1 microsecond' WHERE id = "
            "(SELECT event_id FROM execution_site_seal WHERE seq = 7)",
            "seal 7,",
        ),
        ("deleted", "DELETE FROM execution_site_seal WHERE seq = 7", "seal 7,"),
        (
            "reordered",
            "UPDATE execution_site_seal SET event_id = CASE seq WHEN 7 THEN b.e WHEN 8 THEN a.e END"
            " FROM (SELECT event_id AS e FROM execution_site_seal WHERE seq = 7) a,"
            " (SELECT event_id AS e FROM execution_site_seal WHERE seq = 8) b WHERE seq IN (7, 8)",
            "seal 7,",
        ),
        (
            "inserted without a seal",
            "INSERT INTO execution_site_event (type, account, data, at, mac)"
            " VALUES ('order', 'paper', '{}', now() - interval '1 day', '')",
            "did not write",
        ),
        ("cut at the tail", "DELETE FROM execution_site_seal WHERE seq > 15", "seal 16,"),
    ],
)
def test_tampering_is_named(sealed, _case, sql, named):
    if _case == "reordered":
        tamper("ALTER TABLE execution_site_seal DROP CONSTRAINT execution_site_seal_event_id_key")
    tamper(sql)
    code, said = verify()

    assert code == 1
    assert named in said


def test_a_row_slipped_in_and_sealed_by_us_is_named(sealed):
    tamper(
        "INSERT INTO execution_site_event (type, account, data, at, mac)"
        " VALUES ('order', 'paper', '{\"n\": 21}', now(), repeat('0', 64))"
    )
    Sealer(holder="test").step()
    code, said = verify()

    assert code == 1
    assert f"seal {ROWS + 1}," in said
    assert "did not write" in said


def test_a_rewritten_chain_differs_from_its_anchor(sealed):
    tamper("TRUNCATE execution_site_seal")
    Sealer(holder="test").step()
    assert verify()[0] == 0  # the same events in the same order make the same chain
    tamper("TRUNCATE execution_site_seal")
    first = "SELECT min(id) FROM execution_site_event"
    tamper(f"UPDATE execution_site_event SET id = -id WHERE id = ({first})")
    Sealer(holder="test").step()

    assert verify()[0] == 1


def age_seals():
    """Have everything been sealed over some minutes, the last of it a minute ago."""
    ago = f"interval '1 minute' + ({ROWS} - seq) * interval '10 seconds'"
    tamper(f"UPDATE execution_site_seal SET sealed_at = sealed_at - ({ago})")


@pytest.mark.parametrize(
    ("_case", "kept", "code", "said"),
    [
        ("all of it", None, 0, f"verified {ROWS} rows"),
        ("gone, or never there", 0, 1, "the anchors are gone"),
        ("an older one", 1, 1, f"end at seal 7: seal {ROWS} is not anchored"),
    ],
)
def test_a_missing_or_older_anchor_is_a_finding(sealed, _case, kept, code, said):
    age_seals()
    older = anchors.Anchor(7, Seal.objects.get(seq=7).hash, "2026-11-20T12:00:00+00:00")
    if kept is not None:
        anchors.path().unlink()
    if kept:
        anchors.append(older, anchors.path())

    found = verify()

    assert (found[0], said in found[1]) == (code, True), found


def test_a_tail_that_was_cut_together_with_its_anchors_differs_from_a_copy_kept_elsewhere(
    sealed, tmp_path
):
    copy = tmp_path / "kept-elsewhere.jsonl"
    copy.write_bytes(anchors.path().read_bytes())
    age_seals()
    tamper(
        "DELETE FROM execution_site_seal WHERE seq > 15; DELETE FROM execution_site_event"
        " WHERE id NOT IN (SELECT event_id FROM execution_site_seal)"
    )
    anchors.path().unlink()
    head = Seal.objects.get(seq=15)
    anchors.append(anchors.of_head(head.seq, head.hash), anchors.path())

    assert verify()[0] == 0
    code, said = verify("--anchors", str(copy))
    assert code == 1
    assert f"the tail is cut: seal {ROWS} was anchored" in said


def test_a_sealer_does_not_paper_over_anchors_that_are_gone(sealed, caplog):
    age_seals()
    anchors.path().unlink()
    write(ROWS)
    for holder in ("test", "a successor"):
        Lease.objects.update(expires_at=datetime.now(UTC) - timedelta(seconds=1))
        sealer = Sealer(holder=holder)
        while sealer.step():
            pass
        sealer.stop()

    assert not anchors.path().exists()
    assert "the anchors are gone" in caplog.text

    call_command("anchor_audit", actor="rita", reason="the disk was replaced", stdout=io.StringIO())
    assert anchors.reach(anchors.path()) == ROWS + 1
    begun = Event.objects.get(type=EventType.AUDIT, data__action="anchors_begun")
    assert (begun.data["actor"], begun.data["after"]["seq"]) == ("rita", ROWS + 1)
    sealer = Sealer(holder="test")
    sealer.step()
    sealer.stop()
    assert verify()[0] == 0
    assert anchors.reach(anchors.path()) == ROWS + 2


def test_an_event_that_is_committed_long_after_its_time_is_pending(sealed):
    with transaction.atomic():
        at = datetime.now(UTC) - timedelta(hours=1)
        record_event(EventType.ORDER, {"n": 21}, account="paper", at=at)
    code, said = verify()

    assert (code, "1 not sealed yet" in said) == (0, True)


def test_an_event_that_a_working_sealer_passes_over_is_named(sealed, monkeypatch):
    monkeypatch.setattr(verification, "SEALED_WITHIN_SECONDS", 0.2)
    with transaction.atomic():
        at = datetime.now(UTC) - timedelta(hours=1)
        record_event(EventType.ORDER, {"n": 21}, account="paper", at=at)
    Lease.objects.update(expires_at=datetime.now(UTC) + timedelta(minutes=1))
    code, said = verify()

    assert (code, "passes this event over" in said) == (1, True)


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE execution_site_event SET account = ''",
        "DELETE FROM execution_site_event",
        "TRUNCATE execution_site_event CASCADE",
        "UPDATE execution_site_seal SET hash = ''",
        "DELETE FROM execution_site_seal",
        "TRUNCATE execution_site_seal",
    ],
)
def test_the_database_refuses_to_change_the_trail(sealed, sql):
    """Its owner too, who may do all that the application may not."""
    with databases.as_owner() as owner, pytest.raises(psycopg.Error, match="append-only"):
        owner.execute(sql)
    with (
        pytest.raises(DatabaseError, match="permission denied"),
        transaction.atomic(),
        connections["default"].cursor() as cursor,
    ):
        cursor.execute(sql)


def test_verdicts_and_fills_are_append_only_too(db):
    RiskDecision.objects.create(
        status="REFUSED", checks=[], inputs={}, build="x", decided_at=datetime.now(UTC)
    )
    with pytest.raises(DatabaseError, match="permission denied"), transaction.atomic():
        RiskDecision.objects.update(status="APPROVED")


def test_events_that_commit_out_of_order_are_all_sealed_once(db):
    """Twenty writers draw ids and commit late, while the sealer runs."""
    stop = threading.Event()
    sealer = Sealer(holder="test")

    def seal():
        while not stop.is_set() or sealer.step():
            if not sealer.step():
                time.sleep(0.005)
        connections["default"].close()

    def commit_late(writer):
        dsn = os.environ["DATABASE_URL"].rsplit("/", 1)[0] + f"/{db}"
        for n in range(20):
            with psycopg.connect(dsn) as connection:
                connection.execute(
                    "INSERT INTO execution_site_event (type, account, data, at, mac)"
                    " VALUES ('order', '', jsonb_build_object('n', %s::int), now(), '')",
                    [n],
                )
                time.sleep(random.uniform(0, 0.02))

    sealing = threading.Thread(target=seal)
    writers = [threading.Thread(target=commit_late, args=[w]) for w in range(20)]
    for thread in (sealing, *writers):
        thread.start()
    for writer in writers:
        writer.join()
    stop.set()
    sealing.join()

    assert Event.objects.count() == 400
    assert list(Seal.objects.order_by("seq").values_list("seq", flat=True)) == list(range(1, 401))


def test_a_paused_sealer_that_wakes_writes_nothing(db):
    write(1)
    paused = Sealer(holder="paused")
    paused.step()
    write(2)
    Lease.objects.update(expires_at=datetime.now(UTC) - timedelta(seconds=1))
    other = Sealer(holder="other")
    assert other.step() == 1
    write(3)
    assert paused.step() is None
    assert Seal.objects.count() == 2
    assert other.step() == 1
    assert paused.step() is None
