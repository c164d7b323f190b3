"""What each origin of an order passes: the whole table, at the gate and at the grant."""

from dataclasses import replace
from decimal import Decimal
from itertools import product
from types import SimpleNamespace

import pytest

from orders.sending.grants import _switched_off
from risk.checks import switches
from risk.facts import KillLevel, SystemMode
from risk.gate import DecisionStatus, judge
from risk.origins import Origin
from tests.risk.check_cases import FINE

GUIDE, SUPERVISED, AUTONOMOUS = SystemMode
HALTED, REDUCE_ONLY = KillLevel
ANY_MODE = {GUIDE, SUPERVISED, AUTONOMOUS}
TABLE = [
    # origin, modes, modes once a person approved, kills, kills where it only reduces
    (Origin.SIGNAL, {AUTONOMOUS}, {SUPERVISED, AUTONOMOUS}, set(), {REDUCE_ONLY}),
    (Origin.EXIT, ANY_MODE, ANY_MODE, set(), {REDUCE_ONLY}),
    (Origin.UNWIND, ANY_MODE, ANY_MODE, set(), {REDUCE_ONLY}),
    (Origin.FLATTEN, ANY_MODE, ANY_MODE, {HALTED, REDUCE_ONLY}, {HALTED, REDUCE_ONLY}),
    (Origin.SQUARE_OFF, ANY_MODE, ANY_MODE, set(), {REDUCE_ONLY}),
    (Origin.MANUAL, ANY_MODE, ANY_MODE, set(), {REDUCE_ONLY}),
    (Origin.EXTERNAL, set(), set(), set(), set()),
]
STATES = list(product(SystemMode, [False, True], [None, *KillLevel], [False, True], [False, True]))


def test_every_origin_is_in_the_table():
    assert [row[0] for row in TABLE] == list(Origin)


@pytest.mark.parametrize(("origin", "modes", "approved_modes", "kills", "reducing_kills"), TABLE)
def test_gate_and_grant_stop_the_same(origin, modes, approved_modes, kills, reducing_kills):
    for mode, approved, kill, reduces, tripped in STATES:
        passes = (
            mode in (approved_modes if approved else modes)
            and origin is not Origin.EXTERNAL
            and (kill is None or kill in (reducing_kills if reduces else kills))
            and (not tripped or reduces)
        )
        state = (origin, mode, approved, kill, reduces, tripped)
        assert _granted(*state) == passes, state
        assert _admitted(*state) == passes, state


def _granted(origin, mode, approved, kill, reduces, tripped):
    connection = SimpleNamespace(is_enabled=True, environment="paper")
    order = SimpleNamespace(
        origin=origin.value,
        approved_by="rita" if approved else "",
        reduce_only=reduces,
        connection=connection,
    )
    now = SimpleNamespace(kill_level=kill, mode=mode, breaker_tripped=tripped)
    return _switched_off(order, now) is None


def _admitted(origin, mode, approved, kill, reduces, tripped):
    asked = replace(
        FINE,
        origin=origin.value,
        mode=mode,
        approved_by="rita" if approved else None,
        kill_level=kill,
        reduce_only=reduces,
        closable=Decimal(2000) if reduces else None,
        breakers=("drawdown: TRIPPED",) if tripped else (),
    )
    said = [rule(asked) for rule in (switches.system_mode, switches.kill_switch, switches.breaker)]
    waits = judge(asked).status is DecisionStatus.AWAITING_APPROVAL
    return all(check.status == "PASSED" for check in said) and not waits
