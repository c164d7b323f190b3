"""Changing limits: what widens, whether that takes two people, and how a limit ends."""

from datetime import datetime
from typing import Any

from execution_site.console.tables import json_values
from execution_site.floor.audit import Actor
from orders.two_persons import proposals
from risk import four_eyes
from risk.change_kinds import ChangeKind
from risk.four_eyes import ChangeRequest
from risk.limits import DEFAULTED, STRICTER_UP, Metric
from risk.models import RiskLimit

FREE = frozenset({"value", "note", "owner"})


def widens(was: RiskLimit | None, new: RiskLimit) -> bool:
    """Tell whether a change may let more through: any but of a stricter value and of notes.

    A new limit only narrows, unless it takes the place of a default.
    """
    if was is None:
        return Metric(new.metric) in DEFAULTED
    before, after = json_values(was), json_values(new)
    if any(before[name] != after[name] for name in before if name not in FREE):
        return True
    return new.value < was.value if was.metric in STRICTER_UP else new.value > was.value


def takes_two(was: RiskLimit | None, new: RiskLimit) -> bool:
    """Tell whether a change takes a second person."""
    return widens(was, new) and four_eyes.takes_two(ChangeKind.LIMIT_UP)


def propose(limit: RiskLimit, *, actor: Actor, reason: str, now: datetime) -> ChangeRequest:
    """Propose that a limit gets the values it has in memory, in the caller's transaction."""
    return proposals.propose(
        ChangeKind.LIMIT_UP, **_proposed(limit), actor=actor, reason=reason, now=now
    )


def ended(limit: RiskLimit, *, now: datetime) -> RiskLimit:
    """Return a copy of a limit that ends now, or as it begins."""
    copy = RiskLimit(**{f.attname: getattr(limit, f.attname) for f in limit._meta.concrete_fields})
    copy.effective_until = max(now, limit.effective_from or now)
    return copy


def end(limit_id: int, *, actor: Actor, reason: str, now: datetime) -> ChangeRequest | None:
    """End a limit now, or propose to; it is kept, since verdicts name it.

    :raises audit.ReasonRequired: without a reason
    """
    limit = ended(RiskLimit.objects.get(pk=limit_id), now=now)
    return proposals.propose_or_apply(
        ChangeKind.LIMIT_UP, **_proposed(limit), actor=actor, reason=reason, now=now
    )


def _proposed(limit: RiskLimit) -> dict[str, Any]:
    values = {name: value for name, value in json_values(limit).items() if name != "id"}
    stored = RiskLimit.objects.filter(pk=limit.pk).first()
    target = f"new limit {limit}" if stored is None else f"limit {stored}"
    return {"target": target[:200], "after": {"id": limit.pk, "values": values}}
