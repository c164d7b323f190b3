"""Four eyes: a change of a kind that takes two people is proposed by one and applied by another.

Where its kind is not switched on, a change is applied at once; both ways go through here. What is
applied is applied against what is there now: a proposal whose ground has changed is stale.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from brokers.models import BrokerConnection
from execution_site import audit
from execution_site.audit import Actor
from execution_site.console import json_values
from execution_site.idempotency import once
from orders import emergency
from orders.payloads import time_text
from risk import control, locks
from risk.facts import SystemMode
from risk.four_eyes import (
    ChangeKind,
    ChangeRequest,
    FourEyesRule,
    SamePerson,
    check_two_persons,
    takes_two,
)
from risk.kills import Scope, of_scope
from risk.models import RiskLimit

GOOD_FOR = timedelta(minutes=15)
Status = ChangeRequest.Status


class NotDecidable(Exception):
    """The proposal cannot be decided on. `code` is stable."""

    code = "proposal_not_open"


@dataclass(frozen=True, slots=True)
class _Change:
    """How a kind of change reads what is there, and how it is made, in the caller's transaction.

    `account` names the account that it is about, "" where it is about everything. `drains`: senders
    that were granted before it are waited out after the commit.
    """

    read: Callable[[str, Any], Any]
    make: Callable[[Any, str, str, datetime], None]
    account: Callable[[Any], str] = lambda _: ""
    drains: bool = False


def propose_or_apply(
    kind: ChangeKind, *, target: str, after: Any, actor: Actor, reason: str, now: datetime
) -> ChangeRequest | None:
    """Make a change at once, or propose it where its kind takes two people; return the proposal.

    :raises SamePerson: it takes two, and the actor is not known to be one
    :raises audit.ReasonRequired: without a reason
    """
    if not reason.strip():
        raise audit.ReasonRequired(kind.value)
    change, row = _CHANGES[kind], None
    with once():
        if takes_two(kind):
            row = propose(kind, target=target, after=after, actor=actor, reason=reason, now=now)
        else:
            change.make(after, actor.name, reason, now)
    if row is None and change.drains:
        control.drain_or_leave()
    return row


def propose(
    kind: ChangeKind, *, target: str, after: Any, actor: Actor, reason: str, now: datetime
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
        before=_CHANGES[kind].read(target, after),
        after=after,
        account=_CHANGES[kind].account(after),
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

    :raises SamePerson: it is one's own, or it cannot be told whose it is
    :raises NotDecidable: it was decided before, has expired, or what it changes has changed
    :raises audit.ReasonRequired: without a reason
    """
    with once():
        row = _open(proposal_id, now=now)
        check_two_persons(row.proposing_person_id, actor.person)
        change = _CHANGES[ChangeKind(row.kind)]
        if change.read(row.target, row.after) != row.before:
            _decide(row, Status.STALE, actor=actor, reason="what it changes has changed", now=now)
        else:
            _decide(row, Status.APPLIED, actor=actor, reason=reason, now=now)
            said = f"{row.reason} (proposed by {row.proposer}; approved: {reason.strip()})"
            change.make(row.after, f"{row.proposer} and {actor.name}", said, now)
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
        return bool(ended.update(status=Status.EXPIRED, decided_at=now))


def describe(row: ChangeRequest) -> dict[str, Any]:
    """Return a proposal as people see it."""
    return {
        "id": row.pk,
        "kind": row.kind,
        "target": row.target,
        "account": row.account or None,
        "before": row.before,
        "after": row.after,
        "proposer": row.proposer,
        "reason": row.reason,
        "status": row.status,
        "proposed_at": time_text(row.proposed_at),
        "expires_at": time_text(row.expires_at),
        "decided_by": row.decided_by or None,
    }


def _open(proposal_id: int, *, now: datetime) -> ChangeRequest:
    row = ChangeRequest.objects.select_for_update().filter(pk=proposal_id).first()
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


def _scope(after: Any) -> Scope:
    return Scope(**after)


def _read_mode(_: str, __: Any) -> Any:
    return {"mode": control.current().mode}


def _make_mode(after: Any, actor: str, reason: str, now: datetime) -> None:
    control.change_mode(SystemMode(after["mode"]), actor=actor, reason=reason, now=now)


def _read_kill(_: str, after: Any) -> Any:
    return list(of_scope(_scope(after)).values_list("pk", flat=True))


def _make_release(after: Any, actor: str, reason: str, now: datetime) -> None:
    emergency.release(_scope(after), actor=actor, reason=reason, now=now)


def _account_of_kill(after: Any) -> str:
    return after["account"] or ""


def _account_of_limit(after: Any) -> str:
    pk = after["values"]["connection"]
    return "" if pk is None else BrokerConnection.objects.get(pk=pk).name


def _read_limit(target: str, _: Any) -> Any:
    row = RiskLimit.objects.filter(pk=int(target)).first() if target else None
    return {} if row is None else json_values(row)


def _make_limit(after: Any, actor: str, reason: str, now: datetime) -> None:
    locks.limits_exclusive()
    row = RiskLimit.objects.filter(pk=after["id"]).first() or RiskLimit()
    before = json_values(row) if row.pk else None
    had_ended = row.has_ended(now)
    for name, value in after["values"].items():
        setattr(row, "connection_id" if name == "connection" else name, value)
    row.full_clean(validate_unique=False)
    ends = row.has_ended(now) and not had_ended
    if ends:  # until this moment it applied, whenever its end was asked for
        row.effective_until = max(now, row.effective_from or now)
    row.save()
    row.refresh_from_db()
    audit.record(
        f"risklimit_{'added' if before is None else 'ended' if ends else 'changed'}",
        actor=actor,
        reason=reason,
        at=now,
        before=before,
        after=json_values(row),
        object_id=str(row.pk),
    )


def _read_rule(target: str, _: Any) -> Any:
    return list(FourEyesRule.objects.filter(kind=target).values_list("kind", flat=True))


def _end_rule(after: Any, actor: str, reason: str, now: datetime) -> None:
    kind = after["kind"]
    FourEyesRule.objects.filter(kind=kind).delete()
    audit.record(
        "foureyesrule_ended",
        actor=actor,
        reason=reason,
        at=now,
        before={"kind": kind},
        after=None,
        object_id=kind,
    )


_CHANGES: Mapping[ChangeKind, _Change] = {
    ChangeKind.MODE: _Change(_read_mode, _make_mode, drains=True),
    ChangeKind.KILL_RELEASE: _Change(_read_kill, _make_release, _account_of_kill),
    ChangeKind.LIMIT_UP: _Change(_read_limit, _make_limit, _account_of_limit),
    ChangeKind.RULE_END: _Change(_read_rule, _end_rule),
}
