"""Limits from outside: never above them in any window, told with each answer, kills apart."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection, connections
from django.test import Client

from execution_site import checks
from execution_site.floor import outages
from execution_site.rest import rates
from execution_site.rest.http import CONTENT_TYPE, Problem
from execution_site.rest.rates import Limit
from orders.models.client import issue_key
from tests import databases
from tests.orders.api.signals import FINE, URL

THREADS = 16
JSON = {"content_type": "application/json"}
SECRET = "Api-Key nobody.nothing"


def asking(limit, who, *, times=10_000, units=1):
    """Ask until refused; return how often it was admitted, and the refusal."""
    for admitted in range(times):
        try:
            rates.take(limit, who, units=units)
        except Problem as e:
            return admitted, e
    return times, None


@pytest.mark.parametrize(
    ("_case", "per_second", "burst", "units", "admitted"),
    [
        ("a burst of one", 0.01, 100, 1, 1),
        ("as many as the burst", 0.1, 50, 1, 5),
        ("what counts three", 0.1, 100, 3, 3),
        ("more than there ever is, once", 0.1, 50, 100, 1),
        ("no limit", 0, 50, 1, 10_000),
    ],
)
def test_as_much_as_the_burst_comes_at_once(db, _case, per_second, burst, units, admitted):
    count, refusal = asking(Limit("t", per_second, burst), "me", units=units)

    assert count == admitted
    assert (refusal is None) == (per_second == 0)


def test_no_window_sees_more_than_the_rate_and_the_burst_from_many_threads(db):
    limit, seconds, admitted = Limit("t", 100, 0.5), 2.0, []
    together = threading.Barrier(THREADS)
    began = time.monotonic()

    def ask(_):
        together.wait()
        while time.monotonic() < began + seconds:
            rates._refused_until.clear()  # another process has not heard of it
            try:
                rates.take(limit, "me")
                admitted.append(time.monotonic())
            except Problem:
                pass
        connection.close()

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(ask, range(THREADS)))

    admitted.sort()
    assert len(admitted) >= limit.per_second * limit.burst_seconds
    slack = 1 + limit.per_second * 0.25  # a thread notes its time a moment after the database's
    for i, at in enumerate(admitted):
        for j in range(i, len(admitted), 10):
            most = limit.per_second * (admitted[j] - at + limit.burst_seconds)
            assert j - i <= most + slack


def test_others_are_not_counted_and_it_comes_back_with_time(db):
    limit = Limit("t", 20, 0.1)
    count, refusal = asking(limit, "me")
    assert (count, refusal.status_code, refusal.headers["Retry-After"]) == (2, 429, "1")
    assert rates.take(limit, "you").remaining == 1
    assert rates.take(Limit("other", 20, 0.1), "me").remaining == 1

    time.sleep(0.06)
    assert rates.take(limit, "me").remaining == 0


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:aaaa::1", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:bbbb::9", "2001:db8:1:2::/64"),
        ("", "unknown"),
        ("\x00", "unknown"),
    ],
)
def test_an_address_is_counted_as_its_subscriber(address, counted):
    assert rates.network(address) == counted


# --- At the API --------------------------------------------------------------------------------


@pytest.fixture
def api(trader, quote, valkey):
    quote("AAPL", bid=99, ask=101)
    key = "Api-Key " + issue_key(trader, scopes=["read", "trade", "control"])[1]
    return Client(headers={"authorization": key}, raise_request_exception=False)


def refused(answer):
    assert (answer.status_code, answer["Content-Type"]) == (429, CONTENT_TYPE), answer.content
    assert answer.json()["code"] == "rate_limited"
    assert int(answer["Retry-After"]) >= 1


def test_each_answer_tells_what_is_left(api):
    answer = api.get("/api/v1/orders?limit=1000")

    assert (answer["RateLimit-Limit"], answer["RateLimit-Remaining"]) == ("2000", "1990")
    assert answer["RateLimit-Reset"] == "1"
    assert api.post(URL, FINE, **JSON)["RateLimit-Remaining"] == "3999"


def test_who_has_used_up_reads_and_signals_may_still_kill_and_cancel(api, settings):
    settings.RATE_READS_PER_SECOND = settings.RATE_WRITES_PER_SECOND = 0.0001
    assert api.get("/api/v1/orders").status_code == 200
    refused(api.get("/api/v1/fills"))
    order = api.post(URL, FINE, **JSON).json()["order"]["id"]
    refused(api.post(URL, FINE | {"signal_id": "another"}, **JSON))

    kill = {"active": True, "scope": {"account": "paper"}, "level": "HALTED", "reason": "test"}
    assert api.post(f"/api/v1/orders/{order}/cancel", {}, **JSON).status_code == 202
    assert api.post("/api/v1/system/kill-switch", kill, **JSON).status_code == 200


def test_whoever_is_not_known_is_counted_by_address(api, settings):
    settings.RATE_ANONYMOUS_PER_MINUTE = 2
    stranger = Client(headers={"authorization": SECRET})
    assert [stranger.get("/api/v1/orders").status_code for _ in range(2)] == [401, 401]

    refused(stranger.get("/api/v1/orders"))
    refused(Client().get("/api/v1/orders"))
    elsewhere = Client(REMOTE_ADDR="192.0.2.7")
    assert elsewhere.get("/api/v1/orders").status_code == 401
    assert api.get("/api/v1/orders").status_code == 200  # a key that counts is no guess


@pytest.mark.parametrize("path", ["/login/", "/admin/login/"])
def test_sign_ins_are_counted_by_address_before_a_password_is_looked_at(db, settings, path):
    settings.RATE_SIGN_INS_PER_MINUTE = 3
    tried = {"username": "rita", "password": "wrong"}
    answers = [Client().post(path, tried | {"username": f"user-{n}"}) for n in range(5)]

    assert [a.status_code == 429 for a in answers] == [False, False, False, True, True]
    assert int(answers[-1]["Retry-After"]) >= 1
    assert Client().get(path).status_code in {200, 302}


def test_a_database_that_takes_no_writes_counts_nothing_and_is_read_all_the_same(api, monkeypatch):
    monkeypatch.setattr(outages, "refused_writes", outages.Recent(5.0))
    name = connection.settings_dict["NAME"]
    with databases.as_owner() as owner:
        owner.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
    connections.close_all()

    assert api.get("/api/v1/orders").status_code == 200
    assert outages.refused_writes.is_recent()


@pytest.mark.parametrize("name", checks.OUTSIDE_LIMITS)
def test_a_limit_that_is_off_is_said_to_be(settings, name):
    assert checks.limits_from_outside_are_on() == []

    setattr(settings, name, 0)
    (warning,) = checks.limits_from_outside_are_on()
    assert warning.msg.startswith(name)
