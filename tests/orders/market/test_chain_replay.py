"""Recorded SPX and SPXW options, replayed with option signals.

Reads ../shared/data, and is skipped where that is absent.
"""

from collections import Counter
from datetime import UTC, datetime, time
from decimal import Decimal
from pathlib import Path

import pytest
from django.test import Client

from brokers.feeds.recorded_chain import RecordedChain
from brokers.models import Instrument
from execution_site.rest.permissions import KeyScope
from orders.intake.requests import SignalRequest
from orders.intake.submit_signal import submit_signal
from orders.market import replay_account
from orders.market.replay import AsFastAsItGoes, Replay
from orders.models import Action, Fill, Order, Signal
from orders.models.client import issue_key
from orders.reports import agreement
from orders.sending import submission
from portfolio.models import OptionGreeks, Position
from risk.models import RiskLimit
from tests import quantlib

DATA = Path(__file__).resolve().parents[4] / "shared" / "data" / "options"
SPX = DATA / "spx_index_options_1m_quote_2021-01-04.csv"
SPXW = DATA / "spxw_index_options_1m_quote_2021-01-05.csv"
EVERY = 30  # quotes of a contract between two signals

pytestmark = pytest.mark.skipif(not SPX.exists(), reason="needs ../shared/data")


class Trader:
    """Buys each contract, then sells and buys in turn; sells whenever the bid is gone."""

    def __init__(self, client, account):
        self.client, self.account = client, account
        self.seen, self.sent, self.empty, self.refused = Counter(), Counter(), Counter(), Counter()

    def see(self, update):
        self.update = update
        self.seen[update.symbol] += 1
        return self.seen[update.symbol] % EVERY == 1

    def go(self):
        update, n = self.update, self.seen[self.update.symbol]
        has_bid = update.bid is not None
        turn = Action.BUY if n // EVERY % 2 == 0 else Action.SELL
        action = turn if has_bid else Action.SELL
        request = SignalRequest(
            signal_id=f"{update.symbol}/{n}",
            strategy="options",
            account=self.account,
            symbol=update.symbol,
            action=action,
            quantity=Decimal(2 if action is Action.BUY else 1),
            body={"symbol": update.symbol, "n": n},
            generated_at=update.as_of,
        )
        outcome = submit_signal(request, client=self.client, now=datetime.now(UTC))
        self.sent[outcome.status] += 1
        if outcome.status == 422:
            codes = {c["code"] for c in Signal.objects.latest("pk").decision.checks if c["code"]}
            self.refused[" ".join(sorted(codes))] += 1
        if not has_bid:
            self.empty[outcome.status] += 1
        if outcome.order_id:
            submission.transmit(outcome.order_id, now=datetime.now(UTC))


@pytest.fixture
def replay(trader, valkey):
    """Replay a file: `replay(SPX, cut_off=time(16))` -> (account, trader)."""
    like = Instrument.objects.create(
        symbol="SPXOPTION",
        kind="EQUITY",
        currency="USD",
        multiplier=100,
        tick_size=Decimal("0.05"),
        lot_size=1,
        is_tradable=False,
    )
    for metric in ("max_spread", "price_collar"):  # a spread of 0.05 to 0.10 is no error here
        RiskLimit.objects.create(metric=metric, value=20_000)

    def go(path, *, cut_off=time(16)):
        recorded = RecordedChain(path, suffix=replay_account.CHAIN_SUFFIX)
        arrivals = list(recorded.arrivals([]))
        options = replay_account.chain_for(
            recorded.contracts, like=like, zone=recorded.zone, cut_off=cut_off
        )
        connection = replay_account.account_for(None, options[0], zone=recorded.zone, settings={})
        replay_account.begin(connection, options, first=arrivals[0].at)
        client = replay_account.key_for(connection)[0].client
        strategy = Trader(client, connection.name)
        running = Replay(
            connection, options, holder="test", strategy=strategy, pace=AsFastAsItGoes()
        )
        try:
            assert len(list(running.play(arrivals))) == len(arrivals)
        finally:
            running.close()
        return connection, strategy

    return go


def fills(connection):
    found = Fill.objects.filter(connection=connection).order_by("traded_at", "pk")
    return list(found.values_list("instrument__symbol", "side", "quantity", "price", "traded_at"))


@pytest.mark.parametrize(("path", "signals", "empty"), [(SPX, 84, 14), (SPXW, 112, 0)])
def test_a_chain_replayed_twice_gives_the_same_fills_and_everything_agrees(
    replay, path, signals, empty
):
    first, strategy = replay(path)
    second, _ = replay(path)

    assert strategy.sent.total() == signals
    assert strategy.empty.total() == empty
    assert len(fills(first)) > signals / 2
    assert fills(first) == fills(second)
    assert list(agreement.differences()) == []
    nothing_without_a_bid_was_sold_at_market(first, strategy)
    greeks_of_the_api_are_quantlibs(first, strategy)


def nothing_without_a_bid_was_sold_at_market(connection, strategy):
    assert set(strategy.empty) <= {422}
    without_bid = Signal.objects.filter(connection=connection, decision__inputs__bid=None)
    assert without_bid.count() == strategy.empty.total()
    assert not Order.objects.filter(signal__in=without_bid).exists()
    for checks in without_bid.values_list("decision__checks", flat=True):
        assert "ltp_missing" in {check["code"] for check in checks}


def greeks_of_the_api_are_quantlibs(connection, strategy):
    _, secret = issue_key(strategy.client, scopes=[KeyScope.READ.value])
    api = Client(headers={"authorization": f"Api-Key {secret}"})

    told = api.get("/api/v1/greeks", {"account": connection.name}).json()

    held = {p.pk: p for p in Position.objects.filter(connection=connection).exclude(quantity=0)}
    assert {row["position"] for row in told["positions"]} == set(held)
    totals = dict.fromkeys(("delta", "gamma", "vega", "theta", "rho"), 0.0)
    valued = [row for row in told["positions"] if row["problem"] is None]
    assert len(valued) >= 4
    for row in valued:
        option = OptionGreeks.objects.select_related("instrument").get(
            instrument__symbol=row["symbol"]
        )
        judge = quantlib.greeks(
            forward=option.forward,
            strike=float(option.instrument.strike),
            years=option.years,
            volatility=row["volatility"],
            rate=option.rate,
            sign=1.0 if option.instrument.right == "CE" else -1.0,
        )
        for name in totals:
            expected = float(row["quantity"]) * 100 * getattr(judge, name)
            assert row[name] == pytest.approx(expected, rel=1e-9, abs=1e-12), (row, name)
            totals[name] += expected
    (total,) = told["total"]
    for name, expected in totals.items():
        assert total[name] == pytest.approx(expected, rel=1e-9)
