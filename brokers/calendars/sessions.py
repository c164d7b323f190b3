"""When exchanges are open: dated rows, one for each session.

They are the one source of `market_open`, of an option's cut-off and time to expiry, and of the end
of DAY orders. `manage.py load_sessions` fills them; what is edited by hand it leaves as it is.
"""

from collections.abc import Collection
from datetime import date, datetime

from django.db import models, transaction
from django.db.models import F, Q

from brokers.calendars.session_plan import Session
from execution_site.floor import audit, locks


class ExchangeSession(models.Model):
    """One session of an exchange. An exchange without rows has no calendar, and no closed hours.

    `trading_date` is the exchange's own date, `note` says why a session is not an ordinary one.
    """

    exchange = models.CharField(max_length=32)
    trading_date = models.DateField()
    opens_at = models.DateTimeField()
    closes_at = models.DateTimeField()
    note = models.CharField(max_length=100, blank=True)
    edited_by_hand = models.BooleanField(default=False, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(name="session_once", fields=["exchange", "opens_at"]),
            models.CheckConstraint(
                name="session_closes_after_it_opens", condition=Q(closes_at__gt=F("opens_at"))
            ),
        ]
        indexes = [models.Index(name="session_of_date", fields=["exchange", "trading_date"])]

    def __str__(self) -> str:
        return f"{self.exchange} {self.opens_at:%Y-%m-%d %H:%M}"


def load(
    wanted: Collection[Session], *, first: date, last: date, actor: str, now: datetime
) -> dict[str, int]:
    """Make the wanted sessions those of their exchanges in a span of trading dates.

    A date of an exchange that was edited by hand is left as it is.

    :returns: how many rows are new, changed and removed
    """
    exchanges = sorted({session.exchange for session in wanted})
    with transaction.atomic(durable=True):
        span = ExchangeSession.objects.filter(
            exchange__in=exchanges, trading_date__range=(first, last)
        )
        rows = {(r.exchange, r.trading_date, r.opens_at): r for r in locks.for_update(span)}
        by_hand = {key[:2] for key, row in rows.items() if row.edited_by_hand}
        planned = {(s.exchange, s.trading_date, s.opens_at): s for s in wanted}
        new, changed = [], []
        for key, session in planned.items():
            if key[:2] in by_hand:
                continue
            row = rows.get(key)
            if row is None:
                new.append(
                    ExchangeSession(
                        exchange=session.exchange,
                        trading_date=session.trading_date,
                        opens_at=session.opens_at,
                        closes_at=session.closes_at,
                        note=session.note,
                    )
                )
            elif (row.closes_at, row.note) != (session.closes_at, session.note):
                row.closes_at, row.note = session.closes_at, session.note
                changed.append(row)
        gone = [r.pk for k, r in rows.items() if k not in planned and k[:2] not in by_hand]
        ExchangeSession.objects.filter(pk__in=gone).delete()
        ExchangeSession.objects.bulk_create(new, batch_size=1_000)
        ExchangeSession.objects.bulk_update(changed, ["closes_at", "note"], batch_size=1_000)
        counts = {"new": len(new), "changed": len(changed), "removed": len(gone)}
        if any(counts.values()):
            audit.record(
                "sessions",
                actor=actor,
                reason="load_sessions",
                at=now,
                before=None,
                after={**counts, "exchanges": exchanges},
            )
    return counts
