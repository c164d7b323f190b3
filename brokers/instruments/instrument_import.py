"""The instrument master from a file: what each line says, and what it would change.

A line describes one instrument, or with `effective_from` its terms from that day on. What a
derivative's symbol says (underlying, expiry, strike, right) need not be repeated; where it is, the
two must agree. Nothing is loaded while any line is wrong, or changes what something holds. A
preview is a load that is taken back, so that it says what the load would.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from brokers.calendars import exchanges
from brokers.instruments import symbols
from brokers.instruments.kinds import DATED, InstrumentKind, Settlement, decimal_text
from brokers.instruments.rows import ContractTerms, Instrument, TermsHeld, what_holds
from execution_site.floor import audit, text_files

REQUIRED = ("symbol", "lot_size")
OF_A_NEW_ONE = ("kind", "currency", "tick_size")
DECIMALS = (
    "multiplier",
    "tick_size",
    "lot_size",
    "pip_size",
    "freeze_quantity",
    "min_notional",
    "margin_rate",
    "strike",
)
TEXTS = ("description", "exchange", "currency", "underlying")
TERMS = ("lot_size", "freeze_quantity", "expiry_date", "cut_off_at")
MOST_DIGITS = 28
COLUMNS = frozenset(
    {
        "symbol",
        "kind",
        "right",
        "settlement",
        "expiry_date",
        "cut_off_at",
        "effective_from",
        "is_tradable",
        *DECIMALS,
        *TEXTS,
    }
)


class CannotLoad(Exception):
    """What is wrong with the file: one text for each line."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Line:
    """What one line says; `effective_from` None describes the instrument itself."""

    number: int
    symbol: str
    values: Mapping[str, Any]
    effective_from: date | None


@dataclass(frozen=True, slots=True)
class Change:
    """What a line changes: the row it writes, and each value's text before and after."""

    row: Instrument | ContractTerms
    symbol: str
    since: datetime | None
    before: dict[str, str]
    after: dict[str, str]

    def __str__(self) -> str:
        name = self.symbol + ("" if self.since is None else f" from {self.since:%Y-%m-%d %H:%M %Z}")
        if not self.before:
            return f"new      {name}: " + ", ".join(f"{k} {v}" for k, v in self.after.items())
        changed = (f"{k} {self.before[k]} -> {v}" for k, v in self.after.items())
        return f"changed  {name}: " + ", ".join(changed)


@dataclass(frozen=True, slots=True)
class Loaded:
    """How many lines a file has, and what they change, in their order."""

    lines: int
    changes: list[Change]


def load(path: Path, *, preview: bool, actor: str, reason: str, now: datetime) -> Loaded:
    """Make the master what a file says, each change with its audit row: all of it or nothing.

    :raises UnreadableFile: it is no table
    :raises CannotLoad: naming each line that is wrong, or that cannot be while something holds it
    """
    lines = _read(path)
    with transaction.atomic(durable=True):
        changes = _write(lines, actor=actor, reason=reason, now=now)
        if preview:
            transaction.set_rollback(True)
    return Loaded(len(lines), changes)


def _read(path: Path) -> list[Line]:
    """Return what a file says.

    :raises UnreadableFile: it is no table
    :raises CannotLoad: naming each line that is wrong, and its column
    """
    problems: list[str] = []
    lines: list[Line] = []
    columns, rows = text_files.table(path)
    unknown = sorted(set(columns) - COLUMNS)
    missing = [name for name in REQUIRED if name not in columns]
    if unknown or missing:
        raise CannotLoad(
            [f"line 1: no such column: {name}" for name in unknown]
            + [f"line 1: the column {name} is missing" for name in missing]
        )
    for number, values in rows:
        try:
            lines.append(_line(number, text_files.named(columns, values)))
        except ValueError as e:
            problems.append(f"line {number}: {e}")
    if problems:
        raise CannotLoad(problems)
    return lines


def _write(lines: list[Line], *, actor: str, reason: str, now: datetime) -> list[Change]:
    """Write what the lines change, and return it.

    :raises CannotLoad: naming each line that does not fit what is there
    """
    names = {line.symbol for line in lines}
    known = {row.symbol: row for row in Instrument.objects.filter(symbol__in=names)}
    held = ContractTerms.objects.filter(instrument__symbol__in=names).select_related("instrument")
    terms = {(row.instrument.symbol, row.effective_from): row for row in held}
    twins = _stored_twice(names)
    above: dict[tuple[str, date | None], int] = {}
    changes, problems = [], []
    for line in lines:
        change = None
        try:
            first = above.setdefault((line.symbol, line.effective_from), line.number)
            if first != line.number:
                raise ValueError(f"symbol: {line.symbol} is on line {first} already")  # noqa: TRY301
            if line.symbol in twins:
                raise ValueError(f"symbol: it is stored twice, also as {twins[line.symbol]}")  # noqa: TRY301
            change = _wanted(line, known, terms)
            if change.after:
                _save(change, actor=actor, reason=reason, now=now)
                changes.append(change)
        except (ValueError, ValidationError, IntegrityError, TermsHeld) as e:
            problems.append(f"line {line.number}: {_said(e, change)}")
    if problems:
        raise CannotLoad(problems)
    return changes


def _stored_twice(names: set[str]) -> dict[str, str]:
    """Return what else some of these are stored as, from before there was one spelling of each."""
    others = Instrument.objects.filter(symbol__regex=r"\.[0-9]*0(CE|PE)$")
    stored = others.values_list("symbol", flat=True)
    return {
        spelling: symbol for symbol in stored if (spelling := symbols.one_spelling(symbol)) in names
    }


def _wanted(
    line: Line,
    known: dict[str, Instrument],
    terms: dict[tuple[str, datetime], ContractTerms],
) -> Change:
    """Return what a line changes, its row as it shall be.

    :raises ValueError: the line does not fit what is there
    :raises ValidationError: a value does not fit its column
    """
    row: Instrument | ContractTerms
    if line.effective_from is None:
        row = known.setdefault(line.symbol, Instrument(symbol=line.symbol))
        change = _change(row, line, _complete(line, is_new=row.pk is None))
    else:
        instrument = known.get(line.symbol)
        if instrument is None or instrument.pk is None:
            raise ValueError(f"symbol: {line.symbol} is not known, nor described above")
        since = exchanges.midnight(line.effective_from, instrument.exchange)
        made = ContractTerms(instrument=instrument, effective_from=since)
        row = terms.setdefault((line.symbol, since), made)
        change = _change(row, line, _terms(line, instrument))
    row.clean_fields(exclude={"instrument"})
    return change


def _save(change: Change, *, actor: str, reason: str, now: datetime) -> None:
    """Write one change with its audit row.

    :raises TermsHeld: something holds what it changes
    :raises IntegrityError: no row can be like that
    """
    with what_holds(), transaction.atomic():
        change.row.save()
        audit.record(
            "instrument" if change.since is None else "contract_terms",
            actor=actor,
            reason=reason,
            at=now,
            before=change.before or None,
            after=change.after,
            object_id=change.symbol,
        )


def _line(number: int, row: dict[str, str]) -> Line:
    values = {name: text.strip() for name, text in row.items() if text.strip()}
    if absent := [name for name in REQUIRED if name not in values]:
        raise ValueError(f"{absent[0]}: missing")
    read_one: dict[str, Any] = {
        **dict.fromkeys(DECIMALS, _decimal),
        "kind": InstrumentKind,
        "right": symbols.Right,
        "settlement": Settlement,
        "symbol": _symbol,
        "expiry_date": _date,
        "effective_from": _date,
        "is_tradable": _flag,
        "cut_off_at": _moment,
    }
    made: dict[str, Any] = {}
    for name, text in values.items():
        try:
            made[name] = read_one.get(name, str)(text)
        except symbols.NoSuchDate as e:
            raise ValueError(f"{name}: {e}") from e
        except (ValueError, KeyError, InvalidOperation) as e:
            raise ValueError(f"{name}: {text!r} is not readable") from e
    return Line(number, made.pop("symbol"), made, made.pop("effective_from", None))


def _complete(line: Line, *, is_new: bool) -> dict[str, Any]:
    """Return a line's values with what the symbol says of them.

    :raises ValueError: they disagree, or something is missing
    """
    said = symbols.parse(line.symbol)
    values = dict(line.values)
    kind = values.get("kind")
    derived: dict[str, Any] = {}
    if said.expiry is not None and kind in {None, *DATED}:
        derived = {
            "kind": InstrumentKind.FUTURE if said.right is None else InstrumentKind.OPTION,
            "underlying": said.underlying,
            "expiry_date": said.expiry,
        }
        if said.right is not None:
            derived |= {"strike": said.strike, "right": said.right}
    for name, value in derived.items():
        if values.setdefault(name, value) != value:
            raise ValueError(f"{name}: {values[name]} is not the {value} that the symbol says")
    if is_new and (absent := [name for name in OF_A_NEW_ONE if name not in values]):
        raise ValueError(f"{absent[0]}: a new instrument needs it")
    if values.get("kind") in DATED:
        needs = ["underlying", "expiry_date"]
        needs += ["strike", "right"] if values["kind"] is InstrumentKind.OPTION else []
        if absent := [name for name in needs if name not in values]:
            raise ValueError(f"{absent[0]}: a {values['kind']} needs it")
    return values


def _terms(line: Line, instrument: Instrument) -> dict[str, Any]:
    """Return the terms of a dated line; what it leaves out stays as the instrument has it."""
    if others := sorted(set(line.values) - set(TERMS)):
        raise ValueError(f"{others[0]}: is not dated; leave it out beside effective_from")
    return {name: line.values.get(name, getattr(instrument, name)) for name in TERMS}


def _change(row: Instrument | ContractTerms, line: Line, wanted: Mapping[str, Any]) -> Change:
    """Put the wanted values into the row and return what that changes."""
    is_new, before, after = row.pk is None and row._state.adding, {}, {}
    for name, value in wanted.items():
        was = _text(getattr(row, name))
        if is_new or was != _text(value):
            before[name], after[name] = was, _text(value)
        setattr(row, name, value)
    since = row.effective_from if isinstance(row, ContractTerms) else None
    return Change(row, line.symbol, since, {} if is_new else before, after)


def _said(error: Exception, change: Change | None) -> str:
    match error:
        case ValidationError():
            return "; ".join(f"{n}: {' '.join(m)}" for n, m in error.message_dict.items())
        case TermsHeld():
            return "; ".join(f"{name}: {_changed(name, change)}{why}" for name, why in error)
        case IntegrityError():
            return _violated(error)
        case _:
            return str(error)


def _decimal(text: str) -> Decimal:
    value = Decimal(text)
    if not value.is_finite() or abs(value.adjusted()) > MOST_DIGITS:
        raise ValueError(text)
    return value


def _symbol(text: str) -> str:
    symbols.parse(text)
    return symbols.one_spelling(text)


def _date(text: str) -> date:
    try:
        return text_files.day(text)
    except ValueError as e:
        raise symbols.NoSuchDate(str(e)) from e


def _flag(text: str) -> bool:
    return {"true": True, "1": True, "false": False, "0": False}[text.lower()]


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None or moment.year not in text_files.YEARS:
        raise ValueError(text)
    return moment


def _text(value: Any) -> str:
    if value is None:
        return "-"
    return decimal_text(value) if isinstance(value, Decimal) else str(value)


def _changed(name: str, change: Change | None) -> str:
    """Return the values of a column before and after, where the line has it."""
    if change is None or name not in change.before:
        return ""
    return f"{change.before[name]} -> {change.after[name]} "


def _violated(error: IntegrityError) -> str:
    """Return which rule about rows a line breaks, in its own words."""
    name = getattr(getattr(error.__cause__, "diag", None), "constraint_name", None)
    rules = (*Instrument._meta.constraints, *ContractTerms._meta.constraints)
    for rule in rules:
        if rule.name == name:
            return str(rule.get_violation_error_message())
    return str(error).partition("\n")[0]
