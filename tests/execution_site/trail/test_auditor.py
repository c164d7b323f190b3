"""The audit trail looks after itself: who is told of its head, and that it is verified each day."""

import json
import sys
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from django.db import transaction
from django.test import Client

from execution_site.floor.events import Event, EventType, Seal, record_event
from execution_site.floor.leases import Lease
from execution_site.trail import anchoring, anchors
from execution_site.trail.audit_checks import AuditCheck
from execution_site.trail.auditor import Auditor
from execution_site.trail.sealer import Sealer
from tests import databases

WRITES = "import sys; open({path!r}, 'a').write(sys.stdin.read())"


@pytest.fixture
def sealer(db, settings, tmp_path):
    """A sealer that works and has sealed an event; its files are the test's own."""
    settings.DATA_DIR = str(tmp_path)
    write()
    sealer = Sealer(holder="test")
    while sealer.step():
        pass
    return sealer


def write():
    with transaction.atomic():
        record_event(EventType.ORDER, {"n": 1}, account="paper", at=datetime.now(UTC))


def look(holder="test", *, now=None):
    auditor = Auditor(holder=holder)
    auditor.look(now=now or datetime.now(UTC))
    return auditor


def recorded(action):
    return [e.data for e in Event.objects.filter(type=EventType.AUDIT, data__action=action)]


@pytest.fixture
def heard():
    """A server elsewhere, and what it was told."""
    told = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200 if self.path == "/ok" else 500)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", told
    server.shutdown()
    server.server_close()


def test_the_head_leaves_the_machine_by_each_way_and_the_log_says_where_it_went(
    sealer, settings, tmp_path, heard
):
    address, told = heard
    file, commanded = tmp_path / "kept.jsonl", tmp_path / "commanded.jsonl"
    settings.AUDIT_ANCHOR_FILE = str(file)
    settings.AUDIT_ANCHOR_COMMAND = f'{sys.executable} -c "{WRITES.format(path=str(commanded))}"'
    settings.AUDIT_ANCHOR_WEBHOOK = f"{address}/ok"
    head = Seal.objects.latest("seq")

    auditor = look()
    auditor.look(now=datetime.now(UTC))  # not due again

    assert anchors.read(file) == anchors.read(commanded) == {head.seq: head.hash}
    assert [(t["seq"], t["hash"]) for t in told] == [(head.seq, head.hash)]
    (event,) = recorded("audit_anchored")
    places = [f"command {sys.executable}", f"file {file}", "webhook 127.0.0.1"]
    assert event["after"] == {"seq": head.seq, "hash": head.hash, "at": places}


@pytest.mark.parametrize(
    ("_case", "values"),
    [
        ("no such folder", {"AUDIT_ANCHOR_FILE": "/nowhere/kept.jsonl"}),
        ("no such command", {"AUDIT_ANCHOR_COMMAND": "/nowhere/send"}),
        ("a command that fails", {"AUDIT_ANCHOR_COMMAND": "false"}),
        ("nobody listens", {"AUDIT_ANCHOR_WEBHOOK": "http://127.0.0.1:9/ok"}),
        ("refused", {"AUDIT_ANCHOR_WEBHOOK": "/no"}),
    ],
)
def test_what_does_not_arrive_is_told_of_and_not_recorded_as_anchored(
    sealer, settings, heard, caplog, _case, values
):
    for name, value in values.items():
        setattr(settings, name, heard[0] + value if value == "/no" else value)

    look()

    assert "anchoring at" in caplog.text
    assert recorded("audit_anchored") == []


def test_a_command_is_told_none_of_our_keys(sealer, settings, tmp_path, monkeypatch):
    monkeypatch.setenv("AUDIT_KEY", "canary")
    code = f"import json, os; json.dump(dict(os.environ), open({str(tmp_path / 'env')!r}, 'w'))"
    settings.AUDIT_ANCHOR_COMMAND = f'{sys.executable} -c "{code}"'
    look()

    assert set(json.loads((tmp_path / "env").read_text())) - {"LC_CTYPE"} <= set(anchoring.TOLD)


def test_it_is_verified_once_a_day_where_the_sealer_works(sealer):
    now = datetime.now(UTC)
    look("somebody else", now=now)
    assert not AuditCheck.objects.exists()
    look(now=now)
    look(now=now + timedelta(seconds=1))
    check = AuditCheck.objects.get()
    assert (check.rows, check.finding) == (1, "")
    Lease.objects.update(expires_at=now + timedelta(days=2))
    look(now=now + timedelta(hours=25))
    assert AuditCheck.objects.count() == 2


def test_what_is_found_is_alerted_recorded_and_red(sealer, caplog):
    with databases.as_owner() as owner:
        owner.execute("ALTER TABLE execution_site_event DISABLE TRIGGER USER")
        owner.execute("UPDATE execution_site_event SET account = 'other'")
    look()

    assert "THE AUDIT TRAIL IS BROKEN" in caplog.text
    (event,) = recorded("audit_broken")
    assert "seal 1" in event["reason"]
    part = Client().get("/api/v1/health").json()["parts"]["audit"]
    assert (part["ok"], "seal 1" in part["detail"]) == (False, True)
