"""A sign-in ends when its person is gone, when it is old, and when they say so; sockets too."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.test import Client
from django.utils import timezone

from execution_site.floor.events import Event
from execution_site.sign_in import sign_ins
from execution_site.sign_in.sign_ins import SignIn
from execution_site.web import admissions
from tests.execution_site.sign_in.second_factors import PASSWORD, staff
from tests.pages import page_text

LOGGED_OUT = "/login/?next=/"


@pytest.fixture
def olga(db):
    return staff()


def browser(name="olga", agent="Firefox", address="192.0.2.7"):
    http = Client(REMOTE_ADDR=address, headers={"user-agent": agent})
    assert http.post("/login/", {"username": name, "password": PASSWORD}).status_code == 302
    return http


def listens(http):
    identity = admissions.Identity("", http.session.session_key, "")
    return admissions.principal_of(identity) is not None


def is_in(http):
    return http.get("/").status_code == 200


def age(**ago):
    """Set times back, in minutes."""
    values = {name: timezone.now() - timedelta(minutes=value) for name, value in ago.items()}
    SignIn.objects.update(**values)


@pytest.mark.parametrize(
    ("_case", "ago", "ends"),
    [
        ("seen a moment ago", {"seen_at": 59}, False),
        ("not seen for an hour", {"seen_at": 60}, True),
        ("begun in the morning", {"begun_at": 12 * 60 - 1}, False),
        ("begun half a day ago, however busy", {"begun_at": 12 * 60}, True),
    ],
)
def test_a_sign_in_ends_with_time(olga, _case, ago, ends):
    http = browser()
    age(**ago)

    assert listens(http) == (not ends)
    assert http.get("/api/v1/orders").status_code == (401 if ends else 200)
    assert is_in(http) == (not ends)
    assert is_in(browser())


@pytest.mark.parametrize(
    ("method", "path", "counts"),
    [
        ("get", "/", True),
        ("get", "/risk/", True),
        ("get", "/admin/", True),
        ("post", "/api/v1/orders/cancel-all", True),
        ("get", "/risk/state", False),
        ("get", "/approvals/state", False),
        ("get", "/api/v1/pnl/history", False),
        ("get", "/healthz", False),
    ],
)
def test_what_pages_ask_for_by_themselves_keeps_nobody_signed_in(
    olga, valkey, method, path, counts
):
    http = browser()
    age(seen_at=30)
    getattr(http, method)(path, content_type="application/json")

    assert (SignIn.objects.get().seen_at > timezone.now() - timedelta(minutes=1)) == counts


def test_a_person_sees_their_own_sign_ins_and_no_others(olga):
    staff("rita")
    here, there = browser(), browser(agent="Chrome <b>", address="198.51.100.9")
    browser("rita", agent="Safari")

    page = page_text(here.get("/sign-ins/"))
    assert page.count("this one") == 1
    assert "198.51.100.9" in page
    assert "Chrome &lt;b&gt;" in page
    assert "Safari" not in page
    assert is_in(there)


def test_ending_one_ends_it_at_once_with_its_sockets(olga):
    here, there, third = browser(), browser(), browser()
    of_there = SignIn.objects.get(session_hash=sign_ins.hashed(there.session.session_key))

    here.post("/sign-ins/", {"end": of_there.pk})
    assert not listens(there)
    assert there.get("/")["Location"] == LOGGED_OUT
    assert is_in(here)
    assert is_in(third)
    (event,) = Event.objects.filter(data__action="sign_ins_ended")
    assert (event.data["actor"], event.data["after"]) == ("olga", {"ended": 1})


def test_ending_all_others_keeps_this_one(olga):
    staff("rita")
    here, there, rita = browser(), browser(), browser("rita")

    here.post("/sign-ins/", {"end": "others"})
    assert [is_in(http) for http in (here, there, rita)] == [True, False, True]


@pytest.mark.parametrize("asked", ["", "x", "-1", "\u0661", "9" * 30])
def test_nobody_ends_anothers_nor_what_is_none(olga, asked):
    staff("rita")
    here, rita = browser(), browser("rita")
    theirs = SignIn.objects.get(user__username="rita").pk

    for end in (theirs, asked):
        assert here.post("/sign-ins/", {"end": end}).status_code == 302
    assert is_in(rita)
    assert is_in(here)


def test_signing_out_and_a_new_password_leave_no_other_row(olga):
    http = browser()
    changed = {"old_password": PASSWORD, "new_password1": "Xq9-other", "new_password2": "Xq9-other"}
    assert http.post("/admin/password_change/", changed).status_code == 302
    assert is_in(http)  # the session got another key
    assert SignIn.objects.count() == 1

    http.post("/logout/")
    assert not SignIn.objects.exists()


def test_rows_are_bounded(olga, monkeypatch):
    monkeypatch.setattr(sign_ins, "MOST_OF_A_PERSON", 3)
    first = browser()
    for _ in range(3):
        browser()
    assert SignIn.objects.count() == 3
    assert not is_in(first)

    age(seen_at=60)
    Session.objects.update(expire_date=timezone.now())
    browser()
    assert (SignIn.objects.count(), Session.objects.count()) == (1, 1)


def test_the_table_holds_no_key_of_a_session(olga):
    key = browser().session.session_key

    assert key not in str(list(SignIn.objects.values()))


def test_who_was_switched_off_is_signed_out_for_good(olga):
    here = browser()
    assert is_in(here)

    User.objects.filter(pk=olga.pk).update(is_active=False)
    assert not is_in(here)
    User.objects.filter(pk=olga.pk).update(is_active=True)
    assert not is_in(here)
    assert is_in(browser())
