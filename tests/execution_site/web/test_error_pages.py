"""No cause of an error brings out Django's own pages, and no page says what is ours alone."""

import os
from urllib.parse import urlsplit

import pytest
from django.conf import settings as django_settings
from django.core.exceptions import BadRequest, PermissionDenied, SuspiciousOperation
from django.db import OperationalError, connections
from django.http import Http404
from django.shortcuts import render
from django.test import Client
from django.urls import include, path
from django.views.debug import SafeExceptionReporterFilter

from execution_site import urls
from execution_site.rest import permissions

CANARY = "canary-of-a-local-variable"
SHOWN_BY_DEBUG = {CANARY, "Traceback", "DEBUG", "urlpatterns"}


def _raising(error):
    def view(request):
        secret = CANARY  # a local variable, as a traceback's page would show it
        assert secret
        raise error

    return view


def broken_template(request):
    return render(request, "tests/broken.html", {"canary": CANARY})


def ask_database(request):
    with connections["default"].cursor() as cursor:
        cursor.execute("SELECT 1")


CAUSES = {
    "not-there": _raising(Http404(CANARY)),
    "not-allowed": _raising(PermissionDenied(CANARY)),
    "suspicious": _raising(SuspiciousOperation(CANARY)),
    "bad": _raising(BadRequest(CANARY)),
    "broken": _raising(RuntimeError(CANARY)),
    "database": _raising(OperationalError(CANARY)),
    "template": broken_template,
    "ask-database": ask_database,
}
raising = [path(name, view) for name, view in CAUSES.items()]
urlpatterns = [path("api/v1/", include(raising)), path("", include(raising)), *urls.urlpatterns]
handler400, handler403 = urls.handler400, urls.handler403
handler404, handler500 = urls.handler404, urls.handler500

#: cause, method, path below the prefix, what else, status
TABLE = [
    ("an address without anything", "get", "nothing/here", {}, 404),
    ("a view's 404", "get", "not-there", {}, 404),
    ("a view's 403", "get", "not-allowed", {}, 403),
    ("a view's suspicion", "get", "suspicious", {}, 400),
    ("a view's 400", "get", "bad", {}, 400),
    ("a view's fault", "get", "broken", {}, 500),
    ("a template's fault", "get", "template", {}, 500),
    ("the database's word", "get", "database", {}, 503),
    ("a wrong Host", "get", "not-there", {"headers": {"host": "elsewhere.example"}}, 400),
    ("a Host that is none", "get", "not-there", {"headers": {"host": "a b/<c>"}}, 400),
    ("a forged form", "post", "broken", {"data": {"a": "b"}}, 403),
    ("a body too large", "post", "broken", {"data": {"a": "b" * 300_000}}, 403),
]


@pytest.fixture
def site_urls(settings, tmp_path, monkeypatch):
    settings.ROOT_URLCONF = __name__
    for name in CAUSES:
        monkeypatch.setitem(permissions.PAGES, name, permissions.PUBLIC)
    folder = tmp_path / "tests"
    folder.mkdir()
    (folder / "broken.html").write_text("{% for %}")
    engine = dict(settings.TEMPLATES[0])
    settings.TEMPLATES = [engine | {"DIRS": [*engine["DIRS"], tmp_path]}]


def secrets():
    """What may stand in no answer."""
    words = {urlsplit(os.environ[name]).password for name in ("DATABASE_URL", "REDIS_URL")}
    words |= {django_settings.SECRET_KEY, django_settings.AUDIT_KEY}
    return {*words, django_settings.CREDENTIALS_KEY, *SHOWN_BY_DEBUG}


def told(response):
    return {word for word in secrets() if word in response.content.decode()}


@pytest.mark.parametrize("debug", [True, False])
@pytest.mark.parametrize("prefix", ["/", "/api/v1/"])
@pytest.mark.parametrize(("_case", "method", "address", "options", "status"), TABLE)
def test_every_refusal_is_our_own(
    db, settings, site_urls, debug, prefix, _case, method, address, options, status
):
    settings.DEBUG = debug
    client = Client(enforce_csrf_checks=True, raise_request_exception=False)

    response = getattr(client, method)(prefix + address, **options)

    assert response.status_code == status
    assert not told(response)
    if prefix == "/":
        assert response["Content-Type"].startswith("text/html")
        assert f"<title>{status} · Execution</title>" in response.content.decode()
    else:
        assert response["Content-Type"] == "application/problem+json"
        assert response.json()["status"] == status


@pytest.mark.parametrize("debug", [True, False])
@pytest.mark.parametrize("address", ["/", "/risk/", "/admin/", "/ask-database"])
def test_without_a_database_pages_say_no_more_than_that(
    settings, site_urls, django_db_blocker, debug, address
):
    settings.DEBUG = debug
    client = Client(raise_request_exception=False)
    client.cookies["sessionid"] = "a" * 32
    away = connections["default"]
    away.close()
    known = away.settings_dict.copy()
    away.settings_dict.update(PORT="9", PASSWORD=known["PASSWORD"])
    try:
        with django_db_blocker.unblock():
            response = client.get(address)
    finally:
        away.close()
        away.settings_dict.clear()
        away.settings_dict.update(known)

    assert response.status_code == 503
    assert not told(response)


def test_an_error_of_ours_has_a_reference_into_the_log(db, site_urls, caplog):
    client = Client(raise_request_exception=False)

    for address in ("/broken", "/api/v1/broken"):
        text = client.get(address).content.decode()
        reference = text.split("Reference: ")[1][:32]
        assert reference in caplog.text


@pytest.mark.parametrize("accept", ["application/json", "text/html, */*"])
def test_whoever_takes_no_pages_gets_a_problem(db, accept):
    response = Client().get("/nothing", headers={"accept": accept})

    wanted = "application/problem+json" if "json" in accept else "text/html; charset=utf-8"
    assert response["Content-Type"] == wanted


def test_no_secret_stands_in_a_setting_whose_name_does_not_mask_it():
    shown = repr(SafeExceptionReporterFilter().get_safe_settings())

    assert not {word for word in secrets() - SHOWN_BY_DEBUG if word in shown}
