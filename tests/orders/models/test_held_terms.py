"""What holds a term of an instrument keeps it: every column, every holder, every way to a row."""

import io
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection, connections, transaction
from django.forms.models import model_to_dict
from django.urls import reverse

from brokers.instruments.held_terms import FREE, HELD_BY, Holder, refusal
from brokers.instruments.rows import TermsHeld, what_holds
from brokers.models import ContractTerms, Instrument, MarketClock, PaperHolding
from orders.market import replay_account
from orders.market.replay_account import CannotReplay
from orders.models import Fill, Order
from orders.models.instrument_guard import guard_sql
from orders.reports import agreement
from portfolio.models import Position

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
VALUES = {
    "kind": "CRYPTO",
    "currency": "EUR",
    "multiplier": 100,
    "underlying": "OTHER",
    "expiry_date": date(2027, 12, 30),
    "strike": 101,
    "right": "PE",
    "lot_size": 2,
    "freeze_quantity": 9,
    "cut_off_at": datetime(2027, 11, 25, 9, tzinfo=UTC),
    "exchange": "NSE",
    "settlement": "CASH",
    "tick_size": Decimal("0.5"),
    "margin_rate": Decimal("0.5"),
    "min_notional": 7,
    "description": "another",
    "is_tradable": False,
    "pip_size": Decimal("0.1"),
    "symbol": "OTHERNAME",
}


def test_every_column_is_in_the_table():
    columns = {field.name for field in Instrument._meta.concrete_fields} - {"id"}

    assert HELD_BY.keys() | FREE == columns == VALUES.keys()
    assert not HELD_BY.keys() & FREE


@pytest.mark.parametrize(
    ("column", "holders"),
    [
        ("multiplier", "position, working order, ended order, fill, paper holding"),
        ("currency", "position, working order, ended order, fill, paper holding"),
        ("strike", "position, working order, ended order, fill, paper holding"),
        ("lot_size", "position, working order"),
        ("settlement", "position, working order"),
        ("tick_size", "working order"),
        ("margin_rate", "working order"),
    ],
)
def test_what_holds_which_term(column, holders):
    assert HELD_BY[column] == {Holder(name) for name in holders.split(", ")}


def test_the_database_s_guard_is_the_table_s(db):
    names = ("instrument_held_by", "brokers_instrument_held", "brokers_contractterms_held")
    with connection.cursor() as cursor:
        cursor.execute("SELECT prosrc FROM pg_proc WHERE proname = ANY(%s)", [list(names)])
        installed = [body for (body,) in cursor.fetchall()]

    assert len(installed) == len(names)
    assert all(body in guard_sql() for body in installed)


@pytest.fixture
def option(account):
    """An option with a plain name, so that no symbol says what its terms are."""
    return Instrument.objects.create(
        symbol="OPTION1",
        kind="OPTION",
        currency="INR",
        tick_size=Decimal("0.05"),
        lot_size=1,
        underlying="NIFTY",
        expiry_date=date(2027, 11, 25),
        strike=100,
        right="CE",
    )


@pytest.fixture
def held(account):
    """Let an instrument be held: `held(Holder.FILL, instrument)`."""

    def hold(holder, instrument):
        common = {"connection": account, "strategy": "alpha", "instrument": instrument}
        traded = {"traded_at": NOW, "received_at": NOW, "trading_date": NOW.date()}
        match holder:
            case Holder.POSITION:
                Position.objects.create(quantity=75, updated_at=NOW, **common)
            case Holder.WORKING:
                order(common, status="ACCEPTED")
            case Holder.ENDED:
                order(common, status="CANCELLED")
            case Holder.PAPER:
                PaperHolding.objects.create(
                    account=account.name, symbol=instrument.symbol, currency="USD"
                )
            case Holder.FILL:
                Fill.objects.create(
                    order=order(common, status="CANCELLED"),
                    venue_trade_id=f"t-{instrument.pk}",
                    sequence=1,
                    side="BUY",
                    quantity=1,
                    price=10,
                    commission=0,
                    commission_currency="USD",
                    liquidity="TAKER",
                    late=False,
                    **traded,
                    **common,
                )

    return hold


def order(common, *, status):
    return Order.objects.create(
        origin="SIGNAL",
        client_order_id=f"c-{common['instrument'].pk}",
        side="BUY",
        order_type="MARKET",
        time_in_force="DAY",
        quantity=10,
        status=status,
        trading_date=NOW.date(),
        created_at=NOW,
        updated_at=NOW,
        **common,
    )


def by_update(instrument, column, value):
    try:
        with what_holds(), transaction.atomic():
            Instrument.objects.filter(pk=instrument.pk).update(**{column: value})
    except TermsHeld as e:
        return dict(e)
    return {}


def by_save(instrument, column, value):
    row = Instrument.objects.get(pk=instrument.pk)
    setattr(row, column, value)
    try:
        with what_holds(), transaction.atomic():
            row.save()
    except TermsHeld as e:
        return dict(e)
    return {}


def by_form(console):
    def go(instrument, column, value):
        row = Instrument.objects.get(pk=instrument.pk)
        form = {k: v for k, v in model_to_dict(row).items() if v not in {None, False}}
        cut_off = form.pop("cut_off_at", None) if column != "cut_off_at" else value
        form |= {column: value} if value is not False else {}
        form.pop("cut_off_at", None)
        if cut_off:
            form |= {"cut_off_at_0": f"{cut_off:%Y-%m-%d}", "cut_off_at_1": f"{cut_off:%H:%M:%S}"}
        if value is False:
            form.pop(column)
        page = reverse("admin:brokers_instrument_change", args=[row.pk])
        answer = console.post(page, form | {"reason": "the master says so"})
        if answer.status_code == 302:
            return {}
        errors = answer.context["adminform"].form.errors
        return {name: str(texts[0]) for name, texts in errors.items()}

    return go


def by_file(tmp_path, *, preview):
    def go(instrument, column, value):
        if column == "symbol":  # the key of a line
            return by_update(instrument, column, value)
        row = Instrument.objects.get(pk=instrument.pk)
        values = {"symbol": row.symbol, "lot_size": row.lot_size} | {column: value}
        if row.kind == "OPTION":
            values = {"strike": row.strike, "right": row.right} | values
            values = {"underlying": row.underlying, "expiry_date": row.expiry_date} | values
        lines = (",".join(map(str, some)) for some in (values.keys(), values.values()))
        (tmp_path / "master.csv").write_text("\n".join(lines) + "\n")
        try:
            call_command(
                "load_instruments",
                tmp_path / "master.csv",
                preview=preview,
                stdout=io.StringIO(),
                stderr=io.StringIO(),
            )
        except CommandError as e:
            return {column: str(e).partition("line 2: ")[2]}
        return {}

    return go


@pytest.fixture(params=["update", "save", "form", "file", "preview"])
def door(request, tmp_path, client, risk_manager):
    """Each way to a row: it returns why a column was not changed."""
    client.force_login(risk_manager)
    return {
        "update": by_update,
        "save": by_save,
        "form": by_form(client),
        "file": by_file(tmp_path, preview=False),
        "preview": by_file(tmp_path, preview=True),
    }[request.param]


@pytest.mark.parametrize("holder", [None, *Holder])
def test_what_is_held_stays_by_every_way_and_the_rest_can_change(option, held, door, holder):
    share = Instrument.objects.get(symbol="AAPL")
    for instrument in (option, share):
        held(holder, instrument)
    holders = {holder, Holder.ENDED} if holder is Holder.FILL else {holder}

    refused = {}
    for column, value in VALUES.items():
        before = Instrument.objects.get(pk=(share if column == "kind" else option).pk)
        refused |= door(before, column, value)
        after = Instrument.objects.get(pk=before.pk)
        if column in refused:
            assert getattr(after, column) == getattr(before, column)

    assert refused.keys() == {column for column, by in HELD_BY.items() if by & holders}
    named = {
        Holder.POSITION: "position paper/alpha of 75",
        Holder.WORKING: "working order paper/alpha BUY 10 c-",
        Holder.ENDED: "1 ended orders of paper/alpha",
        Holder.FILL: "1 fills of paper/alpha",
        Holder.PAPER: "the paper venue's ledger of paper",
    }
    assert all(named[holder] in why for why in refused.values())


def test_what_can_be_dated_is_told_to_be():
    assert "from a date on" in refusal("lot_size", "a position")
    assert "from a date on" not in refusal("multiplier", "a fill")


def test_of_many_holders_some_are_named_and_the_rest_counted(account, option):
    for n in range(8):
        Position.objects.create(
            connection=account,
            strategy=f"s{n}",
            instrument=option,
            quantity=n + 1,
            updated_at=NOW,
        )

    why = by_update(option, "multiplier", 5)["multiplier"]

    assert why.count("position") == 5
    assert "3 more" in why


def test_a_trade_folds_as_on_its_day_whatever_is_tried(send, account, door):
    send("BUY", 10)
    share = Instrument.objects.get(symbol="AAPL")

    for column, value in (("multiplier", 100), ("currency", "EUR")):
        assert column in door(share, column, value)

    assert list(agreement.differences()) == []
    assert Position.objects.get().quantity == 10


@pytest.mark.parametrize("begins", [timedelta(days=-1), timedelta(days=1)])
@pytest.mark.parametrize("holder", [None, *Holder])
def test_dated_terms_in_force_are_held_by_what_works(option, held, holder, begins):
    at = datetime.now(UTC) + begins
    dated = {"instrument": option, "lot_size": 5}
    ContractTerms.objects.create(effective_from=at + timedelta(hours=1), **dated)
    held(holder, option)
    in_force = begins < timedelta(0)
    changes = {
        "added": lambda: ContractTerms.objects.create(effective_from=at, **dated),
        "changed": lambda: ContractTerms.objects.update(lot_size=6),
        "moved": lambda: ContractTerms.objects.update(effective_from=at + timedelta(days=9)),
        "deleted": lambda: ContractTerms.objects.all().delete(),
    }

    refused = {}
    for name, change in changes.items():
        try:
            with what_holds(), transaction.atomic():
                change()
                transaction.set_rollback(True)
        except TermsHeld as e:
            refused[name] = dict(e)["effective_from"]

    assert all("working order paper/alpha" in why for why in refused.values())
    assert refused.keys() == (set(changes) if holder is Holder.WORKING and in_force else set())


def test_a_replayed_market_holds_terms_at_its_own_time(account, option, held):
    held(Holder.WORKING, option)
    MarketClock.objects.create(connection=account, now=datetime(2021, 1, 4, tzinfo=UTC))

    ContractTerms.objects.create(
        instrument=option, effective_from=datetime(2021, 1, 5, tzinfo=UTC), lot_size=5
    )
    with pytest.raises(TermsHeld), what_holds(), transaction.atomic():
        ContractTerms.objects.create(
            instrument=option, effective_from=datetime(2021, 1, 3, tzinfo=UTC), lot_size=5
        )


def test_dated_terms_in_force_are_refused_on_their_page(option, held, client, risk_manager):
    client.force_login(risk_manager)
    row = ContractTerms.objects.create(
        instrument=option, effective_from=datetime(2026, 1, 1, tzinfo=UTC), lot_size=5
    )
    held(Holder.WORKING, option)
    form = {
        "instrument": option.pk,
        "effective_from_0": "2026-01-01",
        "effective_from_1": "00:00:00",
        "lot_size": 6,
        "reason": "the circular",
    }

    changed = client.post(reverse("admin:brokers_contractterms_change", args=[row.pk]), form)
    added = client.post(
        reverse("admin:brokers_contractterms_add"), form | {"effective_from_0": "2026-02-01"}
    )
    delete = reverse("admin:brokers_contractterms_delete", args=[row.pk])
    deleted = client.post(delete, {"post": "yes", "reason": "a slip"}, follow=True)

    for answer in (changed, added, deleted):
        assert "working order paper/alpha" in answer.content.decode()
    assert ContractTerms.objects.get().lot_size == 5


def test_what_the_paper_ledger_knows_is_not_deleted(option, held, client, risk_manager):
    client.force_login(risk_manager)
    held(Holder.PAPER, option)
    page = reverse("admin:brokers_instrument_delete", args=[option.pk])

    answer = client.post(page, {"post": "yes", "reason": "a slip"}, follow=True)

    assert "the paper venue&#x27;s ledger of paper" in answer.content.decode()
    assert Instrument.objects.filter(pk=option.pk).exists()


def test_a_replay_takes_no_other_terms_for_what_it_has_traded(account, held):
    copy = replay_account.instrument_for("AAPL.R", like="AAPL")
    held(Holder.FILL, copy)
    Instrument.objects.filter(symbol="AAPL").update(multiplier=10)

    with pytest.raises(CannotReplay, match=r"AAPL\.R: multiplier cannot change.*--symbol"):
        replay_account.instrument_for("AAPL.R", like="AAPL")


def test_an_order_that_is_committing_is_waited_for_and_seen(option, held):
    with ThreadPoolExecutor(1) as other:
        with transaction.atomic():
            held(Holder.WORKING, option)
            with connection.cursor() as cursor:
                cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # as the commit does
            change = other.submit(_update_and_close, option)
            with pytest.raises(TimeoutError):
                change.result(0.5)
        assert "working order" in change.result(10)["multiplier"]


def _update_and_close(option):
    try:
        return by_update(option, "multiplier", 100)
    finally:
        connections.close_all()


def test_other_faults_of_a_row_are_not_taken_for_this(option):
    with pytest.raises(IntegrityError), what_holds(), transaction.atomic():
        Instrument.objects.filter(pk=option.pk).update(lot_size=0)
