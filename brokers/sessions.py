"""When exchanges are open: dated rows, one for each session."""

from django.db import models
from django.db.models import F, Q


class ExchangeSession(models.Model):
    """One session of an exchange. An exchange without rows has no calendar, and no closed hours."""

    exchange = models.CharField(max_length=32)
    opens_at = models.DateTimeField()
    closes_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(name="session_once", fields=["exchange", "opens_at"]),
            models.CheckConstraint(
                name="session_closes_after_it_opens", condition=Q(closes_at__gt=F("opens_at"))
            ),
        ]

    def __str__(self) -> str:
        return f"{self.exchange} {self.opens_at:%Y-%m-%d %H:%M}"
