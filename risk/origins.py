"""Why an order exists, and what may stop it: one table, asked by the gate and again at the grant.

Pure. What only reduces a position passes a kill at REDUCE_ONLY and every breaker, whatever its
origin. Terms that narrow a working order pass like a cancel (risk/gate.py); cancels are no orders
and pass everything.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from risk.facts import KillLevel, SystemMode


class Origin(StrEnum):
    """Why an order exists."""

    SIGNAL = "SIGNAL"  # a client asked for it
    EXIT = "EXIT"  # what is left of a position that a signal or its protection closes
    UNWIND = "UNWIND"  # a leg of a group that fell apart, or that somebody closes
    FLATTEN = "FLATTEN"  # a person or a breaker closes whatever is held
    SQUARE_OFF = "SQUARE_OFF"  # the session or the contract ends
    MANUAL = "MANUAL"  # a person entered it here
    EXTERNAL = "EXTERNAL"  # found at the venue: never sent by us


@dataclass(frozen=True, slots=True)
class Passes:
    """What orders of an origin pass.

    `every_mode`: the system's mode is not asked, so that a mode flip never disarms a stop.
    `halted`: a kill switch at HALTED does not stop them.
    """

    every_mode: bool
    halted: bool


PASSES: Mapping[Origin, Passes] = {
    Origin.SIGNAL: Passes(every_mode=False, halted=False),
    Origin.EXIT: Passes(every_mode=True, halted=False),
    Origin.UNWIND: Passes(every_mode=True, halted=False),
    Origin.FLATTEN: Passes(every_mode=True, halted=True),
    Origin.SQUARE_OFF: Passes(every_mode=True, halted=False),
    Origin.MANUAL: Passes(every_mode=True, halted=False),
}  # EXTERNAL orders are not sent: nothing lets them pass


def passes_mode(origin: Origin, mode: SystemMode, *, approved: bool) -> bool:
    """Tell whether the mode lets an order be sent; `approved`: by a person, in SUPERVISED."""
    rule = PASSES.get(origin)
    if rule is None or rule.every_mode:
        return rule is not None
    return mode is SystemMode.AUTONOMOUS or (mode is SystemMode.SUPERVISED and approved)


def passes_kill(origin: Origin, level: KillLevel | None, *, reduce_only: bool) -> bool:
    """Tell whether a kill switch, engaged at this level, lets an order be sent."""
    rule = PASSES.get(origin)
    if rule is None:
        return False
    return level is None or rule.halted or (level is KillLevel.REDUCE_ONLY and reduce_only)


def passes_breaker(origin: Origin, *, reduce_only: bool) -> bool:
    """Tell whether a tripped breaker lets an order be sent: what closes always passes."""
    return origin in PASSES and reduce_only
