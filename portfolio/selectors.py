"""What is held and what it made, valued at the latest quotes."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

from django.db.models import QuerySet

from brokers.instruments.kinds import decimal_text
from portfolio import history
from portfolio.history import PnlPoint
from portfolio.holding import CONTEXT, unrealized_pnl
from portfolio.models import Position
from portfolio.payloads import by_currency, money_text, optional_money, position_json

GROUPS = ("account", "strategy", "symbol")
AMOUNTS = ("realized_pnl", "unrealized_pnl", "commission", "total_pnl")


def positions(accounts: Iterable[str]) -> QuerySet[Position]:
    """Return the positions of these accounts with all it takes to value them."""
    return Position.objects.filter(connection__name__in=list(accounts)).select_related(
        "connection", "instrument", "instrument__quote"
    )


def describe(position: Position) -> dict[str, Any]:
    """Return a position at its mark, as clients see it."""
    quote = getattr(position.instrument, "quote", None)
    return position_json(
        position.holding,
        other_commissions=position.charged_elsewhere,
        position_id=position.pk,
        account=position.connection.name,
        strategy=position.strategy,
        symbol=position.instrument.symbol,
        currency=position.instrument.currency,
        multiplier=position.instrument.multiplier,
        mark=quote.mark if quote else None,
        marked_at=quote.as_of if quote else None,
        updated_at=position.updated_at,
    )


def pnl(held: Sequence[Position], *, apart: Collection[str] = ()) -> dict[str, Any]:
    """Return PnL in total and by account, strategy and symbol, per currency: never added up.

    Accounts `apart` (replayed ones: what they made was never money) are in no sum with others.
    A position without a mark makes its unrealized PnL unknown (null) and is listed as unvalued.
    Commissions in other currencies than the instruments' are in no total: they stand beside them.
    """
    sums: dict[str, defaultdict[tuple[str, str], _Sum]] = {
        group: defaultdict(_Sum) for group in ("total", *GROUPS)
    }
    unvalued = []
    for position in held:
        currency = position.instrument.currency
        names = {
            "total": "",
            "account": position.connection.name,
            "strategy": position.strategy,
            "symbol": position.instrument.symbol,
        }
        unrealized = _unrealized(position)
        if unrealized is None:
            unvalued.append(position.pk)
        is_apart = names["account"] in apart
        for group in ("account",) if is_apart else names:
            sums[group][names[group], currency].add(position, unrealized)
    answer: dict[str, Any] = {
        "total": [total.as_json(currency=c) for (_, c), total in sorted(sums["total"].items())]
    }
    for group in GROUPS:
        rows = sorted(sums[group].items())
        answer[f"by_{group}"] = [
            {group: name} | total.as_json(currency=c) for (name, c), total in rows
        ]
    return answer | {"unvalued": unvalued}


def pnl_by_day(accounts: Collection[str]) -> list[dict[str, Any]]:
    """Return what each account made on each trading day, newest first; the last day so far."""
    days = []
    for end, before in history.by_day(accounts):
        amounts = {
            name: getattr(end, name) - (Decimal(0) if before is None else getattr(before, name))
            for name in AMOUNTS
        }
        days.append(
            {
                "account": end.connection.name,
                "day": end.trading_date.isoformat(),
                "currency": end.currency,
            }
            | {name: decimal_text(value) for name, value in amounts.items()}
        )
    return sorted(days, key=lambda row: row["day"], reverse=True)


def pnl_of_day(
    accounts: Collection[str], *, day: date, apart: Collection[str] = ()
) -> dict[str, Any]:
    """Return what a trading day made, as `pnl` does; by strategy and symbol it is not kept."""
    rows = [row for row in pnl_by_day(accounts) if row["day"] == day.isoformat()]
    total: defaultdict[str, defaultdict[str, Decimal]] = defaultdict(lambda: defaultdict(Decimal))
    for row in rows:
        for name in AMOUNTS if row["account"] not in apart else ():
            total[row["currency"]][name] += Decimal(row[name])
    return {
        "total": [
            {"currency": currency} | {name: decimal_text(sums[name]) for name in AMOUNTS}
            for currency, sums in sorted(total.items())
        ],
        "by_account": [{k: v for k, v in row.items() if k != "day"} for row in rows],
        "by_strategy": None,
        "by_symbol": None,
        "unvalued": [],
        "by_day": rows,
    }


def describe_days(points: Sequence[PnlPoint], currency: str | None) -> Iterator[dict[str, Any]]:
    """Yield, for each account and currency, its trading day by minutes, in columns."""
    series: defaultdict[tuple[str, str], list[PnlPoint]] = defaultdict(list)
    for point in points:
        if currency in {None, point.currency}:
            series[point.connection.name, point.currency].append(point)
    for (account, held), found in sorted(series.items()):
        day = found[0].trading_date
        yield {
            "account": account,
            "currency": held,
            "day": day.isoformat(),
            "base": decimal_text(history.base_of(account, held, before=day)),
            "at": [point.at.strftime("%Y-%m-%dT%H:%M:%SZ") for point in found],
        } | {
            name: [decimal_text(getattr(point, name)) for point in found]
            for name in ("total_pnl", "gross_exposure", "net_exposure")
        }


class _Sum:
    """Money of one currency."""

    def __init__(self) -> None:
        self.realized = self.commission = Decimal(0)
        self.unrealized: Decimal | None = Decimal(0)
        self.other: defaultdict[str, Decimal] = defaultdict(Decimal)

    def add(self, position: Position, unrealized: Decimal | None) -> None:
        self.realized = CONTEXT.add(self.realized, position.realized_pnl)
        self.commission += position.commission
        for name, amount in position.charged_elsewhere.items():
            self.other[name] += amount
        if unrealized is None or self.unrealized is None:
            self.unrealized = None
        else:
            self.unrealized = CONTEXT.add(self.unrealized, unrealized)

    def as_json(self, *, currency: str) -> dict[str, Any]:
        total = None
        if self.unrealized is not None:
            made = CONTEXT.add(self.realized, self.unrealized)
            total = CONTEXT.subtract(made, self.commission)
        return {
            "currency": currency,
            "realized_pnl": money_text(self.realized),
            "unrealized_pnl": optional_money(self.unrealized),
            "commission": money_text(self.commission),
            "other_commissions": by_currency(self.other),
            "total_pnl": optional_money(total),
        }


def _unrealized(position: Position) -> Decimal | None:
    if not position.quantity:
        return Decimal(0)
    quote = getattr(position.instrument, "quote", None)
    mark = quote.mark if quote else None
    if mark is None:
        return None
    return unrealized_pnl(position.holding, mark=mark, multiplier=position.instrument.multiplier)
