"""Four eyes: some changes take a second person. Proposals as rows.

They are made and decided in orders/two_persons/proposals.py.
"""

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from risk.change_kinds import ChangeKind

#: One person could else switch off what two are needed for.
ALWAYS = frozenset({ChangeKind.RULE_END})


class SamePerson(Exception):
    """It takes two persons, and these are not known to be two. `code` is stable."""

    code = "needs_second_person"


def check_two_persons(first: int | None, second: int | None) -> None:
    """Refuse two actors who are one person, by whichever client, key or browser they come.

    A key that belongs to nobody could be anybody's.

    :raises SamePerson: they are one, or it is not known who they are
    """
    if first is None or second is None:
        raise SamePerson("this takes two persons, and a client that belongs to nobody is none")
    if first == second:
        raise SamePerson("a second person must approve this")


def takes_two(kind: ChangeKind) -> bool:
    """Tell whether a kind of change takes a second person now."""
    return kind in ALWAYS or FourEyesRule.objects.filter(kind=kind).exists()


class FourEyesRule(models.Model):
    """A kind of change that takes a second person. Without its row, one is enough.

    Ending a rule takes two people, without a row of its own.
    """

    kind = models.CharField(
        max_length=24,
        primary_key=True,
        choices=[(k.value, k.value) for k in ChangeKind if k not in ALWAYS],
    )

    class Meta:
        verbose_name = "four-eyes rule"

    def __str__(self) -> str:
        return f"{self.kind} takes two people"


class ChangeRequest(models.Model):
    """A change that one person has proposed and another decides on, within 15 minutes.

    `before` is what was there when it was proposed: where that has changed meanwhile, the proposal
    is stale and is not applied. `account` is empty where it concerns everything. Credentials that
    wait are kept beside it, sealed to their connection's row, until it is decided.
    """

    class Status(models.TextChoices):
        """Where a proposal stands."""

        WAITING = "WAITING"
        APPLIED = "APPLIED"
        DECLINED = "DECLINED"
        EXPIRED = "EXPIRED"
        STALE = "STALE"

    kind = models.CharField(max_length=24, choices=[(k.value, k.value) for k in ChangeKind])
    target = models.CharField(max_length=200)
    before = models.JSONField()
    after = models.JSONField()
    credentials_sealed = models.BinaryField(default=b"", editable=False)
    account = models.CharField(max_length=64, blank=True)
    proposer = models.CharField(max_length=150)
    proposing_person = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+"
    )
    reason = models.TextField()
    proposed_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    status = models.CharField(max_length=16, choices=Status, default=Status.WAITING)
    decided_by = models.CharField(max_length=150, blank=True)
    deciding_person = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+"
    )
    decided_at = models.DateTimeField(null=True)
    decision_reason = models.TextField(blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="two_people_for_a_change",
                condition=~Q(status="APPLIED") | ~Q(decided_by=F("proposer")),
            ),
            models.CheckConstraint(
                name="two_persons_for_a_change",
                condition=~Q(status="APPLIED") | ~Q(deciding_person=F("proposing_person")),
            ),
            models.CheckConstraint(
                name="an_applied_change_was_decided",
                condition=~Q(status="APPLIED") | ~Q(decided_by=""),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.target}: {self.status}"
