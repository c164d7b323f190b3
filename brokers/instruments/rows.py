"""The instrument master as rows: what can be traded, and what of its terms changes from a date on.

Lot size, freeze quantity and expiry are data, never code. An instrument's own are in force until
its first dated row, and each row until the next. An option or future trades until its cut-off:
`cut_off_at` where one is given, else the close of its exchange's session on the expiry date, else
(where the exchange has no calendar, and so no closed hours) the end of that date in UTC.

What something holds cannot change (`brokers/instruments/held_terms.py`): the database refuses it.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal

from django.db import IntegrityError, models
from django.db.models import Q

from brokers.instruments import held_terms
from brokers.instruments.kinds import DATED, InstrumentKind, Settlement
from brokers.instruments.symbol_field import SymbolField
from brokers.instruments.symbols import Right
from execution_site.floor.columns import MONEY, choices


class TermsHeld(Exception):
    """Terms that something holds were to be changed. Iterate for each column and why it cannot."""

    def __init__(self, symbol: str, holders: Mapping[str, str]) -> None:
        self.whys = {name: held_terms.refusal(name, by) for name, by in holders.items()}
        said = "; ".join(f"{name} {why}" for name, why in self.whys.items())
        super().__init__(f"{symbol}: {said}")

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self.whys.items())


@contextmanager
def what_holds() -> Iterator[None]:
    """Parse what the database says where terms are held.

    :raises TermsHeld: it refused to change them
    """
    try:
        yield
    except IntegrityError as e:
        said = getattr(e.__cause__, "diag", None)
        if said is None or said.constraint_name != held_terms.CONSTRAINT:
            raise
        raise TermsHeld(
            said.message_primary.partition(":")[0], json.loads(said.message_detail)
        ) from e


class Instrument(models.Model):
    """Something that can be traded. `multiplier` is units of the underlying per contract.

    Without an `underlying` it is its own. `freeze_quantity` is the most that the exchange takes in
    one order, `min_notional` the least; `margin_rate` the share of notional it ties up.
    """

    symbol = SymbolField(max_length=64, unique=True)
    kind = models.CharField(max_length=16, choices=choices(InstrumentKind))
    description = models.CharField(max_length=128, blank=True)
    exchange = models.CharField(max_length=32, blank=True)
    currency = models.CharField(max_length=8)
    multiplier = models.DecimalField(default=Decimal(1), **MONEY)
    tick_size = models.DecimalField(**MONEY)
    lot_size = models.DecimalField(**MONEY)
    pip_size = models.DecimalField(null=True, blank=True, **MONEY)
    is_tradable = models.BooleanField(default=True)
    underlying = models.CharField(max_length=64, blank=True, db_index=True)
    expiry_date = models.DateField(null=True, blank=True)
    cut_off_at = models.DateTimeField(null=True, blank=True)
    strike = models.DecimalField(null=True, blank=True, **MONEY)
    right = models.CharField(max_length=2, blank=True, choices=choices(Right))
    settlement = models.CharField(max_length=8, blank=True, choices=choices(Settlement))
    freeze_quantity = models.DecimalField(null=True, blank=True, **MONEY)
    min_notional = models.DecimalField(null=True, blank=True, **MONEY)
    margin_rate = models.DecimalField(default=Decimal(1), **MONEY)

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="instrument_sizes_positive",
                condition=Q(tick_size__gt=0, lot_size__gt=0, multiplier__gt=0),
                violation_error_message="tick_size, lot_size and multiplier must be above 0",
            ),
            models.CheckConstraint(
                name="option_has_strike_and_right",
                condition=Q(kind="OPTION", strike__gt=0, right__in=["CE", "PE"])
                | (~Q(kind="OPTION") & Q(strike=None, right="")),
                violation_error_message="an option, and nothing else, has a strike and a right",
            ),
            models.CheckConstraint(
                name="derivative_has_underlying_and_expiry",
                condition=~Q(kind__in=sorted(DATED))
                | (~Q(underlying="") & Q(expiry_date__isnull=False)),
                violation_error_message="a future or option has an underlying and an expiry_date",
            ),
        ]

    def __str__(self) -> str:
        return self.symbol

    def terms_at(self, now: datetime) -> "Instrument | ContractTerms":
        """Return what holds its lot size, freeze quantity and expiry at `now`."""
        begun = [row for row in self.dated_terms.all() if row.effective_from <= now]
        return max(begun, key=lambda row: row.effective_from, default=self)


class ContractTerms(models.Model):
    """The terms of an instrument from a moment on: all of them, also those that stay."""

    instrument = models.ForeignKey(Instrument, on_delete=models.CASCADE, related_name="dated_terms")
    effective_from = models.DateTimeField()
    lot_size = models.DecimalField(**MONEY)
    freeze_quantity = models.DecimalField(null=True, blank=True, **MONEY)
    expiry_date = models.DateField(null=True, blank=True)
    cut_off_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name_plural = "contract terms"
        constraints = [
            models.UniqueConstraint(name="terms_once", fields=["instrument", "effective_from"]),
            models.CheckConstraint(
                name="terms_lot_positive",
                condition=Q(lot_size__gt=0),
                violation_error_message="lot_size must be above 0",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.instrument_id} from {self.effective_from:%Y-%m-%d}"


def in_force(now: str) -> str:
    """Return SQL that joins `dated`, the terms in force of instrument `i` at the SQL value `now`.

    Use it with `LOT_SIZE`, `FREEZE_QUANTITY` and `EXPIRES_AT`.
    """
    return f"""LEFT JOIN LATERAL (
    SELECT t.lot_size, t.freeze_quantity, t.expiry_date, t.cut_off_at
    FROM brokers_contractterms t
    WHERE t.instrument_id = i.id AND t.effective_from <= {now}
    ORDER BY t.effective_from DESC LIMIT 1) AS dated ON true"""  # noqa: S608 our own names


def _term(name: str) -> str:
    return f"CASE WHEN dated.lot_size IS NULL THEN i.{name} ELSE dated.{name} END"


LOT_SIZE = "coalesce(dated.lot_size, i.lot_size)"
FREEZE_QUANTITY = _term("freeze_quantity")
#: When it stops to trade; NULL where it never does.
EXPIRES_AT = f"""CASE WHEN i.expiry_date IS NULL THEN NULL ELSE coalesce({_term("cut_off_at")},
    (SELECT max(closing.closes_at) FROM brokers_exchangesession closing
     WHERE closing.exchange = i.exchange AND closing.trading_date = {_term("expiry_date")}),
    ({_term("expiry_date")} + 1)::timestamp AT TIME ZONE 'UTC') END"""  # noqa: S608 our own names
