"""What verifying the audit trail has found, a row each time."""

from django.db import models


class AuditCheck(models.Model):
    """One verification of the whole log. Append-only; `finding` is empty where all is well."""

    checked_at = models.DateTimeField()
    head = models.BigIntegerField()
    rows = models.BigIntegerField()
    pending = models.IntegerField()
    finding = models.TextField(blank=True)

    def __str__(self) -> str:
        return self.finding or f"{self.rows} rows verified"
