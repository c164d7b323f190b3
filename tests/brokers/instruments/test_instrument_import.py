"""Loading instruments and sessions: what changes is said, and it is all or nothing."""

import io
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from importlib import import_module

import pytest
from django.apps import apps
from django.core.management import CommandError, call_command
from django.db import connection

from brokers.models import ContractTerms, ExchangeSession, Instrument, PaperHolding
from execution_site.floor.events import Event
from portfolio.models import Position

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


#: Files of every kind, beside one that a held and a free instrument are in: header and lines.
FILES = [
    ("nothing new", HEADER, ["FREE,EQUITY,NSE,INR,0.05,1,,"]),
    ("new ones", HEADER, ["NEW,EQUITY,NSE,INR,0.05,1,,", NIFTY]),
    ("changes", HEADER, ["FREE,EQUITY,NSE,USD,0.1,5,10,"]),
    ("a dated one", HEADER, ["HELD,,,,,5,,2099-01-01", "FREE,,,,,5,,2020-01-01"]),
    ("a new one and its dated terms", HEADER, [NIFTY, NIFTY[:19] + ",,,,,65,,2026-01-01"]),
    ("dated terms alone of an unknown one", HEADER, ["NEW,,,,,65,,2026-01-01"]),
    ("what is held", HEADER, ["HELD,,,USD,,1,,", "HELD2,EQUITY,NSE,INR,1,1,,"]),
    ("what is held, and dated", HEADER, ["HELD,,,,,5,,"]),
    ("no lot at all", HEADER, ["FREE,,,,,0,,"]),
    ("below nothing", HEADER, ["NEW,EQUITY,NSE,INR,-1,1,,"]),
    ("digits too many", HEADER, ["FREE,,,,,1e27,,"]),
    ("digits without end", HEADER, ["FREE,,,,,1e999999,,"]),
    ("a name too long", HEADER, [f"{'X' * 65},EQUITY,NSE,INR,1,1,,"]),
    ("one line twice", HEADER, ["FREE,,,,,1,,", "FREE,,,,,2,,"]),
    ("an option that is a share", "symbol,kind,lot_size", ["FREE,OPTION,1"]),
    ("a strike for a share", "symbol,strike,lot_size", ["FREE,5,1"]),
    ("a day that does not exist", HEADER, [NIFTY.replace("28JAN25", "31NOV26")]),
    ("nor this one", HEADER, ["FREE,,,,,1,,2026-02-30"]),
    ("of another age", HEADER, ["FREE,,,,,1,,0001-01-01"]),
    ("several at once", HEADER, ["HELD,,,USD,,1,,", "NEW,,,,,x,,", "FREE,,,,,0,,"]),
]


@pytest.mark.parametrize(("_case", "header", "lines"), FILES)
def test_a_preview_says_what_the_load_says(load, account, _case, header, lines):
    load("HELD,EQUITY,NSE,INR,0.05,1,,", "FREE,EQUITY,NSE,INR,0.05,1,,")
    held = Instrument.objects.get(symbol="HELD")
    Position.objects.create(
        connection=account,
        strategy="alpha",
        instrument=held,
        quantity=75,
        updated_at=datetime.now(UTC),
    )

    def said(*, preview):
        try:
            return load(*lines, header=header, preview=preview)
        except CommandError as e:
            return str(e)

    before = stored()
    first, second = said(preview=True), said(preview=True)
    assert stored() == before
    loaded = said(preview=False)

    assert first == second == loaded
    changes = "0 rows changed" not in loaded and "nothing was loaded" not in loaded
    assert (stored() != before) == changes


def stored():
    """Return every row of the master, and how many changes are in the audit log."""
    rows = [*Instrument.objects.order_by("id").values(), *ContractTerms.objects.values()]
    return rows, Event.objects.filter(type="audit").count()


def test_what_is_held_is_named_with_what_holds_it(load, account):
    load("HELD,EQUITY,NSE,INR,0.05,1,,")
    Position.objects.create(
        connection=account,
        strategy="alpha",
        instrument=Instrument.objects.get(symbol="HELD"),
        quantity=75,
        updated_at=datetime.now(UTC),
    )

    with pytest.raises(CommandError) as raised:
        load("HELD,,,USD,,5,,")

    by = "held by position paper/alpha of 75"
    assert f"line 2: currency: INR -> USD cannot change, {by}" in str(raised.value)
    assert f"lot_size: 1 -> 5 cannot change, {by}; give it from a date on" in str(raised.value)


OTHER = NIFTY.replace("22500CE", "22500.0CE")


def test_two_spellings_are_one_instrument(load):
    load(NIFTY)

    assert "1 lines; 0 rows changed" in load(OTHER)
    assert "lot_size 75 -> 65" in load(OTHER.replace(",75,", ",65,"))
    assert [row.symbol for row in Instrument.objects.all()] == ["NIFTY28JAN2522500CE"]


def test_two_spellings_in_one_file_are_one_line_twice(load):
    with pytest.raises(CommandError, match="line 3: symbol: NIFTY28JAN2522500CE is on line 2"):
        load(NIFTY, OTHER)


def stored_as(symbol, spelling):
    """Let an instrument be stored in another spelling, as before there was but one."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE brokers_instrument SET symbol = %s WHERE symbol = %s", [spelling, symbol]
        )


def test_what_is_stored_in_two_spellings_is_refused_by_name(load):
    load(NIFTY)
    stored_as("NIFTY28JAN2522500CE", "NIFTY28JAN2522500.0CE")
    load("M&M,EQUITY,NSE,INR,0.05,1,,")
    stored_as("M&M", "NIFTY28JAN2522500CE")

    for line in (NIFTY, OTHER):
        with pytest.raises(CommandError, match=r"stored twice, also as NIFTY28JAN2522500\.0CE"):
            load(line)


def test_the_migration_spells_what_is_stored_as_one(load):
    load(NIFTY, "NIFTY28JAN2522600CE,,NFO,INR,0.05,75,1800,")
    stored_as("NIFTY28JAN2522500CE", "NIFTY28JAN2522500.00CE")
    PaperHolding.objects.create(account="paper", symbol="NIFTY28JAN2522500.00CE", currency="INR")
    migration = import_module("brokers.migrations.0007_one_spelling")

    migration.spell_as_one(apps, None)

    names = Instrument.objects.order_by("symbol").values_list("symbol", flat=True)
    assert list(names) == ["NIFTY28JAN2522500CE", "NIFTY28JAN2522600CE"]
    assert PaperHolding.objects.get().symbol == "NIFTY28JAN2522500CE"


@pytest.mark.parametrize(
    ("_case", "line", "said"),
    [
        ("in a symbol", NIFTY.replace("28JAN25", "31NOV26"), "31NOV26 in NIFTY31NOV2622500CE is"),
        ("in a column", "M&M,,,,,1,,2026-02-30", "effective_from: 2026-02-30 is no date"),
    ],
)
def test_a_date_that_does_not_exist_is_refused_by_name(load, _case, line, said):
    with pytest.raises(CommandError, match="line 2: ") as raised:
        load(line)

    assert said in str(raised.value)


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
