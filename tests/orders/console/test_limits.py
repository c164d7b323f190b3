"""Limits in the console: the effect first, then the change; ended, never deleted."""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.contrib.auth.models import Permission, User
from django.core.management import call_command
from django.test import Client
from django.urls import reverse

from execution_site.floor.audit import Actor
from execution_site.floor.events import Event
from orders.two_persons import proposals
from risk.change_kinds import ChangeKind
from risk.models import ChangeRequest, FourEyesRule, RiskLimit, RiskUsage
from tests.orders.conftest import now

LIST = "admin:risk_risklimit_changelist"


@pytest.fixture
def console(risk_manager, account, valkey):
    client = Client()
    client.force_login(risk_manager)
    return client


def limit(metric="daily_trades", value=50_000, **values):
    return RiskLimit.objects.create(metric=metric, value=value, **values)


def url(row=None):
    if row is None:
        return reverse("admin:risk_risklimit_add")
    return reverse("admin:risk_risklimit_change", args=[row.pk])


def end_url(*rows):
    return reverse("admin:risk_risklimit_end") + "?" + "&".join(f"id={row.pk}" for row in rows)


def fields(row=None, **values):
    form = {"metric": "daily_trades", "value": "100"}
    if row is not None:
        form = {
            "metric": row.metric,
            "value": str(row.value),
            "connection": row.connection_id or "",
        }
    return form | values


def said(answer):
    """The page's text, in one line."""
    page = answer.content.decode()
    main = page[page.index('id="content"') :]
    return " ".join(re.sub(r"<[^>]+>", " ", main).split())


def confirm(client, page, form, answer, reason="because"):
    posted = form | {"shown": answer.context["shown"], "_confirm": "1", "reason": reason}
    return client.post(page, posted, follow=True)


def trades(account, used):
    day = account.trading_date(now())
    RiskUsage.objects.create(
        connection=account, strategy="alpha", metric="daily_trades", trading_date=day, used=used
    )


def audits():
    return [event.data for event in Event.objects.filter(type="audit").order_by("pk")]


def test_a_change_that_would_stop_all_trading_says_so_before_it_is_saved(console, account, send):
    row = limit()
    trades(account, 2_720)
    for _ in range(3):
        send("BUY", 1)

    form = fields(row, value="100")
    shown = console.post(url(row), form)

    assert "Value 50,000 100" in said(shown)
    assert "2,723 used of 100: every order in its scope will be refused" in said(shown)
    assert "3 of 3 orders admitted in its scope would have been refused" in said(shown)
    row.refresh_from_db()
    assert (row.value, row.version, audits()) == (50_000, 1, [])

    confirm(console, url(row), form, shown, reason="the desk is closed")
    row.refresh_from_db()
    assert (row.value, row.version) == (100, 2)
    assert [(a["action"], a["reason"]) for a in audits()] == [
        ("risklimit_changed", "the desk is closed")
    ]
    assert send("BUY", 1).status == 422
    call_command("rejudge")


@pytest.mark.parametrize(
    ("_case", "form", "expected"),
    [
        ("a count that is used up", fields(), "2,720 used of 100: every order in its scope"),
        ("a count with room", fields(value="2721"), "2,720 of 2,721 orders"),
        (
            "one order's size",
            fields(metric="max_order_quantity", value="0.5"),
            "2 of 2 orders admitted in its scope would have been refused",
        ),
        (
            "one order's size, with room",
            fields(metric="max_order_quantity", value="1"),
            "0 of 2 orders admitted in its scope would have been refused",
        ),
        (
            "a scope nothing was traded in",
            fields(metric="max_order_quantity", value="0.5", symbol="EURUSD"),
            "0 of 0 orders admitted",
        ),
        (
            "what was used then was not kept",
            fields(metric="max_open_orders", value="9"),
            "Of 2 more it cannot be said",
        ),
        (
            "a position that is larger",
            fields(metric="max_position", value="1"),
            "2 used of 1: every order in its scope that adds to it will be refused",
        ),
        (
            "a position as large",
            fields(metric="max_position", value="2"),
            "2 used of 2: every order in its scope that adds to it will be refused",
        ),
        (
            "shares of a capital that is not set",
            fields(metric="concentration", value="0.5"),
            "No capital is set for paper: every order there that opens will be refused",
        ),
        (
            "a rate",
            fields(metric="orders_per_second", value="5"),
            "they wait for their turn, and none is refused",
        ),
        (
            "one that begins later",
            fields(value="1", effective_from_0="2099-01-01", effective_from_1="00:00"),
            "It refuses nothing",
        ),
    ],
)
def test_a_new_limit_says_what_it_will_do_before_it_is_saved(
    console, account, send, _case, form, expected
):
    for _ in range(2):
        send("BUY", 1)
    RiskUsage.objects.all().delete()
    trades(account, 2_720)

    shown = console.post(url(), form)

    assert expected in said(shown)
    assert not RiskLimit.objects.exists()
    confirm(console, url(), form, shown)
    assert RiskLimit.objects.get().metric == form["metric"]
    assert [a["action"] for a in audits()] == ["risklimit_added"]


def forged(answer, row):
    return {"_confirm": "1", "reason": "because"}


def of_another_value(answer, row):
    return {"shown": answer.context["shown"], "_confirm": "1", "reason": "x", "value": "7"}


def without_a_reason(answer, row):
    return {"shown": answer.context["shown"], "_confirm": "1", "reason": "  "}


def after_another_s_change(answer, row):
    row.note = "meanwhile"
    row.save()
    return {"shown": answer.context["shown"], "_confirm": "1", "reason": "x"}


def the_old_button(answer, row):
    return {"_save": "Save", "reason": "because"}


@pytest.mark.parametrize(
    "posted", [forged, of_another_value, without_a_reason, after_another_s_change, the_old_button]
)
def test_only_what_was_shown_is_saved(console, account, posted):
    row = limit()
    form = fields(row, value="100")
    shown = console.post(url(row), form)

    again = console.post(url(row), form | posted(shown, row))

    assert "What this does" in said(again)
    row.refresh_from_db()
    assert (row.value, audits()) == (50_000, [])


def test_a_form_that_is_wrong_comes_back_with_what_is_wrong(console, account):
    row = limit()

    answer = console.post(url(row), fields(row, value="1.5"))

    assert "daily_trades is a whole number" in said(answer)
    assert "effect" not in answer.context


def test_a_limit_is_ended_with_a_reason_and_kept(console, account, send):
    row = limit("max_order_quantity", 1)
    assert send("BUY", 2).status == 422

    shown = console.get(end_url(row))
    assert "Effective until — " in said(shown)
    form = {"id": [row.pk], "shown": shown.context["shown"]}
    assert "This field is required" in said(console.post(end_url(row), form))
    console.post(end_url(row), form | {"reason": "the desk trades more"})

    row.refresh_from_db()
    assert row.has_ended(now())
    (audit,) = audits()
    assert (audit["action"], audit["reason"]) == ("risklimit_ended", "the desk trades more")
    assert (audit["before"]["effective_until"], audit["after"]["value"]) == (None, "1.0000000000")
    assert send("BUY", 2).status == 202
    assert "ended" in said(console.get(reverse(LIST)))
    limit("max_order_quantity", 5)  # another may take its place


def test_several_are_ended_together_each_with_its_effect(console, account):
    rows = [limit("max_order_quantity", 1), limit("daily_trades", 5), limit("max_position", 5)]
    action = {"action": "end_selected", "_selected_action": [row.pk for row in rows[:2]]}

    shown = console.post(reverse(LIST), action, follow=True)
    assert not any(row.has_ended(now()) for row in RiskLimit.objects.all())
    assert "max_order_quantity, everything" in said(shown)
    assert "daily_trades, everything" in said(shown)
    form = {"id": [row.pk for row in rows[:2]], "shown": shown.context["shown"], "reason": "over"}
    console.post(reverse("admin:risk_risklimit_end"), form)

    assert [row.has_ended(now()) for row in RiskLimit.objects.order_by("pk")] == [True, True, False]
    assert [a["action"] for a in audits()] == ["risklimit_ended"] * 2


def test_what_was_not_shown_is_not_ended(console, account):
    one, other = limit("max_order_quantity", 1), limit("daily_trades", 5)
    shown = console.get(end_url(one)).context["shown"]

    for form in ({"id": [other.pk], "shown": shown}, {"id": [one.pk]}):
        console.post(reverse("admin:risk_risklimit_end"), form | {"reason": "over"})

    assert not any(row.has_ended(now()) for row in RiskLimit.objects.all())


def test_a_limit_that_has_not_begun_ends_as_it_begins(console, account):
    begins = now() + timedelta(days=1)
    row = limit(effective_from=begins)
    shown = console.get(end_url(row)).context["shown"]

    form = {"id": [row.pk], "shown": shown, "reason": "a mistake"}
    console.post(reverse("admin:risk_risklimit_end"), form)

    row.refresh_from_db()
    assert row.effective_until == row.effective_from


def test_an_end_in_the_past_is_refused(console, account):
    row = limit()
    past = {"effective_until_0": "2020-01-01", "effective_until_1": "00:00"}

    assert "This time has passed" in said(console.post(url(row), fields(row, **past)))


@pytest.mark.parametrize("path", ["delete", "delete_selected"])
def test_a_limit_cannot_be_deleted(console, account, path):
    row = limit()
    page = said(console.get(url(row)))
    assert "Delete" not in page
    assert "End this limit" in page
    if path == "delete":
        gone = reverse("admin:risk_risklimit_delete", args=[row.pk])
        assert console.post(gone, {"post": "yes", "reason": "x"}).status_code == 403
    else:
        console.post(reverse(LIST), {"action": path, "_selected_action": [row.pk], "post": "yes"})

    assert RiskLimit.objects.exists()
    assert not Permission.objects.filter(codename="delete_risklimit").exists()


@pytest.fixture
def two_people(account):
    FourEyesRule.objects.create(kind=ChangeKind.LIMIT_UP)
    otto = User.objects.create_user("otto")
    held = Permission.objects.filter(codename__in=("add_risklimit", "change_risklimit"))
    otto.user_permissions.set(held)
    return Actor("otto", otto.pk)


@pytest.mark.parametrize(
    ("_case", "form", "proposed"),
    [
        ("what only narrows is done at once", fields(), 0),
        ("what takes a default's place is proposed", fields(metric="max_spread", value="9000"), 1),
    ],
)
def test_a_new_limit_with_four_eyes(console, two_people, _case, form, proposed):
    shown = console.post(url(), form)
    assert ("a second person must approve it" in said(shown)) == bool(proposed)
    confirm(console, url(), form, shown)

    assert ChangeRequest.objects.count() == proposed
    assert RiskLimit.objects.count() == 1 - proposed
    if proposed:
        row = ChangeRequest.objects.get()
        proposals.approve(row.pk, actor=two_people, reason="agreed", now=now())
        assert RiskLimit.objects.get().value == Decimal(form["value"])


def test_ending_with_four_eyes_is_proposed_and_ends_when_it_is_approved(console, two_people):
    row = limit()
    shown = console.get(end_url(row))
    assert "a second person must approve it" in said(shown)
    form = {"id": [row.pk], "shown": shown.context["shown"], "reason": "over"}
    console.post(reverse("admin:risk_risklimit_end"), form)
    row.refresh_from_db()
    assert row.effective_until is None

    at = datetime.now(UTC) + timedelta(minutes=5)
    proposals.approve(ChangeRequest.objects.get().pk, actor=two_people, reason="agreed", now=at)
    row.refresh_from_db()
    assert row.effective_until == at
