"""Black-76 against QuantLib, against itself, and at its edges."""

import math
from datetime import date

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from portfolio.black76 import DAYS, Greek, greeks, greeks_of
from tests import quantlib

CONTRACTS = 50_000
DRAW = np.random.default_rng(76)
EDGES = {"forward": 100.0, "strike": 100.0, "years": 0.5, "volatility": 0.2, "rate": 0.05}
PRICES = st.floats(1.0, 10_000.0)
CASES = {
    "forward": PRICES,
    "strike": PRICES,
    "years": st.floats(1 / 3650, 5.0),
    "volatility": st.floats(0.01, 3.0),
    "rate": st.floats(-0.05, 0.2),
}


def contracts(count):
    """Return random contracts."""
    return {
        "forward": DRAW.uniform(50, 150, count),
        "strike": DRAW.uniform(50, 150, count),
        "years": DRAW.uniform(0.002, 3, count),
        "volatility": DRAW.uniform(0.05, 1.5, count),
        "rate": DRAW.uniform(-0.02, 0.1, count),
        "sign": DRAW.choice([-1.0, 1.0], count),
    }


def each(made):
    """Return the contracts one by one."""
    for values in zip(*(column.tolist() for column in made.values()), strict=True):
        yield dict(zip(made, values, strict=True))


def test_fifty_thousand_contracts_agree_with_quantlib_to_eleven_places():
    made = contracts(CONTRACTS)
    ours = np.array(greeks(**made))
    theirs = np.array([quantlib.greeks(**one) for one in each(made)]).T

    assert np.abs(ours - theirs).max(axis=1).max() < 1e-11


def test_one_contract_is_valued_as_many_are():
    made = contracts(2_000)
    many = np.array(greeks(**made)).T
    one = np.array([greeks_of(**contract) for contract in each(made)])

    assert np.abs(many - one).max() < 1e-12


def of(sign=1.0, **changed):
    values = EDGES | changed
    one = greeks_of(**values, sign=sign)
    arrays = {name: np.array([value]) for name, value in values.items()}
    many = Greek(*(float(v[0]) for v in greeks(**arrays, sign=np.array([sign]))))
    assert many == pytest.approx(one, abs=1e-13), changed
    return one


@pytest.mark.parametrize("without", [{"years": 0.0}, {"volatility": 0.0}])
@pytest.mark.parametrize(
    ("sign", "strike", "value", "delta"),
    [(1, 90, 10, 1), (1, 110, 0, 0), (-1, 110, 10, -1), (-1, 90, 0, 0), (1, 100, 0, 0.5)],
)
def test_without_time_or_volatility_an_option_is_its_intrinsic_value(
    without, sign, strike, value, delta
):
    found = of(float(sign), strike=float(strike), rate=0.0, **without)

    assert (found.price, found.delta) == pytest.approx((value, delta), abs=1e-12)
    assert (found.gamma, found.vega, found.theta, found.rho) == pytest.approx(
        (0, 0, 0, -value * without.get("years", 0.5) / 100), abs=1e-12
    )


@pytest.mark.parametrize("years", [0.0, -1e-9, -2.0])
@pytest.mark.parametrize("volatility", [0.0, 0.4])
@pytest.mark.parametrize("rate", [0.0, 0.07, -0.02])
@pytest.mark.parametrize(
    ("sign", "strike", "value", "delta"),
    [(1, 90, 10, 1), (1, 110, 0, 0), (-1, 110, 10, -1), (-1, 90, 0, 0), (1, 100, 0, 0.5)],
)
def test_from_its_expiry_on_an_option_is_its_intrinsic_value_and_nothing_decays(
    years, volatility, rate, sign, strike, value, delta
):
    found = of(float(sign), strike=float(strike), years=years, volatility=volatility, rate=rate)

    assert found == (value, delta, 0, 0, 0, 0)
    assert "-0.0" not in str(found[2:])


@pytest.mark.parametrize(("sign", "strike"), [(1, 90), (1, 110), (-1, 110), (-1, 90)])
def test_just_before_its_expiry_it_is_nearly_that(sign, strike):
    second = 1 / (365 * 86_400)
    before = of(float(sign), strike=float(strike), years=second, rate=0.07)
    after = of(float(sign), strike=float(strike), years=0.0, rate=0.07)

    assert before[:4] == pytest.approx(after[:4], abs=1e-6)
    assert before.theta == pytest.approx(0.07 * after.price / DAYS, abs=1e-9)
    assert before.rho == pytest.approx(0, abs=1e-8)


@pytest.mark.parametrize("strike", [1e-8, 1e8])
def test_strikes_far_away_give_no_nan(strike):
    for sign in (1.0, -1.0):
        assert all(math.isfinite(value) for value in of(sign, strike=strike))


@given(**CASES)
def test_put_call_parity(forward, strike, **rest):
    call, put = (greeks_of(forward, strike, **rest, sign=sign) for sign in (1.0, -1.0))
    discount = math.exp(-rest["rate"] * rest["years"])

    assert call.price - put.price == pytest.approx(
        discount * (forward - strike), abs=1e-11 * (forward + strike)
    )
    assert call.delta - put.delta == pytest.approx(discount, abs=1e-12)
    assert (call.gamma, call.vega) == (put.gamma, put.vega)


@given(**CASES, sign=st.sampled_from([1.0, -1.0]))
def test_bounds(forward, strike, sign, **rest):
    found = greeks_of(forward, strike, sign=sign, **rest)
    discount = math.exp(-rest["rate"] * rest["years"])
    slack = 1e-11 * (forward + strike)

    assert found.price >= discount * max(sign * (forward - strike), 0.0) - slack
    assert found.price <= discount * (forward if sign > 0 else strike) + slack
    assert 0 <= sign * found.delta <= discount
    assert found.gamma >= 0
    assert found.vega >= 0


@given(**CASES, sign=st.sampled_from([1.0, -1.0]))
def test_worth_grows_with_volatility_and_towards_the_money(**values):
    def price(name, factor):
        return greeks_of(**(values | {name: values[name] * factor})).price

    worth, sign = price("forward", 1), values["sign"]
    slack = 1e-11 * (values["forward"] + values["strike"])
    assert price("volatility", 1.1) >= worth - slack
    assert price("forward", 1 + 0.1 * sign) >= worth - slack
    assert price("strike", 1 - 0.1 * sign) >= worth - slack


@given(**CASES, sign=st.sampled_from([1.0, -1.0]))
def test_greeks_are_the_slopes_of_the_price(**values):
    def slope(name, width):
        up, down = ({name: values[name] + step} for step in (width, -width))
        return (greeks_of(**(values | up)).price - greeks_of(**(values | down)).price) / (2 * width)

    found = greeks_of(**values)
    scale = values["forward"] + values["strike"]
    assert found.delta == pytest.approx(slope("forward", 1e-4 * values["forward"]), abs=2e-4)
    assert found.vega * 100 == pytest.approx(
        slope("volatility", 1e-4 * values["volatility"]), abs=1e-4 * scale
    )
    assert found.rho * 100 == pytest.approx(slope("rate", 1e-5), abs=1e-5 * scale)
    assert found.theta * DAYS == pytest.approx(
        -slope("years", 1e-3 * values["years"]), abs=2e-3 * scale
    )


def test_a_day_is_a_three_hundred_and_sixty_fifth_of_a_year():
    assert (date(2026, 1, 1) - date(2025, 1, 1)).days == DAYS
