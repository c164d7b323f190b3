"""Valuing a chain: which forward, which volatility, and what is said where there is neither."""

import math

import numpy as np
import pytest

from portfolio import aggregation, black76, valuation
from portfolio.valuation import ForwardSource, VolatilitySource

RATE, YEARS, FORWARD = 0.05, 0.25, 101.0
STRIKES = (90.0, 95.0, 100.0, 105.0, 110.0)
NAN = math.nan


def smile(strike):
    return 0.2 + 0.002 * abs(strike - 100)


def chain(*, gone=(), forward=FORWARD):
    """Return contracts, calls then puts, and mids from a known forward; `gone` have no quote."""
    strikes, signs = [*STRIKES, *STRIKES], [1.0] * 5 + [-1.0] * 5
    contracts = valuation.contracts(strikes, signs, [0] * 10)
    price = black76.greeks(
        np.full(10, forward),
        contracts.strike,
        years=np.full(10, YEARS),
        volatility=np.array([smile(k) for k in strikes]),
        rate=RATE,
        sign=contracts.sign,
    ).price
    mid = np.array([NAN if i in gone else value for i, value in enumerate(price)])
    return contracts, mid


def value(contracts, mid, *, future=NAN, spot=NAN, years=YEARS):
    ones = np.ones(len(contracts.by_expiry))
    with np.errstate(invalid="ignore"):
        return valuation.value(
            contracts,
            mid=mid,
            future=future * ones,
            spot=spot * ones,
            years=years * ones,
            rate=RATE * ones,
        )


@pytest.mark.parametrize(
    ("_case", "given", "gone", "source", "forward"),
    [
        ("a future is the forward", {"future": 102.0}, (), "FUTURE", 102.0),
        ("before parity and spot", {"future": 102.0, "spot": 1.0}, (), "FUTURE", 102.0),
        ("else parity, before spot", {"spot": 1.0}, (), "PARITY", FORWARD),
        (
            "else spot and rate",
            {"spot": 100.0},
            range(5),
            "SPOT",
            100 * math.exp(RATE * YEARS),
        ),
        ("else nothing", {}, range(5), "NONE", NAN),
    ],
)
def test_where_the_forward_comes_from(_case, given, gone, source, forward):
    found = value(*chain(gone=gone), **given)

    assert found.forward_source == [ForwardSource[source]]
    assert found.forward == pytest.approx([forward], rel=1e-12, nan_ok=True)


def test_parity_is_taken_where_call_and_put_are_nearest():
    contracts, mid = chain()
    mid[4] += 5  # a wrong quote far from the money

    found = value(contracts, mid)

    assert found.forward == pytest.approx([FORWARD], rel=1e-12)
    assert contracts.strike[found.forward_at[0]] == 100.0


@pytest.mark.parametrize(
    ("_case", "gone", "source", "volatility"),
    [
        ("its own quote", (), "QUOTE", smile(90)),
        ("the other right's", (0,), "OTHER_RIGHT", smile(90)),
        ("the smile, flat beyond its end", (0, 5), "SMILE", smile(95)),
        ("the smile", (0, 5, 1, 6), "SMILE", smile(100)),
    ],
)
def test_where_a_volatility_comes_from(_case, gone, source, volatility):
    found = value(*chain(gone=gone), future=FORWARD)

    assert found.volatility_source[0] == VolatilitySource[source]
    assert found.volatility[0] == pytest.approx(volatility, rel=1e-9)


def test_the_smile_is_linear_between_strikes():
    found = value(*chain(gone=(1, 6)), future=FORWARD)

    assert found.volatility[1] == pytest.approx((smile(90) + smile(100)) / 2, rel=1e-9)


def test_what_has_no_volatility_has_no_greeks():
    found = value(*chain(gone=range(10)), future=FORWARD)

    assert np.isnan(found.volatility).all()
    assert (found.volatility_source == VolatilitySource.NONE).all()


def test_a_price_below_its_intrinsic_value_takes_the_other_rights_volatility():
    contracts, mid = chain()
    mid[0] = 5.0  # a call of 90 at 5 with the forward at 101

    found = value(contracts, mid, future=FORWARD)

    assert found.volatility_source[0] == VolatilitySource.OTHER_RIGHT
    assert found.volatility[0] == pytest.approx(smile(90), rel=1e-9)


def test_expired_options_have_no_volatility_and_do_not_disturb_others():
    strikes, signs = [100.0] * 4, [1.0, -1.0] * 2
    contracts = valuation.contracts(strikes, signs, [0, 0, 1, 1])
    both = valuation.value(
        contracts,
        mid=np.array([3.0, 2.0, 5.0, 4.0]),
        future=np.array([101.0, 101.0]),
        spot=np.array([NAN, NAN]),
        years=np.array([0.0, YEARS]),
        rate=np.zeros(2),
    )

    assert np.isnan(both.volatility[:2]).all()
    assert not np.isnan(both.volatility[2:]).any()
    assert both.greeks.price[:2].tolist() == [1.0, 0.0]
    assert both.greeks.delta[:2].tolist() == [1.0, 0.0]


def test_sums_leave_out_what_is_not_known_and_keep_groups_in_order():
    greeks = np.array([[1.0, 2.0], [NAN, NAN], [10.0, 20.0]])
    grouping = aggregation.group(["b", "a", "b"])

    found = aggregation.sums(greeks, {"by_name": grouping})

    assert grouping.names == ("b", "a")
    assert found["by_name"].tolist() == [[11.0, 22.0], [0.0, 0.0]]
