"""What groups are called and what they can come to."""

from enum import StrEnum


class GroupType(StrEnum):
    """The named combinations, and any other."""

    SPREAD = "SPREAD"
    STRADDLE = "STRADDLE"
    STRANGLE = "STRANGLE"
    IRON_CONDOR = "IRON_CONDOR"
    CUSTOM = "CUSTOM"


class GroupStatus(StrEnum):
    """What a group has come to. CREATED: nothing is filled; CLOSED: what was filled is closed."""

    CREATED = "CREATED"
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    FILLED = "FILLED"
    UNWINDING = "UNWINDING"
    CLOSED = "CLOSED"
    CANCELLED = "CANCELLED"
    REJECTED = "REJECTED"


FINAL = frozenset({GroupStatus.CLOSED, GroupStatus.CANCELLED, GroupStatus.REJECTED})


class OnLegFailure(StrEnum):
    """What becomes of the legs that are filled when another is not."""

    UNWIND = "UNWIND"
    KEEP = "KEEP"
