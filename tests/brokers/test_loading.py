"""Loading instruments and sessions: what changes is said, and it is all or nothing."""

import io
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from django.core.management import CommandError, call_command

from brokers.models import ContractTerms, ExchangeSession, Instrument

pytestmark = pytest.mark.django_db(transaction=True)

HEADER = "symbol,kind,exchange,currency,tick_size,lot_size,freeze_quantity,effective_from"
NIFTY = "NIFTY28JAN2522500CE,,NFO,INR,0.05,75,1800,"


@pytest.fixture
def load(tmp_path):
    """Load these lines and return what the command said."""

    def run(*lines, header=HEADER, preview=False):
        (tmp_path / "master.csv").write_text("\n".join((header, *lines)) + "\n")
        said = io.StringIO()
        call_command("load_instruments", tmp_path / "master.csv", preview=preview, stdout=said)
        return said.getvalue()

    return run


def test_a_derivative_is_what_its_symbol_says(load):
    load(NIFTY, "NIFTY28JAN25FUT,,NFO,INR,0.05,75,1800,", "M&M,EQUITY,NSE,INR,0.05,1,,")

    option = Instrument.objects.get(symbol="NIFTY28JAN2522500CE")
    assert (option.kind, option.underlying, option.right) == ("OPTION", "NIFTY", "CE")
    assert (option.strike, option.expiry_date) == (Decimal(22500), date(2025, 1, 28))
    assert Instrument.objects.get(symbol="NIFTY28JAN25FUT").kind == "FUTURE"
    assert Instrument.objects.get(symbol="M&M").underlying == ""


def test_terms_from_a_date_on_are_in_force_from_midnight_at_the_exchange(load):
    load(NIFTY, "NIFTY28JAN2522500CE,,,,,65,1950,2025-10-28")

    option = Instrument.objects.get()
    assert ContractTerms.objects.get().effective_from == datetime(2025, 10, 27, 18, 30, tzinfo=UTC)
    lots = [option.terms_at(datetime(2025, 10, 27, 18, m, tzinfo=UTC)).lot_size for m in (29, 30)]
    assert lots == [75, 65]


def test_a_preview_says_what_would_change_and_changes_nothing(load):
    load(NIFTY)

    said = load(NIFTY.replace(",75,", ",65,"), preview=True)

    assert "changed  NIFTY28JAN2522500CE: lot_size 75 -> 65" in said
    assert Instrument.objects.get().lot_size == 75


def test_loading_again_changes_nothing(load):
    lines = [NIFTY, "NIFTY28JAN2522500CE,,,,,65,1950,2025-10-28"]
    load(*lines)

    assert "2 lines; 0 rows changed" in load(*lines)


@pytest.mark.parametrize(
    ("_case", "line", "said"),
    [
        ("no number", NIFTY.replace("75", "x"), "line 3: lot_size: 'x' is not readable"),
        ("no lot", NIFTY.replace(",75,", ",,"), "line 3: lot_size: missing"),
        ("a kind there is not", "X,BOND,NSE,INR,1,1,,", "line 3: kind: 'BOND' is not readable"),
        ("new without a kind", "X,,NSE,INR,1,1,,", "line 3: kind: a new instrument needs it"),
        ("an option that is no option", "X,OPTION,NSE,INR,1,1,,", "line 3: underlying: a OPTION"),
        ("dated, but unknown", "X,,,,,1,,2026-01-01", "line 3: symbol: X is not known"),
        ("not a dated term", "M&M,,,INR,,1,,2026-01-01", "line 3: currency: is not dated"),
        ("too few values", "X,EQUITY", "line 3: not as many values as columns"),
    ],
)
def test_nothing_is_loaded_while_a_line_is_wrong(load, _case, line, said):
    with pytest.raises(CommandError, match="nothing was loaded") as raised:
        load("M&M,EQUITY,NSE,INR,0.05,1,,", line)

    assert said in str(raised.value)
    assert not Instrument.objects.exists()


def test_a_symbol_and_its_columns_must_agree(load):
    header = "symbol,currency,tick_size,lot_size,strike"

    with pytest.raises(CommandError, match="strike: 22000 is not the 22500 that the symbol says"):
        load("NIFTY28JAN2522500CE,INR,0.05,75,22000", header=header)


def test_sessions_follow_the_calendar_but_for_what_was_edited_by_hand():
    span = {"first": date(2026, 11, 16), "last": date(2026, 11, 20)}
    call_command("load_sessions", "NSE", **span, stdout=io.StringIO())
    monday, tuesday, *_ = ExchangeSession.objects.order_by("opens_at")
    late = monday.closes_at + timedelta(hours=1)
    ExchangeSession.objects.filter(pk=monday.pk).update(closes_at=late, edited_by_hand=True)
    ExchangeSession.objects.filter(pk=tuesday.pk).update(closes_at=late + timedelta(days=1))
    said = io.StringIO()

    call_command("load_sessions", "NSE", **span, stdout=said)

    assert said.getvalue() == "0 new, 1 changed, 0 removed\n"
    assert ExchangeSession.objects.get(pk=monday.pk).closes_at == late
    assert ExchangeSession.objects.get(pk=tuesday.pk).closes_at == tuesday.closes_at
    assert ExchangeSession.objects.count() == 5


def test_an_exchange_without_a_calendar_cannot_be_loaded():
    with pytest.raises(CommandError, match="CRYPTO"):
        call_command("load_sessions", "CRYPTO")
