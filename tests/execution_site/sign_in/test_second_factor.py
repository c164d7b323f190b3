"""A code beside the password: nothing is done without it, it counts once, and it can be lost."""

import io
from base64 import b32decode
from datetime import timedelta

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from django_otp.plugins.otp_static.models import StaticToken

from execution_site import checks
from execution_site.floor import sealing
from execution_site.floor.events import Event
from execution_site.rest.permissions import API, ENDPOINTS, PAGES
from execution_site.sign_in import devices, guard
from execution_site.sign_in.devices import Authenticator, RecoverySheet
from execution_site.sign_in.second_factor import CodeRefused, Missing
from execution_site.web import admissions
from orders.models.client import issue_key
from tests.execution_site.sign_in.second_factors import (
    PASSWORD,
    code,
    enrolled,
    shown_codes,
    signed_in,
    staff,
)
from tests.pages import page_text

SAMPLES = {"<int:pk>": "1", "<symbol:symbol>": "AAPL", "<symbol:underlying>": "AAPL"}


@pytest.fixture
def required(settings):
    settings.REQUIRE_SECOND_FACTOR = True


@pytest.fixture
def olga(db, required):
    return staff()


def audited(action):
    return [e.data for e in Event.objects.filter(data__action=action)]


# --- Nothing without it ----------------------------------------------------------------------


def routes():
    """Yield every address of the site with a method, beside what is for everybody."""
    for path, methods in ENDPOINTS.items():
        for method in methods:
            if not guard.is_public(API + path):
                filled = API + path
                for sample, value in SAMPLES.items():
                    filled = filled.replace(sample, value)
                yield method, f"/{filled}"
    for path in PAGES:
        if not guard.is_public(path):
            yield "get", f"/{path}"
    for model in admin.site._registry:
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        for method in ("get", "post"):
            yield method, reverse(f"{name}_changelist")
            yield method, reverse(f"{name}_change", args=[1])
    for name in ("index", "password_change", "jsi18n", "autocomplete"):
        yield "get", reverse(f"admin:{name}")
    yield "get", "/admin/nowhere/"


def refused(http, missing):
    """Return what is not refused to somebody who lacks the second factor."""
    page, through = f"/{guard.GIVEN_AT[missing]}", []
    for method, path in routes():
        answer = getattr(http, method)(path, content_type="application/json")
        if path.startswith(f"/{API}"):
            fine = (answer.status_code, answer.json()["code"]) == (403, "second_factor_required")
        else:
            led = answer.status_code == 302 and answer["Location"].partition("?")[0] == page
            fine = led or path == page
        if not fine:
            through.append((method, path, answer.status_code))
    return through


def socket(http):
    return admissions.principal_of(admissions.Identity("", http.session.session_key, ""))


@pytest.mark.parametrize("missing", Missing)
def test_without_it_there_is_nothing_but_where_it_is_given(account, valkey, required, missing):
    user = User.objects.create_superuser("super", password=PASSWORD)
    http = signed_in(user)
    if missing is Missing.CODE:
        enrolled(user)

    assert len(list(routes())) > 150
    assert refused(http, missing) == []
    assert socket(http) is None
    assert http.get("/healthz").status_code == http.get("/api/v1/docs/").status_code == 200
    assert http.post("/logout/").status_code == 302
    assert http.get("/")["Location"] == "/login/?next=/"


def test_a_key_is_not_asked(trader, required):
    text = issue_key(trader, scopes=["read"])[1]
    http = signed_in(staff())

    asked = http.get("/api/v1/orders", headers={"authorization": f"Api-Key {text}"})
    assert asked.status_code == 200


@pytest.mark.parametrize(
    ("_case", "needed", "fields", "has", "missing"),
    [
        ("staff", True, {"is_staff": True}, False, Missing.ENROLMENT),
        ("a superuser who is no staff", True, {"is_superuser": True}, False, Missing.ENROLMENT),
        ("others may go without", True, {}, False, None),
        ("in the demo staff may", False, {"is_staff": True}, False, None),
        ("who has one is asked", True, {}, True, Missing.CODE),
        ("in the demo too", False, {"is_staff": True}, True, Missing.CODE),
    ],
)
def test_who_needs_it(db, settings, _case, needed, fields, has, missing):
    settings.REQUIRE_SECOND_FACTOR = needed
    user = User.objects.create_user("olga", **fields)
    http = signed_in(user)
    if has:
        enrolled(user)

    assert http.get("/").status_code == (200 if missing is None else 302)
    assert missing is None or http.get("/")["Location"].startswith(f"/{guard.GIVEN_AT[missing]}")


@pytest.mark.parametrize(("required", "demo", "warned"), [(1, 0, 0), (0, 1, 0), (0, 0, 1)])
def test_a_check_warns_where_staff_need_none(settings, required, demo, warned):
    settings.REQUIRE_SECOND_FACTOR, settings.DEMO = bool(required), bool(demo)

    assert len(checks.staff_need_a_second_factor()) == warned


# --- Enrolling -------------------------------------------------------------------------------


def enrolling(http):
    """Open the page; return the secret that it shows."""
    page = http.get("/second-factor/")
    return page, b32decode(page.context["secret"].replace(" ", ""))


def test_an_authenticator_is_enrolled_by_its_code_and_lets_this_sign_in_pass(olga):
    http = signed_in(olga)
    page, secret = enrolling(http)
    assert b"<svg" in page.content
    assert b"style=" not in page.content
    assert enrolling(http)[1] == secret  # a page that is loaded again shows the same

    wrong = http.post("/second-factor/", {"code": "000000"})
    assert b"not the code that the app shows" in wrong.content
    done = http.post("/second-factor/", {"code": code(secret)})

    assert len(shown_codes(done)) == devices.RECOVERY_CODES
    assert http.get("/").status_code == http.get("/admin/").status_code == 200
    assert not shown_codes(http.get("/second-factor/"))
    assert [event["actor"] for event in audited("second_factor_added")] == ["olga"]


def test_another_session_is_asked_as_soon_as_there_is_one(olga):
    first, second = signed_in(olga), signed_in(olga)
    _, secret = enrolling(first)
    _, other = enrolling(second)
    assert secret != other  # nobody is shown a secret that another has seen
    first.post("/second-factor/", {"code": code(secret)})

    answer = second.post("/second-factor/", {"code": code(other)})
    assert answer["Location"].startswith("/confirm/")
    assert Authenticator.objects.count() == 1
    with pytest.raises(CodeRefused, match="already"):
        enrolled(olga)


def test_the_secret_and_the_codes_are_not_readable_at_rest(olga):
    secret, codes = enrolled(olga)
    row = Authenticator.objects.get()

    assert row.bin_key == secret
    assert secret.hex() not in row.key
    with pytest.raises(sealing.Unsealable):
        devices.open_secret(row.key, person=olga.pk + 1)
    kept = "".join(StaticToken.objects.values_list("token", flat=True))
    assert not [c for c in codes if c.replace("-", "") in kept]


# --- Codes -----------------------------------------------------------------------------------


def give(http, text):
    return http.post("/confirm/", {"code": text, "next": "/risk/"})


def test_a_code_counts_once_whoever_gives_it(olga):
    secret, _ = enrolled(olga)
    one, two = signed_in(olga), signed_in(olga)

    assert give(one, code(secret))["Location"] == "/risk/"
    assert one.get("/").status_code == 200
    again = give(two, code(secret))
    assert b"counts once" in again.content
    assert two.get("/").status_code == 302


def test_the_code_that_enrolled_is_used_up(olga):
    first, second = signed_in(olga), signed_in(olga)
    _, secret = enrolling(first)
    shown = code(secret)
    first.post("/second-factor/", {"code": shown})

    assert b"counts once" in give(second, shown).content


def test_a_recovery_code_stands_in_once_and_is_noted(olga):
    _, codes = enrolled(olga)
    one, two = signed_in(olga), signed_in(olga)

    assert give(one, codes[3].upper()).status_code == 302
    assert give(two, codes[3]).status_code == 200
    (event,) = audited("recovery_code_used")
    assert event["after"] == {"recovery_codes": devices.RECOVERY_CODES - 1}


def test_wrong_codes_make_one_wait_and_are_an_alarm(olga):
    secret, _ = enrolled(olga)
    http = signed_in(olga)
    assert b"does not count" in give(http, "000000").content
    assert "Too soon after a wrong code: wait 1 s" in page_text(give(http, code(secret)))
    Authenticator.objects.update(
        throttling_failure_count=4, throttling_failure_timestamp=timezone.now() - timedelta(hours=1)
    )

    give(http, "000000")
    assert [event["actor"] for event in audited("codes_refused")] == ["olga"]
    assert "wait 16 s" in page_text(give(http, code(secret)))


@pytest.mark.parametrize("text", ["", "12345", "abcdef", "١٢٣٤٥٦", "9" * 5000, "\x00"])
def test_what_is_no_code_is_refused(olga, text):
    enrolled(olga)

    assert give(signed_in(olga), text).status_code == 200


def test_codes_are_counted_as_sign_ins_are(olga, settings):
    settings.RATE_SIGN_INS_PER_MINUTE = 2
    enrolled(olga)
    http = signed_in(olga)

    assert [give(http, "000000").status_code for _ in range(3)] == [200, 200, 429]


def test_nobody_is_led_away(olga):
    secret, _ = enrolled(olga)

    answer = signed_in(olga).post("/confirm/", {"code": code(secret), "next": "//evil.example/"})
    assert answer["Location"] == "/"


# --- Changing and losing it ------------------------------------------------------------------


def test_new_codes_and_removal_take_a_code(olga):
    secret, codes = enrolled(olga)
    http = signed_in(olga)
    give(http, codes[0])

    for do in ("renew", "remove"):
        assert b"does not count" in http.post("/second-factor/", {"do": do, "code": "x"}).content
        RecoverySheet.objects.update(throttling_failure_count=0, throttling_failure_timestamp=None)
    renewed = shown_codes(http.post("/second-factor/", {"do": "renew", "code": codes[1]}))
    assert len(renewed) == devices.RECOVERY_CODES
    assert not set(renewed) & set(codes)
    assert http.post("/second-factor/", {"do": "remove", "code": code(secret)}).status_code == 302

    assert not Authenticator.objects.exists()
    assert not StaticToken.objects.exists()
    assert http.get("/")["Location"].startswith("/second-factor/")


def test_whoever_runs_the_site_removes_what_was_lost(olga):
    _, codes = enrolled(olga)
    http = signed_in(olga)
    give(http, codes[0])

    out = io.StringIO()
    call_command("remove_second_factor", "olga", reason="phone lost", stdout=out)
    assert out.getvalue() == "olga: removed; signed out\n"
    assert audited("second_factor_removed")[0]["reason"] == "phone lost"
    assert http.get("/")["Location"] == "/login/?next=/"
    with pytest.raises(CommandError, match="username: nobody is called rita"):
        call_command("remove_second_factor", "rita", reason="lost")


def test_a_person_without_one_confirms_by_password(db):
    http = signed_in(staff())

    assert b"not your password" in http.post("/confirm/", {"password": "wrong"}).content
    assert http.post("/confirm/", {"password": PASSWORD})["Location"] == "/"
    assert [http.post("/confirm/", {"password": "x"}).status_code for _ in range(5)][-1] == 429


def test_signing_in_leads_through_the_code(olga):
    secret, _ = enrolled(olga)
    http = Client()
    http.post("/login/", {"username": "olga", "password": PASSWORD, "next": "/risk/"})

    asked = http.get("/risk/")
    assert asked["Location"] == "/confirm/?next=/risk/"
    page = http.get(asked["Location"])
    assert page.context["next"] == "/risk/"
    assert give(http, code(secret))["Location"] == "/risk/"
