"""Every check at, below and above its limit; what it says of what it cannot evaluate."""

import re
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from brokers.contract import Side
from risk.checks import CHECKS, CheckStatus
from risk.checks.order import worst_price
from risk.facts import Facts, Limit, SystemMode
from risk.gate import DecisionStatus, judge
from risk.limits import Metric
from tests.risk.check_cases import CASES, CLOSING, FINE, HALTED


def failing(facts):
    return {c.code for c in judge(facts).checks if c.status is not CheckStatus.PASSED}


@pytest.mark.parametrize(("_case", "change", "codes"), CASES)
def test_verdicts(_case, change, codes):
    facts = replace(FINE, **change)

    assert failing(facts) == codes
    assert judge(facts).approved is not bool(codes)


def test_every_check_is_refused_by_the_table_above_at_least_once():
    refused = {
        c.name
        for _, change, _ in CASES
        for c in judge(replace(FINE, **change)).checks
        if c.status is not CheckStatus.PASSED
    }

    assert refused == {rule.__name__ for rule in CHECKS}


def test_every_check_that_applies_is_kept_not_only_the_first_that_failed():
    facts = replace(FINE, mode=SystemMode.GUIDE, **HALTED, quantity=Decimal(1500))

    assert failing(facts) == {"system_mode", "kill_switch", "quantity_not_in_lots"}
    assert len(judge(facts).checks) > len(failing(facts))


def test_supervised_waits_for_a_person_and_then_is_judged_like_any_other():
    supervised = replace(FINE, mode=SystemMode.SUPERVISED)

    assert judge(supervised).status is DecisionStatus.AWAITING_APPROVAL
    assert judge(replace(supervised, quantity=Decimal(1500))).refused
    assert judge(replace(supervised, approved_by="rita")).approved
    assert judge(replace(supervised, origin="FLATTEN", **CLOSING)).approved


def test_of_several_limits_each_is_told_and_all_must_pass():
    two = tuple(
        Limit(id=n, version=1, metric=Metric.MAX_ORDER_QUANTITY, value=Decimal(value), scope=scope)
        for n, value, scope in ((1, 5000, "everything"), (2, 500, "account paper"))
    )

    told = [c for c in judge(replace(FINE, limits=two)).checks if c.name == "max_order_quantity"]
    assert [(c.status.value, c.limit) for c in told] == [("PASSED", "5000"), ("FAILED", "500")]


@pytest.mark.parametrize(
    ("_case", "change", "price"),
    [
        ("a market order: the ask and the collar", {}, "1.122102"),
        ("a limit", {"limit_price": Decimal(1)}, "1"),
        ("a stop: itself and the collar", {"stop_price": Decimal(2)}, "2.04"),
        ("a sale at its limit", {"limit_price": Decimal(2), "side": Side.SELL}, "2"),
        (
            "a sale below the market: the market",
            {"limit_price": Decimal(1), "side": Side.SELL},
            "1.1001",
        ),
    ],
)
def test_the_worst_price_of_an_order(_case, change, price):
    assert worst_price(replace(FINE, **change)) == Decimal(price)


@pytest.mark.parametrize(("_case", "change", "_codes"), CASES)
def test_stored_facts_make_the_same_verdict_again(_case, change, _codes):
    facts = replace(FINE, **change)

    again = Facts.from_json(facts.as_json())
    assert again == facts
    assert judge(again) == judge(facts)


def table_of_the_documentation():
    """Return the rows of docs/risk.md's table of checks: name, whether for entries alone, codes."""
    page = Path(__file__).parents[2] / "docs" / "risk.md"
    rows = [line.replace("\\|", "¦").split("|") for line in page.read_text().splitlines()]
    rows = [[cell.strip() for cell in row] for row in rows if len(row) == 9]
    return {row[1].strip("`"): (row[4], row[7]) for row in rows[2:]}


def test_the_documentation_has_every_check_with_its_codes():
    documented = table_of_the_documentation()
    assert list(documented) == [rule.__name__ for rule in CHECKS]

    codes: dict[str, set[str]] = {}
    for _, change, _ in CASES:
        for c in judge(replace(FINE, **change)).checks:
            if c.status is not CheckStatus.PASSED:
                codes.setdefault(c.name, set()).add(c.code)
    told = {name: set(re.findall(r"`(\w+)`", said)) for name, (_, said) in documented.items()}
    assert {name: found - {"reduce_only"} or found for name, found in codes.items()} == told


def test_the_documentation_says_which_checks_a_closing_order_passes():
    """Every check marked for entries alone passes a closing order that fails it as an entry."""
    entries = {name for name, (entry, _) in table_of_the_documentation().items() if entry == "yes"}
    refused = set()
    for _, change, _ in CASES:
        facts = replace(FINE, **{**CLOSING, **change, **CLOSING})
        refused |= {c.name for c in judge(facts).checks if c.status is not CheckStatus.PASSED}

    assert not refused & entries
