"""Who changed what, and why: one event per change, in the change's own transaction."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from execution_site.floor.events import EventType, record_event


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts: the name that the log shows, and the person (a user's id), None where unknown."""

    name: str
    person: int | None = None


class ReasonRequired(Exception):
    """A change was asked for without a reason."""


def record(
    action: str,
    *,
    actor: str,
    reason: str,
    at: datetime,
    before: Any,
    after: Any,
    object_id: str = "",
) -> None:
    """Record a change: `before` and `after` are JSON values, `actor` is a user or client name.

    :raises ReasonRequired: when the reason is empty
    """
    if not reason.strip():
        raise ReasonRequired(action)
    record_event(
        EventType.AUDIT,
        {
            "action": action,
            "actor": actor,
            "reason": reason.strip(),
            "object": object_id,
            "before": before,
            "after": after,
        },
        at=at,
    )
