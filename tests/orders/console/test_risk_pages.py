"""The risk page and the approvals page, as the server paints them."""

from decimal import Decimal

import pytest
from django.contrib.auth.models import User
from django.test import Client

from execution_site.floor.audit import Actor
from orders.two_persons import proposals
from risk import control
from risk.change_kinds import ChangeKind
from risk.facts import KillLevel
from risk.kills import TradingScope
from risk.models import Breaker, FourEyesRule, RiskLimit
from tests.clock import now
from tests.pages import page_text


@pytest.fixture
def page(risk_manager, account, valkey):
    client = Client()
    client.force_login(risk_manager)

    def get(path="/risk/"):
        answer = client.get(path)
        assert answer.status_code == 200
        return page_text(answer)

    return get


def test_the_risk_page_shows_use_distance_switches_and_refusals(page, send):
    RiskLimit.objects.create(metric="max_gross_exposure", value=2000, strategy="alpha")
    RiskLimit.objects.create(metric="max_order_quantity", value=15)
    Breaker.objects.create(
        kind="venue_errors",
        threshold=Decimal(10),
        value=Decimal(9),
        state="ARMED",
        evaluated_at=now(),
    )
    Breaker.objects.create(kind="runaway", threshold=2, state="TRIPPED", evaluated_at=now())
    control.engage_kill(
        level=KillLevel.HALTED,
        scope=TradingScope(strategy="beta"),
        actor="rita",
        reason="odd fills",
        now=now(),
    )
    Breaker.objects.filter(kind="runaway").update(is_enabled=False)
    send("BUY", 10)
    send("BUY", 16)
    Breaker.objects.filter(kind="runaway").update(is_enabled=True)

    shown = page()
    assert "strategy alpha" in shown
    assert 'value="50"' in shown  # 1,000 of 2,000
    assert 'value="90"' in shown
    assert "/reset" in shown
    assert "strategy beta</b> by rita" in shown
    assert "quantity of one order" in shown
    assert page("/risk/state").count("<main") == 0


def test_a_proposal_is_shown_with_its_reason_to_others_than_its_proposer(page, risk_manager):
    FourEyesRule.objects.create(kind=ChangeKind.MODE)
    for person in (risk_manager, User.objects.create_user("otto")):
        actor = person.username
        proposals.propose_or_apply(
            ChangeKind.MODE,
            target="system",
            after={"mode": "GUIDE"},
            actor=Actor(actor, person.pk),
            reason=f"{actor} says so",
            now=now(),
        )

    shown = page()
    assert "otto says so" in shown
    assert shown.count("/approve") == 1
    assert shown.count("/decline") == 2


def test_the_approvals_page_shows_what_waits_and_for_how_long(page, send):
    control.set_system_mode("SUPERVISED", actor="rita", reason="x", now=now())
    assert "Nothing waits" in page("/approvals/")
    send("BUY", 10)

    shown = page("/approvals/state")
    assert "Approve" in shown
    assert "AAPL" in shown
    assert "299 s" in shown or "298 s" in shown


@pytest.mark.parametrize("path", ["/risk/", "/risk/state", "/approvals/", "/approvals/state"])
def test_a_stranger_is_sent_to_sign_in(db, path):
    assert Client().get(path).status_code == 302
