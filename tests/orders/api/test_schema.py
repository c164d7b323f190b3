"""Every operation of the OpenAPI document, called as it describes itself and as it does not.

Schemathesis draws the requests. Whatever comes back must be documented: its status, its content
type, its form; never a page, never a fault of ours.
"""

import itertools
import re
from collections import Counter
from contextlib import suppress

import pytest
import schemathesis
from django.core.wsgi import get_wsgi_application
from django.test import Client
from django.utils import timezone
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.specs.openapi import checks

from execution_site.rest.permissions import KeyScope
from orders.models import Order
from orders.models.client import issue_key
from orders.sending import submission
from risk.models import Breaker, RiskLimit
from tests.orders.api.signals import FINE
from tests.orders.groups import option_market
from tests.orders.groups.option_market import symbol as option

EXAMPLES = 8  # requests for each operation and mode
DOCUMENTED = [
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]
#: That something is not well is an answer here: nothing but the web process runs in this test.
HEALTH = ("/health", "/health/trading")
#: What would stop everything else comes last.
LAST = ("/system/mode", "/system/kill-switch")


@pytest.fixture
def key(account, trader, quote, valkey):
    """A key of all scopes, on an account with something of everything."""
    option_market.make()
    quote("AAPL", bid=99, ask=101)
    RiskLimit.objects.create(metric="max_order_quantity", value=1000, connection=account)
    return "Api-Key " + issue_key(trader, scopes=[*KeyScope])[1]


@pytest.fixture
def schema(key):
    headers = {"Authorization": key}
    return schemathesis.openapi.from_wsgi(
        "/api/v1/openapi.json", get_wsgi_application(), headers=headers
    )


def known(number):
    """Return values that exist: half of the requests name some of them."""
    return {
        "account": "paper",
        "symbol": ("AAPL", option(100, "CE"), "EURUSD")[number % 3],
        "underlying": "IDX",
        "strategy": "alpha",
        "signal_id": f"n{number}",
        "pk": 1 + number % 4,
    }


def with_known(case, number):
    """Put values that exist where a request names such a thing."""
    values = known(number)
    for part in (case.path_parameters, case.query, case.body):
        if isinstance(part, dict):
            part |= {name: values[name] for name in part if name in values}
    if isinstance(case.body, dict) and isinstance(case.body.get("legs"), list):
        for leg in case.body["legs"]:
            if isinstance(leg, dict):
                leg |= {"symbol": option(100, "CE")}


def look(case, response, counts):
    """Check one answer."""
    kind = response.headers.get("content-type", [""])[0]
    counts[response.status_code // 100] += 1
    counts[case.operation.label] += 1
    where = f"{case.method} {case.formatted_path}: {response.status_code}"
    if not (response.status_code == 503 and case.operation.path.endswith(HEALTH)):
        assert response.status_code < 500, (where, response.text)
    assert "json" in kind, (where, kind)
    if response.status_code >= 400 and "problem" in kind:
        problem = response.json()
        assert problem["status"] == response.status_code
        assert not re.match(r"\[[{\"']|\{[\"']", problem["detail"]), (where, problem["detail"])
    case.validate_response(response, checks=DOCUMENTED)


def exercise(operation, mode, look_at):
    """Draw requests of an operation and look at each answer."""
    numbers = itertools.count()

    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def call(case):
        number = next(numbers)
        if mode.is_positive and number % 2:
            with_known(case, number)
        look_at(case)

    with suppress(Unsatisfiable):  # nothing can be wrong with a request that has nothing in it
        call()


def test_every_operation_answers_as_it_is_documented(schema, key, account, quote):
    headers, counts = {"Authorization": key}, Counter()
    client = Client(headers={"authorization": key})
    quote("AAPL", bid=99, ask=101)
    for changes in ({}, {"order_type": "LIMIT", "limit_price": "90"}):
        body = FINE | {"signal_id": f"seed{len(changes)}"} | changes
        answer = client.post("/api/v1/signals", body, content_type="application/json")
        assert answer.status_code == 202, answer.content
    submission.transmit(Order.objects.earliest("pk").pk, now=timezone.now())
    Breaker.objects.create(kind="rejection_rate", threshold=1, connection=account)
    operations = [result.ok() for result in schema.get_all_operations()]
    operations.sort(key=lambda operation: operation.path.endswith(LAST))

    for operation, mode in itertools.product(operations, list(GenerationMode)):
        option_market.quote()
        quote("AAPL", bid=99, ask=101)
        exercise(operation, mode, lambda case: look(case, case.call(headers=headers), counts))

    assert len(operations) > 35
    assert all(counts[operation.label] for operation in operations)
    assert counts[2] > 80
    assert counts[4] > 200
