"""Whichever way a client spells a contract, it is the same instrument."""

import itertools
import json

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from brokers.models import Instrument, Quote
from execution_site.rest.permissions import KeyScope
from orders.models import Order
from orders.models.client import issue_key
from portfolio.models import Position
from risk.models import KillSwitch, RiskLimit, SymbolRule
from tests.orders.groups import option_market

SYMBOL = option_market.symbol(100, "CE")
SPELLINGS = [SYMBOL, SYMBOL.replace("100CE", "100.0CE"), SYMBOL.replace("100CE", "100.000CE")]
_ids = itertools.count()


@pytest.fixture
def api(trader, valkey):
    """A client of the trader's with every scope; the market is quoted."""
    option_market.make()
    key = "Api-Key " + issue_key(trader, scopes=[*KeyScope])[1]
    return Client(headers={"authorization": key})


def post(api, path, body):
    return api.post(f"/api/v1/{path}", json.dumps(body), content_type="application/json")


def signal(symbol, **values):
    return {
        "signal_id": f"s{next(_ids)}",
        "strategy": "alpha",
        "account": "paper",
        "symbol": symbol,
        "action": "BUY",
        "quantity": "10",
        **values,
    }


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_what_is_read_is_the_same(api, spelling):
    assert api.get(f"/api/v1/instruments/{spelling}").json()["symbol"] == SYMBOL
    assert api.get(f"/api/v1/quotes/{spelling}").json()["symbol"] == SYMBOL
    assert api.get(f"/api/v1/bars/{spelling}").json()["symbol"] == SYMBOL
    assert Quote.objects.filter(instrument__symbol=spelling).count() == 1


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_what_is_traded_is_the_same(api, spelling):
    answer = post(api, "signals", signal(spelling))

    assert answer.status_code == 202, answer.json()
    assert Order.objects.get().instrument.symbol == answer.json()["order"]["symbol"] == SYMBOL
    for page in ("signals", "orders"):
        rows = api.get(f"/api/v1/{page}", {"symbol": spelling}).json()["results"]
        assert [row["symbol"] for row in rows] == [SYMBOL]


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_legs_of_a_group_are_the_same(api, spelling):
    legs = [
        {"symbol": spelling, "action": "BUY", "quantity": "10"},
        {"symbol": option_market.symbol(105, "CE"), "action": "SELL", "quantity": "10"},
    ]
    body = {"signal_id": "g", "strategy": "alpha", "account": "paper", "type": "SPREAD"}

    answer = post(api, "groups", body | {"legs": legs})

    assert answer.status_code == 202, answer.json()
    assert Order.objects.filter(instrument__symbol=SYMBOL).count() == 1


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_rules_and_kills_are_of_the_same(api, spelling):
    RiskLimit.objects.create(metric="max_order_quantity", value=1, symbol=spelling)
    SymbolRule.objects.create(symbol=spelling, rule="DENY")
    scope = {"account": "paper", "symbol": spelling}
    post(api, "system/kill-switch", {"active": True, "scope": scope, "reason": "halted"})

    answer = post(api, "signals", signal(SYMBOL))

    codes = {check["code"] for check in answer.json()["decision"]["checks"]}
    assert {"kill_switch", "symbol_allowed", "max_order_quantity"} <= codes
    assert KillSwitch.objects.get().symbol == SYMBOL


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_cancel_of_all_finds_the_same(api, spelling):
    post(api, "signals", signal(SYMBOL, order_type="LIMIT", limit_price="0.01"))

    answer = post(api, "orders/cancel-all", {"symbol": spelling})

    assert answer.status_code in {200, 202}
    assert Order.objects.get().pending_action == "cancel" or Order.objects.get().status != "PENDING"


def test_one_spelling_is_stored_and_looked_for(db):
    option_market.make()
    for spelling in SPELLINGS:
        assert Instrument.objects.get(symbol=spelling).symbol == SYMBOL
    row = Instrument(symbol=SPELLINGS[1].replace("100.0", "101.50"))
    row.kind, row.currency, row.tick_size, row.lot_size = "EQUITY", "USD", 1, 1
    row.save()

    assert row.symbol == Instrument.objects.get(pk=row.pk).symbol == SYMBOL.replace("100", "101.5")
    assert not Position.objects.filter(instrument__symbol__in=SPELLINGS).exists()


def test_a_date_that_does_not_exist_is_no_instrument(api):
    answer = post(api, "signals", signal("IDX31NOV26100.0CE"))

    assert answer.status_code == 400
    assert answer.json()["errors"][0]["code"] == "unknown_symbol"


def test_a_form_refuses_a_date_that_does_not_exist(client, risk_manager):
    client.force_login(risk_manager)
    form = {"symbol": "IDX31NOV26FUT", "kind": "EQUITY", "currency": "USD", "multiplier": 1}
    form |= {"tick_size": 1, "lot_size": 1, "margin_rate": 1, "reason": "new"}

    answer = client.post("/admin/brokers/instrument/add/", form)

    assert "31NOV26 in IDX31NOV26FUT is no date" in answer.content.decode()


def test_a_replay_s_market_is_called_by_its_one_spelling(account, tmp_path):
    path = tmp_path / "x_2026-11-20.csv"
    path.write_text("ms_since_midnight_utc,bid,ask\n1,1,2\n")

    call_command("replay_market", path, symbol="IDX26NOV26100.0CE", like="AAPL")
    with pytest.raises(CommandError, match=r"31NOV26 in .* is no date"):
        call_command("replay_market", path, symbol="IDX31NOV26100.0CE", like="AAPL")

    assert Quote.objects.get().instrument.symbol == "IDX26NOV26100CE"
