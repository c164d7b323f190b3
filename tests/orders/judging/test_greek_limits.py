"""Limits on what the book reacts to, over REST: at the limit, a unit above, and at once."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connections
from django.test import Client

from brokers.models import Instrument
from orders.models import Order
from portfolio.models import OptionGreeks, Position
from risk.models import RiskLimit
from tests.orders.groups import option_market
from tests.orders.groups.option_market import symbol

CALL = (100, "CE")


@pytest.fixture
def post(account, trader_key, valkey):
    """Post a signal for 10 of an option, each of which has a vega of exactly 0.5."""
    option_market.make()
    OptionGreeks.objects.update(vega=0.5, delta=0.25, gamma=0.125, theta=-0.25, rho=-0.0625)
    client = Client(headers={"authorization": trader_key})

    def send(number, option=CALL, action="BUY", quantity=10):
        body = {
            "signal_id": f"s{number}",
            "strategy": "vol",
            "symbol": symbol(*option),
            "action": action,
            "quantity": str(quantity),
        }
        return client.post("/api/v1/signals", json.dumps(body), content_type="application/json")

    return send


def refused_by(answer):
    return {error["code"] for error in answer.json()["errors"]}


def test_at_the_limit_passes_and_one_unit_above_is_refused(post):
    limit = RiskLimit.objects.create(metric="max_vega", value=10, underlying="IDX")

    assert post(1).status_code == 202  # 5
    assert post(2).status_code == 202  # 10: at the limit
    assert refused_by(post(3)) == {"max_vega"}
    limit.value = 14
    limit.save()
    assert refused_by(post(4)) == {"max_vega"}  # 15: one unit above
    limit.value = 15
    limit.save()
    assert post(5).status_code == 202


@pytest.mark.parametrize(
    ("greek", "value"),
    [("delta", "2.5"), ("gamma", "1.25"), ("theta", "2.5"), ("rho", "0.625")],
)
def test_every_greek_is_limited(post, greek, value):
    RiskLimit.objects.create(metric=f"max_{greek}", value=Decimal(value))

    assert post(1).status_code == 202
    assert refused_by(post(2)) == {f"max_{greek}"}


def test_above_the_limit_what_does_not_make_it_worse_passes(post, account):
    RiskLimit.objects.create(metric="max_vega", value=1)
    option = Instrument.objects.get(symbol=symbol(*CALL))
    Position.objects.create(
        connection=account,
        strategy="vol",
        instrument=option,
        quantity=100,
        cost=500,
        updated_at=OptionGreeks.objects.first().as_of,
    )

    assert refused_by(post(1)) == {"max_vega"}
    assert post(2, action="SELL", quantity=100).status_code == 202
    assert post(3, option=(105, "CE"), action="SELL").status_code == 202
    assert refused_by(post(4, option=(105, "CE"))) == {"max_vega"}


def test_greeks_on_old_quotes_refuse(post):
    RiskLimit.objects.create(metric="max_vega", value=1_000)
    held = OptionGreeks.objects.get(instrument__symbol=symbol(*CALL))
    held.as_of -= timedelta(seconds=11)
    held.save()

    assert refused_by(post(1)) == {"max_vega"}


def test_of_twenty_signals_at_once_as_many_pass_as_the_limit_allows(post):
    RiskLimit.objects.create(metric="max_vega", value=50, underlying="IDX")
    options = [(strike, right) for strike in option_market.STRIKES for right in ("CE", "PE")]

    def send(number):
        status = post(number, option=options[number % len(options)]).status_code
        connections.close_all()
        return status

    with ThreadPoolExecutor(20) as threads:
        answers = list(threads.map(send, range(20)))

    assert sorted(answers) == [202] * 10 + [422] * 10
    assert Order.objects.count() == 10
