"""The log: a line a cause, nothing of what clients get wrong, and all of what nobody expects."""

import io
import logging
import logging.config

import psycopg
import pytest
import redis
from django.conf import settings
from django.db import connection, connections
from django.test import Client
from django.utils.timezone import now
from kombu.exceptions import OperationalError as BrokerAway

from brokers.contract import BrokerUnavailable
from execution_site.floor import outages
from execution_site.floor.outages import DATABASE, REDIS, Causes, service_of
from execution_site.models import ProcessStatus
from execution_site.processes.embedded.runtime import free_port


@pytest.fixture
def log(monkeypatch):
    """Log as the site does, into a text."""
    console = settings.LOGGING["handlers"]["console"]
    text = io.StringIO()
    handler = console | {"stream": text, "class": "logging.StreamHandler"}
    root, before = logging.getLogger(), logging.getLogger().handlers
    logging.config.dictConfig(settings.LOGGING | {"handlers": {"console": handler}})
    causes = Causes(logging.getLogger(outages.__name__), settle=0.0)
    monkeypatch.setattr(outages, "services", causes)
    yield lambda: text.getvalue()
    root.handlers = before


def caused(error, cause):
    error.__cause__ = cause
    return error


def refused():
    return psycopg.OperationalError("connection failed: refused\nIs the server running?")


@pytest.mark.parametrize(
    ("_case", "error", "service"),
    [
        ("no server", refused(), DATABASE),
        ("a server that goes down", psycopg.errors.AdminShutdown(), DATABASE),
        ("a server that comes up", psycopg.errors.CannotConnectNow(), DATABASE),
        ("a session that timed out", psycopg.errors.IdleInTransactionSessionTimeout(), DATABASE),
        ("a connection that is closed", psycopg.InterfaceError("is closed"), DATABASE),
        ("a venue whose ledger is there", caused(BrokerUnavailable(), refused()), DATABASE),
        ("Redis refuses", redis.ConnectionError(), REDIS),
        ("Redis hangs", redis.TimeoutError(), REDIS),
        ("Celery's word for it", BrokerAway(), REDIS),
        ("a lock", psycopg.errors.LockNotAvailable(), None),
        ("a statement that took too long", psycopg.errors.QueryCanceled(), None),
        ("a mistake in SQL", psycopg.errors.UndefinedColumn(), None),
        ("a venue", BrokerUnavailable(), None),
        ("a mistake of ours", KeyError("x"), None),
    ],
)
def test_which_service_is_away(_case, error, service):
    assert service_of(error) == service


def test_a_service_that_is_away_is_one_line_whoever_says_it(log):
    for name in ("django.request", "celery.app.trace", "uvicorn.error", "orders.hints"):
        logging.getLogger(name).error("it failed", exc_info=refused())
        logging.getLogger(name).warning("it failed: %s", refused())
    outages.services.end(DATABASE)

    lines = log().splitlines()
    assert [line.split(" ", 4)[4] for line in lines] == [
        "the database failed: connection failed: refused",
        "the database works again",
    ]


def test_what_fails_for_want_of_a_service_is_the_service(log):
    causes = Causes(logging.getLogger("orders"), settle=0.0)
    for account in ("first", "second"):
        causes.begin(f"following {account}", caused(BrokerUnavailable("away"), refused()))

    (line,) = log().splitlines()
    assert line.endswith("outages the database failed: away")


def test_connecting_says_that_the_database_is_away_and_back(db, log):
    port = connection.settings_dict["PORT"]
    connections.close_all()
    connection.settings_dict["PORT"] = free_port()
    try:
        for _ in range(3):
            with pytest.raises(Exception, match="refused"):
                connection.ensure_connection()
    finally:
        connection.settings_dict["PORT"] = port
    connection.ensure_connection()

    assert log().count("the database failed") == log().count("the database works again") == 1
    assert len(log().splitlines()) == 2


def test_an_unexpected_error_keeps_its_traceback(log):
    logging.getLogger("celery.app.trace").error("it failed", exc_info=KeyError("x"))

    assert "ERROR celery.app.trace it failed\nKeyError: 'x'" in log()


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("get", "/api/v1/nothing", 404),
        ("get", "/nothing", 404),
        ("get", "/api/v1/orders/99", 404),
        ("delete", "/api/v1/orders", 405),
        ("post", "/api/v1/signals", 400),
        ("post", "/api/v1/positions/flatten", 400),
        ("get", "/api/v1/health", 503),
    ],
)
def test_what_a_client_gets_wrong_is_no_warning(log, trader_key, method, path, status):
    ProcessStatus.objects.create(name="web", state="restarting", since=now(), updated_at=now())
    api = Client(headers={"authorization": trader_key}, raise_request_exception=False)

    answer = getattr(api, method)(path, content_type="application/json")

    assert (answer.status_code, log()) == (status, "")


@pytest.mark.parametrize(
    ("_case", "headers", "status"),
    [
        ("no key", {}, 401),
        ("a wrong key", {"authorization": "Api-Key a.b"}, 401),
        ("a foreign host", {"host": "elsewhere.example"}, 400),
    ],
)
def test_who_a_client_is_not_is_no_warning(log, account, _case, headers, status):
    assert Client(headers=headers).get("/api/v1/orders").status_code == status

    assert "WARNING" not in log()
    assert "ERROR" not in log()
    assert "Traceback" not in log()


def test_nothing_but_our_handler_writes(log):
    named = [logging.getLogger(name) for name in logging.Logger.manager.loggerDict]

    assert [
        logger.name for logger in named if logger.name.startswith("django") and logger.handlers
    ] == []


@pytest.mark.parametrize(
    ("_case", "settle", "lines"),
    [("told anew each time", 0.0, 6), ("now and then is one trouble", 60.0, 1)],
)
def test_what_fails_now_and_then(log, _case, settle, lines):
    causes = Causes(logging.getLogger("test"), settle=settle)
    for _ in range(3):
        causes.begin("the quote of AAPL", psycopg.errors.LockNotAvailable("lock timeout"))
        causes.begin("the quote of AAPL", psycopg.errors.LockNotAvailable("lock timeout"))
        causes.end("the quote of AAPL")
        causes.end("the quote of AAPL")

    assert len(log().splitlines()) == lines
