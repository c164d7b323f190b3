"""The portfolio's Greeks: per position and summed, and what cannot be valued is listed."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.test import Client

from brokers.models import ContractTerms, Instrument, Quote
from orders.market.loop import MarketLoop
from portfolio import greeks, revaluation
from portfolio.models import InterestRate, OptionGreeks, Position
from tests import quantlib
from tests.clock import now
from tests.orders.groups import option_market
from tests.orders.groups.option_market import LOT, symbol

GREEKS = ("delta", "gamma", "vega", "theta", "rho")


@pytest.fixture
def hold(account, trader_key, valkey):
    """Hold instruments: `hold({symbol: quantity}, strategy="alpha")`."""
    option_market.make()

    def take(held, strategy="alpha"):
        for name, quantity in held.items():
            Position.objects.create(
                connection=account,
                strategy=strategy,
                instrument=Instrument.objects.get(symbol=name),
                quantity=quantity,
                updated_at=now(),
            )

    return take


@pytest.fixture
def told(trader_key):
    """Return what the API says of Greeks."""
    api = Client(headers={"authorization": trader_key})
    return lambda **asked: api.get("/api/v1/greeks", asked).json()


@pytest.fixture
def pnl(trader_key):
    """Return what the API says of PnL."""
    api = Client(headers={"authorization": trader_key})
    return lambda: api.get("/api/v1/pnl").json()


def test_positions_options_and_all_else_add_up(hold, told, quote):
    call, put = symbol(100, "CE"), symbol(95, "PE")
    hold({call: 20, put: -10})
    hold({call: 10, "AAPL": 7}, strategy="beta")
    quote("AAPL", bid=99, ask=101)

    found = told()

    unit = {row.instrument.symbol: row for row in OptionGreeks.objects.select_related("instrument")}
    for name in GREEKS:
        options = 30 * getattr(unit[call], name) - 10 * getattr(unit[put], name)
        shares = 7 if name == "delta" else 0
        (total,) = found["total"]
        assert total[name] == pytest.approx(options + shares)
        by = {row["underlying"]: row[name] for row in found["by_underlying"]}
        assert by == {"IDX": pytest.approx(options), "AAPL": shares}
        by = {row["strategy"]: row[name] for row in found["by_strategy"]}
        assert sum(by.values()) == pytest.approx(total[name])
    assert {row["expiry"] for row in found["by_expiry"]} == {
        None,
        option_market.expiry().isoformat(),
    }
    assert all(row["quote_age_seconds"] < 10 for row in found["positions"])
    assert {row["volatility_source"] for row in found["positions"]} == {"quote", None}
    assert found["unvalued"] == []
    assert [row["underlying"] for row in told(underlying="AAPL")["positions"]] == ["AAPL"]


def test_greeks_follow_the_rate_and_equal_quantlibs(hold, told):
    InterestRate.objects.create(currency="USD", rate=0.07)
    option_market.quote(102.0)
    hold({symbol(105, "CE"): -10})

    (row,) = told()["positions"]

    option = OptionGreeks.objects.get(instrument__symbol=symbol(105, "CE"))
    assert option.rate == 0.07
    assert option.forward_source == "parity"
    judge = quantlib.greeks(
        forward=option.forward,
        strike=105.0,
        years=option.years,
        volatility=option.volatility,
        rate=0.07,
        sign=1.0,
    )
    assert {name: row[name] for name in GREEKS} == {
        name: pytest.approx(-10 * getattr(judge, name), rel=1e-9) for name in GREEKS
    }


def test_a_lot_is_what_is_in_force_and_greeks_and_pnl_scale_with_it(hold, told, pnl):
    """One lot of 75 until the new terms, one of 65 from then on."""
    option = Instrument.objects.get(symbol=symbol(100, "CE"))
    Instrument.objects.filter(pk=option.pk).update(lot_size=75)
    ContractTerms.objects.create(
        instrument=option, effective_from=now() + timedelta(days=1), lot_size=65
    )
    option.refresh_from_db()
    lots = [option.terms_at(now() + timedelta(days=days)).lot_size for days in (0, 2)]
    hold({option.symbol: lots[0]}, strategy="before")
    hold({option.symbol: lots[1]}, strategy="after")

    by = {row["strategy"]: row for row in told()["by_strategy"]}
    made = {row["strategy"]: row for row in pnl()["by_strategy"]}

    assert lots == [75, 65]
    for name in GREEKS:
        assert by["before"][name] / by["after"][name] == pytest.approx(75 / 65)
    before, after = (Decimal(made[name]["unrealized_pnl"]) for name in ("before", "after"))
    assert before / 75 == after / 65 > 0


def test_what_cannot_be_valued_is_listed_and_in_no_sum(hold, told):
    hold({symbol(100, "CE"): 10, symbol(95, "PE"): 10})
    Quote.objects.filter(instrument__underlying="IDX").update(bid=None)
    Quote.objects.filter(instrument__symbol="IDX").update(last=None)
    revaluation.revalue({"IDX"}, now=now())

    found = told()

    assert {row["problem"] for row in found["unvalued"]} == {revaluation.NO_FORWARD}
    assert len(found["unvalued"]) == 2
    assert found["total"] == []
    assert all(row["delta"] is None for row in found["positions"])


def test_an_option_that_was_never_looked_at_is_not_dropped(hold, told):
    hold({symbol(100, "CE"): 10})
    OptionGreeks.objects.all().delete()

    (row,) = told()["unvalued"]

    assert row["problem"] == greeks.NOT_VALUED


@pytest.mark.parametrize(
    ("_case", "seconds", "strike", "right", "delta"),
    [
        ("at its expiry, in the money", 0, 95, "CE", 1),
        ("after it, in the money", 3600, 105, "PE", -1),
        ("after it, out of the money", 3600, 105, "CE", 0),
        ("at its expiry, out of the money", 0, 95, "PE", 0),
    ],
)
@pytest.mark.parametrize("revalued", [True, False])
def test_an_expired_option_reacts_as_its_intrinsic_value(
    hold, told, _case, seconds, strike, right, delta, revalued
):
    """Whether or not anything was quoted after its expiry."""
    InterestRate.objects.create(currency="USD", rate=0.07)
    Instrument.objects.update(multiplier=3)
    ends = now() - timedelta(seconds=seconds)
    Instrument.objects.filter(kind="OPTION").update(cut_off_at=ends)
    hold({symbol(strike, right): LOT})
    OptionGreeks.objects.all().delete()
    revaluation.revalue({"IDX"}, now=ends + timedelta(seconds=1 if revalued else -30))

    (row,) = told()["positions"]

    assert row["problem"] is None
    expected = {"delta": 3 * LOT * delta, "gamma": 0, "vega": 0, "theta": 0, "rho": 0}
    assert {name: float(row[name]) for name in GREEKS} == expected
    if revalued:
        assert row["volatility_source"] == revaluation.EXPIRED
        assert OptionGreeks.objects.get(instrument__symbol=symbol(strike, right)).price == (
            abs(delta) * 5
        )


def test_a_second_before_its_expiry_an_option_still_decays(hold, told):
    InterestRate.objects.create(currency="USD", rate=0.07)
    ends = now() + timedelta(minutes=5)
    Instrument.objects.filter(kind="OPTION").update(cut_off_at=ends)
    hold({symbol(95, "CE"): LOT})
    revaluation.revalue({"IDX"}, now=now())

    (row,) = told()["positions"]

    assert (row["problem"], row["volatility_source"]) == (None, "quote")
    assert float(row["theta"]) < 0


def test_an_expired_option_without_a_forward_says_so(hold, told):
    Quote.objects.all().update(bid=None, ask=None, last=None)
    Instrument.objects.filter(kind="OPTION").update(cut_off_at=now() - timedelta(seconds=1))
    hold({symbol(100, "CE"): LOT})
    revaluation.revalue({"IDX"}, now=now())

    (row,) = told()["unvalued"]

    assert row["problem"] == revaluation.EXPIRED


def test_the_market_loop_revalues_what_moves(hold):
    class Feed:
        def step(self, at):
            return []

    OptionGreeks.objects.all().delete()
    loop = MarketLoop(Feed(), holder="test")
    assert loop.step()  # it takes the lease, and begins with nothing
    loop._greeks.see(["IDX"])
    loop._greeks._kept_at = 0.0

    assert loop.step()

    assert OptionGreeks.objects.filter(problem="").count() == 10


def test_a_chain_is_told_strike_by_strike(hold, trader_key):
    api = Client(headers={"authorization": trader_key})

    chain = api.get("/api/v1/option-chain/IDX").json()

    assert [row["strike"] for row in chain["strikes"]] == ["90", "95", "100", "105", "110"]
    assert chain["strikes"][2]["call"]["greeks"]["delta"] == pytest.approx(0.52, abs=0.01)
    assert Decimal(chain["strikes"][2]["put"]["quote"]["bid"]) > 0
    assert api.get("/api/v1/option-chain/AAPL").status_code == 404
    assert api.get("/api/v1/option-chain/IDX", {"expiry": "tomorrow"}).status_code == 400
