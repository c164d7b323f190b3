"""A name is locked after wrong passwords, says until when, and a stranger locks no one else out."""

import io
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from axes.models import AccessAttempt
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.utils import timezone

from execution_site.floor.events import Event
from execution_site.sign_in import lockout
from orders.models.client import issue_key

HERE, THERE = "192.0.2.7", "198.51.100.9"
TYPED = "a-password-typed-as-a-name"


@pytest.fixture
def olga(db):
    return User.objects.create_user("olga", password="right")


def sign_in(name="olga", password="wrong", *, address=HERE, path="/login/", **headers):
    http = Client(REMOTE_ADDR=address, **headers)
    return http.post(path, {"username": name, "password": password})


def fail(times, name="olga", **where):
    return [sign_in(name, **where).status_code for _ in range(times)]


def age(minutes):
    """Let time pass, as far as the counts can tell."""
    for row in AccessAttempt.objects.all():
        before = row.attempt_time - timedelta(minutes=minutes)
        AccessAttempt.objects.filter(pk=row.pk).update(attempt_time=before)


def alerts():
    return [e.data for e in Event.objects.filter(data__action="sign_in_locked").order_by("pk")]


@pytest.mark.parametrize("path", ["/login/", "/admin/login/"])
def test_the_fifth_wrong_password_locks_the_name_for_its_address_alone(olga, path):
    assert fail(5, path=path) == [200] * 4 + [429]

    assert sign_in(password="right", path=path).status_code == 429
    assert sign_in(password="right", address=THERE, path="/login/").status_code == 302
    assert sign_in("rita", path=path).status_code == 200


def test_four_are_forgiven_by_the_right_one(olga):
    fail(4)
    assert sign_in(password="right").status_code == 302

    assert fail(5) == [200] * 4 + [429]


def test_the_lock_ends_when_it_said_it_would_whatever_is_tried_meanwhile(olga):
    fail(5)
    age(10)
    answer = sign_in(password="right")

    assert 295 <= int(answer["Retry-After"]) <= 300
    assert "in 5 minutes, at " in answer.content.decode()
    assert answer.context["ends_at"] - timezone.now() < timedelta(minutes=5)
    age(5)
    assert sign_in(password="right").status_code == 302


def test_many_addresses_together_lock_the_name_everywhere_for_a_while(olga, settings):
    settings.LOCKOUT_FAILURES_ANYWHERE = 12
    for number in range(3):
        fail(4, address=f"203.0.113.{number}")
        age(1)

    refused = sign_in(password="right")
    assert refused.status_code == 429
    assert 11 * 60 < int(refused["Retry-After"]) <= 12 * 60  # when the oldest four are forgotten
    age(12)
    assert sign_in(password="right").status_code == 302


def test_one_stranger_never_locks_the_name_everywhere(olga, settings):
    settings.LOCKOUT_FAILURES_ANYWHERE = 6

    assert fail(20, address=THERE)[4:] == [429] * 16
    assert sign_in(password="right").status_code == 302


def test_a_name_that_nobody_has_is_told_the_same(olga):
    fail(5), fail(5, name="nobody")

    pages = [sign_in(name).content.decode() for name in ("olga", "nobody")]
    assert len({re.sub(r"\d\d:\d\d:\d\d", "", page) for page in pages}) == 1


def test_what_a_client_forwards_counts_for_nothing_here(olga):
    for number in range(5):
        fail(1, HTTP_X_FORWARDED_FOR=f"203.0.113.{number}")

    assert sign_in(password="right", HTTP_X_FORWARDED_FOR=THERE).status_code == 429


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        (HERE, HERE),
        ("2001:db8:1:2:aaaa::1", "2001:db8:1:2::"),
        ("", lockout.NOWHERE),
    ],
)
def test_an_address_is_counted_as_its_subscriber(olga, address, counted):
    fail(1, address=address)

    assert AccessAttempt.objects.get().ip_address == counted


def test_of_many_at_once_each_is_counted_and_one_of_them_locks(olga, settings):
    settings.LOCKOUT_FAILURES, settings.LOCKOUT_FAILURES_ANYWHERE = 100, 24

    def one(number):
        answer = sign_in(address=f"203.0.113.{number % 8}")
        connection.close()
        return answer.status_code

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(one, range(24)))

    assert set(AccessAttempt.objects.values_list("failures_since_start", flat=True)) == {3}
    assert (answers.count(429), len(alerts())) == (1, 1)


def test_a_lock_is_one_event_and_a_line_that_name_who_exists(olga, caplog):
    fail(8)

    (alert,) = alerts()
    assert (alert["actor"], alert["object"]) == ("olga", f"auth.user:{olga.pk}")
    assert alert["after"] == {"address": HERE, "here": 5, "all": 5}
    lines = [r.getMessage() for r in caplog.records if r.name == "execution_site.sign_in.lockout"]
    assert len(lines) == 5  # what is refused while it lasts is no failure
    assert lines[0] == f"sign-in failed: olga from {HERE}, 1 times (1 from everywhere)"
    assert lines[-1].endswith(", and is locked")


def test_neither_a_password_nor_what_may_be_one_is_kept(olga, caplog):
    for _ in range(5):
        sign_in(TYPED, "secret-typed")

    kept = [list(AccessAttempt.objects.values()), alerts()]
    assert alerts()[0]["actor"] == "unknown"
    assert not [word for word in (TYPED, "secret-typed") if word in f"{kept}{caplog.text}"]


def test_locks_of_names_that_nobody_has_do_not_fill_the_audit_trail(olga, settings):
    settings.RATE_SIGN_INS_PER_MINUTE = settings.LOCKOUT_FAILURES_ANYWHERE = 1_000
    settings.LOCKOUT_FAILURES = 1
    for number in range(15):
        sign_in(f"nobody-{number}")

    assert len(alerts()) == 10


def test_rows_are_bounded_and_those_with_most_failures_stay(olga, monkeypatch):
    monkeypatch.setattr(lockout, "MOST_ROWS", 3)
    fail(3)
    for number in range(6):
        sign_in(f"nobody-{number}")

    counts = AccessAttempt.objects.order_by("pk").values_list("failures_since_start", flat=True)
    assert list(counts) == [3, 1, 1]
    age(15)
    fail(1)
    assert AccessAttempt.objects.count() == 1  # what is too old goes with the next


def test_whoever_runs_the_site_ends_a_lock(olga):
    fail(5), fail(5, name="rita")

    call_command("axes_reset_username", "olga", stdout=io.StringIO())
    assert sign_in(password="right").status_code == 302
    assert AccessAttempt.objects.count() == 1


def test_keys_know_no_lock(olga, trader):
    text = issue_key(trader, scopes=["read"])[1]
    fail(5)

    asking = Client(REMOTE_ADDR=HERE, headers={"authorization": f"Api-Key {text}"})
    assert asking.get("/api/v1/orders").status_code == 200
