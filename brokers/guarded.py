"""What holds for every call to a venue, whichever it is; the registry gives out no other adapter.

A dry account sends nothing: a call that would change something raises `DryRun` with what it would
have sent. A connection whose credentials its venue refuses is switched off, whatever was called.
"""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import DatabaseError, InterfaceError, transaction
from django.utils import timezone

from brokers.contract import (
    BrokerAdapter,
    BrokerUnavailable,
    CredentialsRefused,
    DryRun,
    Grant,
    OrderReport,
    OrderRequest,
    ReportPage,
)
from brokers.instruments.kinds import decimal_text
from brokers.models import BrokerConnection
from execution_site.floor import audit, locks, statements
from execution_site.floor.events import EventType, record_event

logger = logging.getLogger(__name__)


class GuardedAdapter:
    """One account's adapter behind the rules of every call."""

    def __init__(self, account: str, venue: BrokerAdapter) -> None:
        self.account, self.venue = account, venue
        self.timeout_seconds = venue.timeout_seconds

    def submit(self, grant: Grant) -> OrderReport:
        """Place the order, unless the account is dry."""
        if self._is_dry():
            raise DryRun(_as_sent("submit", grant))
        with self._credentials():
            return self.venue.submit(grant)

    def replace(self, grant: Grant) -> OrderReport:
        """Give a working order the grant's terms, unless the account is dry."""
        if self._is_dry():
            raise DryRun(_as_sent("replace", grant))
        with self._credentials():
            return self.venue.replace(grant)

    def cancel(self, client_order_id: str) -> OrderReport | None:
        """Ask for a cancel, unless the account is dry."""
        if self._is_dry():
            raise DryRun({"call": "cancel", "client_order_id": client_order_id})
        with self._credentials():
            return self.venue.cancel(client_order_id)

    def find_order(self, client_order_id: str) -> OrderReport | None:
        """Return the venue's view of an order."""
        with self._credentials():
            return self.venue.find_order(client_order_id)

    def reports_since(self, cursor: str) -> ReportPage:
        """Return what happened after `cursor`."""
        with self._credentials():
            return self.venue.reports_since(cursor)

    def _is_dry(self) -> bool:
        """Tell whether the account is dry as of now; what cannot be read sends nothing."""
        try:
            row = statements.first(_DRY, [self.account])
        except (DatabaseError, InterfaceError) as e:
            raise BrokerUnavailable(f"whether the account is dry is not known: {e}") from e
        return row is None or bool(row[0])

    @contextmanager
    def _credentials(self) -> Iterator[None]:
        try:
            yield
        except CredentialsRefused as e:
            _switch_off(self.account, str(e), now=timezone.now())
            raise


def _switch_off(account: str, reason: str, *, now: datetime) -> None:
    """Disable a connection until a person acts, and alert; one that is off already stays so."""
    with transaction.atomic(durable=True):
        row = locks.for_update(BrokerConnection.objects.enabled().filter(name=account)).first()
        if row is None:
            return
        row.is_enabled = False
        row.save(update_fields=["is_enabled"])
        said = f"credentials refused: {reason}"
        audit.record(
            "connection_disabled",
            actor="engine",
            reason=said,
            at=now,
            before=True,
            after=False,
            object_id=account,
        )
        data = {"account": account, "is_enabled": False, "reason": said}
        record_event(EventType.CONNECTION, data, account=account, at=now)
    logger.error("%s refused our credentials: connection disabled", account)


def _as_sent(call: str, grant: Grant) -> dict[str, Any]:
    """Spend the grant, as an adapter does before it sends, and return its request as JSON."""
    request = grant.spend(monotonic=time.monotonic())
    named = {field.name: _plain(getattr(request, field.name)) for field in fields(OrderRequest)}
    return {"call": call, **named}


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return decimal_text(value)
    if isinstance(value, datetime):
        return value.isoformat()
    return value


_DRY = "SELECT dry_run FROM brokers_brokerconnection WHERE name = %s"
