"""The gate: every check that applies, one verdict, and what it takes to make it again."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from risk.checks import Check, CheckStatus, Facts, run_checks

#: Bumped with every change of a check's meaning; stored with each verdict.
BUILD = "2026.11.2"


class DecisionStatus(StrEnum):
    """What the gate said."""

    APPROVED = "APPROVED"
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

    def as_json(self) -> dict[str, Any]:
        """Return the decision as clients see it."""
        return {
            "status": self.status.value,
            "checks": [c.as_json() for c in self.checks],
        }


def judge(facts: Facts) -> Verdict:
    """Run every check. One that failed, or could not be evaluated, refuses."""
    checks = tuple(run_checks(facts))
    passed = all(check.status is CheckStatus.PASSED for check in checks)
    return Verdict(DecisionStatus.APPROVED if passed else DecisionStatus.REFUSED, checks)
