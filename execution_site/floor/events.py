"""The event log: what happened, written in the fact's own transaction, sealed afterwards.

The execution log, the audit trail, the live stream and the hash chain are this one thing. A writer
adds an `Event`; the sealer (execution_site/trail/sealer.py) gives each committed event its gapless
`seq` and its place in the hash chain. `mac` proves that the application wrote the row: it needs a
key the database does not hold.
"""

import hashlib
import hmac
import json
from collections.abc import Iterable
from datetime import datetime
from typing import Any, NamedTuple

from django.conf import settings
from django.db import models, transaction

from execution_site.floor import bus, secret_keys


class EventType(models.TextChoices):
    """The durable types of the live stream, and `audit` for changes of rules and rows."""

    SIGNAL = "signal"
    GROUP = "group"
    ORDER = "order"
    FILL = "fill"
    POSITION = "position"
    PNL = "pnl"
    SYSTEM = "system"
    BREAKER = "breaker"
    CONNECTION = "connection"
    RECONCILIATION = "reconciliation"
    AUDIT = "audit"


class Event(models.Model):
    """One thing that happened. Append-only; `account` is empty where it concerns everyone."""

    type = models.CharField(max_length=16, choices=EventType)
    account = models.CharField(max_length=64, blank=True)
    data = models.JSONField()
    at = models.DateTimeField()
    mac = models.CharField(max_length=64)

    def __str__(self) -> str:
        return f"{self.type} {self.pk}"


class Seal(models.Model):
    """An event's place in the stream and in the hash chain. Append-only, written by the sealer."""

    seq = models.BigIntegerField(primary_key=True)
    event = models.OneToOneField(Event, on_delete=models.PROTECT, related_name="seal")
    previous_hash = models.CharField(max_length=64)
    hash = models.CharField(max_length=64)
    sealed_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"seal {self.seq}"


class EventRow(NamedTuple):
    """The columns of an event about to be written, for statements that write several tables."""

    type: str
    account: str
    data: str
    at: datetime
    mac: str


def canonical(data: Any) -> str:
    """Return the one spelling of a JSON value: sorted keys, no spaces, text as it is."""
    return json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def event_mac(type: str, account: str, data: str, at: datetime, *, key: str = "") -> str:
    """Return the application's own proof that it wrote this event (HMAC-SHA-256, hexadecimal).

    `data` is in its canonical spelling; the key is AUDIT_KEY unless another is given.
    """
    text = f"{type}|{account}|{at.timestamp():.6f}|{data}"
    secret = key or settings.AUDIT_KEY
    return hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()


def is_our_mac(mac: str, type: str, account: str, data: str, at: datetime) -> bool:
    """Tell whether the application wrote this event, with its key or one before it."""
    keys = secret_keys.valid("AUDIT_KEY")
    return any(event_mac(type, account, data, at, key=key) == mac for key in keys)


def event_row(type: EventType, data: dict[str, Any], *, account: str, at: datetime) -> EventRow:
    """Return the columns of an event."""
    text = canonical(data)
    return EventRow(type.value, account, text, at, event_mac(type.value, account, text, at))


#: An INSERT of events from one JSON array; a part of larger statements. See `columns`.
INSERT_EVENTS = """INSERT INTO execution_site_event (type, account, data, at, mac)
    SELECT e.type, e.account, e.data, e.at, e.mac FROM jsonb_to_recordset(%(events)s::jsonb)
        AS e (type text, account text, data jsonb, at timestamptz, mac text)"""


def columns(rows: Iterable[EventRow]) -> dict[str, str]:
    """Return the parameter of INSERT_EVENTS: the rows as JSON, in their order."""
    written = (
        f'{{"type":"{row.type}","account":{json.dumps(row.account)},"data":{row.data},'
        f'"at":"{row.at.isoformat()}","mac":"{row.mac}"}}'
        for row in rows
    )
    return {"events": f"[{','.join(written)}]"}


_sealer = bus.Notifier(bus.SEALER)


def wake_sealer() -> None:
    """Notify the sealer, after the commit, that there is something to seal. It may fail."""
    transaction.on_commit(_sealer.notify, robust=True)


def record_event(type: EventType, data: dict[str, Any], *, account: str = "", at: datetime) -> None:
    """Store an event in the caller's transaction; the sealer numbers, chains and sends it after."""
    mac = event_mac(type.value, account, canonical(data), at)
    Event.objects.create(type=type, account=account, data=data, at=at, mac=mac)
    wake_sealer()
