"""Symbols of derivatives, read and spelt."""

from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brokers.instruments.symbols import NoSuchDate, Right, Symbol, one_spelling, parse

CALL, PUT = Right.CALL, Right.PUT


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("NIFTY28JAN2522500CE", ("NIFTY", date(2025, 1, 28), Decimal(22500), CALL)),
        ("BAJAJ-AUTO30JAN259000PE", ("BAJAJ-AUTO", date(2025, 1, 30), Decimal(9000), PUT)),
        ("M&M27FEB252900CE", ("M&M", date(2025, 2, 27), Decimal(2900), CALL)),
        ("NIFTYNXT5028MAR2466000PE", ("NIFTYNXT50", date(2024, 3, 28), Decimal(66000), PUT)),
        ("360ONE27FEB251100CE", ("360ONE", date(2025, 2, 27), Decimal(1100), CALL)),
        ("VEDL25APR24292.5CE", ("VEDL", date(2024, 4, 25), Decimal("292.5"), CALL)),
        ("726GS203225APR2497PE", ("726GS2032", date(2024, 4, 25), Decimal(97), PUT)),
        ("USDINR19APR2482CE", ("USDINR", date(2024, 4, 19), Decimal(82), CALL)),
        ("BANKNIFTY24APR24FUT", ("BANKNIFTY", date(2024, 4, 24), None, None)),
    ],
)
def test_a_derivative_is_read_from_the_right(text, expected):
    assert parse(text) == Symbol(*expected)
    assert str(parse(text)) == text


@pytest.mark.parametrize(
    ("_case", "text"),
    [
        ("an equity", "RELIANCE"),
        ("one with a sign", "M&M"),
        ("one with digits", "360ONE"),
        ("an index", "NIFTYNXT50"),
        ("one that ends like a call", "PRICE"),
        ("a pair", "EURUSD"),
        ("a month that does not", "NIFTY28JAM2522500CE"),
        ("no strike", "NIFTY28JAN25CE"),
        ("a strike of nothing", "NIFTY28JAN250CE"),
        ("a strike that begins with nothing", "NIFTY28JAN250100CE"),
        ("no underlying", "28JAN2522500CE"),
        ("small letters", "nifty28jan2522500ce"),
    ],
)
def test_anything_else_is_a_plain_symbol(_case, text):
    assert parse(text) == Symbol(text)
    assert str(parse(text)) == text


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("NIFTY30FEB2522500CE", "30FEB25"),
        ("NIFTY31NOV2624000CE", "31NOV26"),
        ("NIFTY29FEB25FUT", "29FEB25"),
        ("NIFTY00JAN2524000.0PE", "00JAN25"),
    ],
)
def test_a_date_that_does_not_exist_is_named(text, day):
    with pytest.raises(NoSuchDate, match=f"{day} in .* is no date"):
        parse(text)
    assert one_spelling(text) == text


@pytest.mark.parametrize("text", ["NIFTY", "AAPL.R", "BRK.B", "24000.0", "X.0CE"])
def test_a_plain_name_is_spelt_as_it_is(text):
    assert one_spelling(text) == text


UNDERLYINGS = st.from_regex(r"[A-Z0-9][A-Z0-9&-]{0,14}", fullmatch=True)
DAYS = st.dates(date(2000, 1, 1), date(2099, 12, 31))
STRIKES = st.decimals("0.05", 10**6, places=2)


@given(UNDERLYINGS, DAYS, STRIKES, st.sampled_from(Right))
def test_every_option_is_read_as_it_was_spelt(underlying, expiry, strike, right):
    option = Symbol(underlying, expiry, strike, right)

    assert parse(str(option)) == option


@given(UNDERLYINGS, DAYS)
def test_every_future_is_read_as_it_was_spelt(underlying, expiry):
    future = Symbol(underlying, expiry)

    assert parse(str(future)) == future


@given(UNDERLYINGS, DAYS, STRIKES, st.sampled_from(Right), st.integers(0, 4))
def test_every_spelling_of_an_option_is_one(underlying, expiry, strike, right, zeros):
    option = str(Symbol(underlying, expiry, strike, right))
    point = "" if "." in option or not zeros else "."
    other = f"{option[:-2]}{point}{'0' * zeros}{option[-2:]}" if point or "." in option else option

    assert one_spelling(other) == one_spelling(option) == option
