"""The tables every layer may write to, and the supervisor's view of its processes."""

from django.db import models

from execution_site.access import AccessChange
from execution_site.audit_checks import AuditCheck
from execution_site.devices import Authenticator, RecoverySheet
from execution_site.events import Event, Seal
from execution_site.hearts import Heart
from execution_site.idempotency import KeyedRequest
from execution_site.leases import Lease
from execution_site.rates import RateBucket
from execution_site.release import Release
from execution_site.sign_ins import SignIn

__all__ = [
    "AccessChange",
    "AuditCheck",
    "Authenticator",
    "Event",
    "Heart",
    "KeyedRequest",
    "Lease",
    "ProcessStatus",
    "RateBucket",
    "RecoverySheet",
    "Release",
    "Seal",
    "Seed",
    "SignIn",
]


class ProcessStatus(models.Model):
    """What the supervisor says of one process. `state`: up, restarting, stopped."""

    name = models.CharField(max_length=32, unique=True)
    state = models.CharField(max_length=16)
    pid = models.IntegerField(null=True)
    since = models.DateTimeField()
    restarts = models.IntegerField(default=0)
    last_exit = models.IntegerField(null=True)
    updated_at = models.DateTimeField()

    class Meta:
        verbose_name_plural = "process statuses"

    def __str__(self) -> str:
        return f"{self.name}: {self.state}"


class Seed(models.Model):
    """Something of the demo that was made, or found there, once: it is never made again.

    `made` is false where it was there before.
    """

    name = models.CharField(max_length=128, primary_key=True)
    made = models.BooleanField()
    seeded_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.name
