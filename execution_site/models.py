"""Where Django looks for the tables of the site: each is defined in the room that writes it."""

from django.db import models

from execution_site.floor.access import AccessChange
from execution_site.floor.events import Event, Seal
from execution_site.floor.hearts import Heart
from execution_site.floor.leases import Lease
from execution_site.floor.processes import ProcessStatus
from execution_site.floor.release import Release
from execution_site.rest.idempotency import KeyedRequest
from execution_site.rest.rates import RateBucket
from execution_site.sign_in.devices import Authenticator, RecoverySheet
from execution_site.sign_in.sign_ins import SignIn
from execution_site.trail.audit_checks import AuditCheck

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


class Seed(models.Model):
    """Something of the demo that was made, or found there, once: it is never made again.

    `made` is false where it was there before.
    """

    name = models.CharField(max_length=128, primary_key=True)
    made = models.BooleanField()
    seeded_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.name
