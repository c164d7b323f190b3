"""Four eyes: a change of a kind that takes two people is proposed by one and applied by another.

Where its kind is not switched on, a change is applied at once; both ways go through here. What is
applied is applied against what is there now: a proposal whose ground has changed is stale.
"""

from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import transaction

from brokers.credentials import CredentialsUnreadable
from execution_site.floor import audit, locks
from execution_site.floor.audit import Actor
from execution_site.rest.idempotency import once
from orders.payloads import time_text
from orders.two_persons.changes import CHANGES
from orders.two_persons.differences import Difference
from orders.two_persons.guarded_rows import Making
from risk import control
from risk.change_kinds import ChangeKind
from risk.four_eyes import ChangeRequest, SamePerson, check_two_persons, takes_two

GOOD_FOR = timedelta(minutes=15)
Status = ChangeRequest.Status


class NotDecidable(Exception):
    """The proposal cannot be decided on. `code` is stable."""

    code = "proposal_not_open"


class MayNotDecide(Exception):
    """The approver could not have made the change themselves. `code` is stable."""

    code = "approver_lacks_right"


def propose_or_apply(
    kind: ChangeKind, *, target: str, after: Any, actor: Actor, reason: str, now: datetime
) -> ChangeRequest | None:
    """Make a change at once, or propose it where its kind takes two people; return the proposal.

    :raises SamePerson: it takes two, and the actor is not known to be one
    :raises audit.ReasonRequired: without a reason
    """
    if not reason.strip():
        raise audit.ReasonRequired(kind.value)
    change, row = CHANGES[kind], None
    with once():
        if takes_two(kind):
            row = propose(kind, target=target, after=after, actor=actor, reason=reason, now=now)
        else:
            change.make(Making(after, actor.name, reason, now))
    if row is None and change.drains:
        control.drain_or_leave()
    return row


def propose(
    kind: ChangeKind,
    *,
    target: str,
    after: Any,
    actor: Actor,
    reason: str,
    now: datetime,
    credentials_sealed: bytes = b"",
) -> ChangeRequest:
    """Propose a change, in the caller's transaction.

    :raises SamePerson: the actor is not known to be a person
    :raises audit.ReasonRequired: without a reason
    """
    if actor.person is None:
        raise SamePerson("a client that belongs to nobody can propose nothing")
    row = ChangeRequest.objects.create(
        kind=kind,
        target=target,
        before=CHANGES[kind].read(target, after),
        after=after,
        credentials_sealed=credentials_sealed,
        account=CHANGES[kind].account(after),
        proposer=actor.name,
        proposing_person_id=actor.person,
        reason=reason.strip(),
        proposed_at=now,
        expires_at=now + GOOD_FOR,
    )
    _audit(row, "change_proposed", actor=actor, reason=reason, now=now)
    return row


def approve(proposal_id: int, *, actor: Actor, reason: str, now: datetime) -> ChangeRequest:
    """Apply another's proposal.

    :raises SamePerson: it is one's own, or it is not known whose it is
    :raises MayNotDecide: the approver could not have made the change themselves
    :raises NotDecidable: it was decided before, has expired, what it changes has changed, or it
        can no longer be made
    :raises audit.ReasonRequired: without a reason
    """
    with once():
        row = _open(proposal_id, now=now)
        check_two_persons(row.proposing_person_id, actor.person)
        change = CHANGES[ChangeKind(row.kind)]
        if change.read(row.target, row.after) != row.before:
            _decide(row, Status.STALE, actor=actor, reason="what it changes has changed", now=now)
        else:
            _check_may(row, actor)
            said = f"{row.reason} (proposed by {row.proposer}; approved: {reason.strip()})"
            by, sealed = f"{row.proposer} and {actor.name}", bytes(row.credentials_sealed)
            _decide(row, Status.APPLIED, actor=actor, reason=reason, now=now)
            try:
                change.make(Making(row.after, by, said, now, sealed))
            except ValidationError as e:
                raise NotDecidable(f"it can no longer be made: {'; '.join(e.messages)}") from e
            except CredentialsUnreadable as e:
                raise NotDecidable("its credentials can no longer be read: propose again") from e
    if row.status == Status.STALE:
        raise NotDecidable("what it changes has changed since it was proposed")
    if change.drains:
        control.drain_or_leave()
    return row


def decline(proposal_id: int, *, actor: Actor, reason: str, now: datetime) -> ChangeRequest:
    """Decline a proposal; its proposer may withdraw it so.

    :raises NotDecidable: it was decided before, or has expired
    :raises audit.ReasonRequired: without a reason
    """
    with once():
        row = _open(proposal_id, now=now)
        _decide(row, Status.DECLINED, actor=actor, reason=reason, now=now)
    return row


def overdue(*, now: datetime) -> list[int]:
    """Return the proposals that nobody decided on in time."""
    over = ChangeRequest.objects.filter(status=Status.WAITING, expires_at__lte=now)
    return list(over.order_by("expires_at").values_list("pk", flat=True))


def expire(proposal_id: int, *, now: datetime) -> bool:
    """End a proposal whose time is over; tell whether it was done. A row in use is left alone."""
    over = ChangeRequest.objects.filter(pk=proposal_id, status=Status.WAITING, expires_at__lte=now)
    with transaction.atomic(durable=True):
        if locks.first_free(over) is None:
            return False
        ended = ChangeRequest.objects.filter(pk=proposal_id)
        return bool(ended.update(status=Status.EXPIRED, decided_at=now, credentials_sealed=b""))


def describe(row: ChangeRequest) -> dict[str, Any]:
    """Return a proposal as people see it."""
    return {
        "id": row.pk,
        "kind": row.kind,
        "target": row.target,
        "account": row.account or None,
        "before": row.before,
        "after": row.after,
        "changes": [d.as_json() for d in differences_of(row)],
        "proposer": row.proposer,
        "reason": row.reason,
        "status": row.status,
        "proposed_at": time_text(row.proposed_at),
        "expires_at": time_text(row.expires_at),
        "decided_by": row.decided_by or None,
    }


def differences_of(row: ChangeRequest) -> list[Difference]:
    """Return what a proposal would change, in words."""
    return CHANGES[ChangeKind(row.kind)].show(row.before, row.after)


def _check_may(row: ChangeRequest, actor: Actor) -> None:
    person = User.objects.filter(pk=actor.person or 0).first()
    if person is None or not CHANGES[ChangeKind(row.kind)].may(person, row.after):
        raise MayNotDecide(f"{actor.name} could not make this change, so they cannot approve it")


def _open(proposal_id: int, *, now: datetime) -> ChangeRequest:
    row = locks.for_update(ChangeRequest.objects.filter(pk=proposal_id)).first()
    if row is None or row.status != Status.WAITING:
        raise NotDecidable("the proposal is not waiting")
    if row.expires_at <= now:
        raise NotDecidable("the proposal has expired")
    return row


def _decide(
    row: ChangeRequest, status: ChangeRequest.Status, *, actor: Actor, reason: str, now: datetime
) -> None:
    if not reason.strip():
        raise audit.ReasonRequired(row.kind)
    row.status, row.decided_by, row.deciding_person_id = status, actor.name, actor.person
    row.decided_at, row.decision_reason = now, reason.strip()
    row.credentials_sealed = b""
    row.save()
    _audit(row, f"change_{status.value.lower()}", actor=actor, reason=reason, now=now)


def _audit(row: ChangeRequest, action: str, *, actor: Actor, reason: str, now: datetime) -> None:
    audit.record(
        action,
        actor=actor.name,
        reason=reason,
        at=now,
        before=row.before,
        after=row.after,
        object_id=f"{row.kind} {row.target}",
    )
