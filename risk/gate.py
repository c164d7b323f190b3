"""The gate: every check that applies, one verdict, and what it takes to make it again."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from risk.checks import Check, CheckStatus, run_checks
from risk.checks.order import tick_and_lot
from risk.facts import Change, Facts, SystemMode
from risk.origins import Origin

#: Bumped with every change of a check's meaning; stored with each verdict.
BUILD = "2026.11.5"


class DecisionStatus(StrEnum):
    """What the gate said."""

    APPROVED = "APPROVED"
    AWAITING_APPROVAL = "AWAITING_APPROVAL"
    REFUSED = "REFUSED"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The gate's answer with every check behind it."""

    status: DecisionStatus
    checks: Sequence[Check]

    @property
    def approved(self) -> bool:
        """Tell whether the order may be recorded for sending."""
        return self.status is DecisionStatus.APPROVED

    @property
    def refused(self) -> bool:
        """Tell whether nothing may come of it."""
        return self.status is DecisionStatus.REFUSED

    def as_json(self) -> dict[str, Any]:
        """Return the decision as clients see it."""
        return {
            "status": self.status.value,
            "checks": [c.as_json() for c in self.checks],
        }


def judge(facts: Facts) -> Verdict:
    """Run every check. One that failed, or could not be evaluated, refuses.

    In SUPERVISED mode a signal that passes waits for a person, and is judged again then. What
    narrows an order need only be in ticks and lots: it passes where a cancel would.
    """
    if facts.change is Change.NARROWS:
        checks: tuple[Check, ...] = (tick_and_lot(facts),)
    else:
        checks = tuple(run_checks(facts))
    if any(check.status is not CheckStatus.PASSED for check in checks):
        return Verdict(DecisionStatus.REFUSED, checks)
    unapproved = facts.origin == Origin.SIGNAL and facts.approved_by is None
    if facts.mode is SystemMode.SUPERVISED and unapproved and facts.change is None:
        return Verdict(DecisionStatus.AWAITING_APPROVAL, checks)
    return Verdict(DecisionStatus.APPROVED, checks)
