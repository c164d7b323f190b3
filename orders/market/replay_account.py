"""What a replay needs before it begins: an account, an instrument and a key of its own.

A replayed market never touches a live one: its instrument is a copy (`EURUSD.R`), its account is
paper and lives on the replayed clock.
"""

from collections.abc import Sequence
from datetime import datetime, time
from typing import Any
from zoneinfo import ZoneInfo

from django.db import transaction
from django.utils import timezone

from brokers.instruments.kinds import InstrumentKind
from brokers.instruments.rows import TermsHeld, what_holds
from brokers.instruments.symbols import Symbol
from brokers.models import Broker, BrokerConnection, Environment, Instrument, MarketClock, Quote
from execution_site.rest.permissions import KeyScope
from orders.models import ApiClient, ApiKey
from orders.models.client import issue_key

SUFFIX = ".R"
CHAIN_SUFFIX = "-R"  # a point has no place in the symbol of an option
COPIED = (
    "kind",
    "description",
    "exchange",
    "currency",
    "multiplier",
    "tick_size",
    "lot_size",
    "pip_size",
)


class CannotReplay(Exception):
    """Why the replay cannot begin, for the person who tried."""


def instrument_for(symbol: str, *, like: str) -> Instrument:
    """Return the replay's copy of an instrument, without a quote; an index's copy can be traded.

    :raises CannotReplay: there is nothing to copy, or the copy was traded with other terms
    """
    original = Instrument.objects.filter(symbol=like).first()
    if original is None:
        raise CannotReplay(f"there is no instrument {like}: name one with --like")
    copied = {name: getattr(original, name) for name in COPIED}
    return _made(symbol, copied | {"is_tradable": True})


def chain_for(
    contracts: Sequence[Symbol], *, like: Instrument, zone: str, cut_off: time
) -> list[Instrument]:
    """Return the replay's options: of these contracts, with the terms of an option that is known.

    They trade until `cut_off`, in the recording's zone, of their expiry date.
    """
    made = []
    for contract in contracts:
        if contract.expiry is None or contract.strike is None or contract.right is None:
            raise CannotReplay(f"{contract} is no option")
        terms = {name: getattr(like, name) for name in COPIED} | {
            "kind": InstrumentKind.OPTION.value,
            "description": "",
            "underlying": contract.underlying,
            "expiry_date": contract.expiry,
            "cut_off_at": datetime.combine(contract.expiry, cut_off, tzinfo=ZoneInfo(zone)),
            "strike": contract.strike,
            "right": contract.right.value,
            "is_tradable": True,
        }
        made.append(_made(str(contract), terms))
    return made


def _made(symbol: str, terms: dict[str, Any]) -> Instrument:
    """Return the instrument of a replay, made or changed to these terms.

    :raises CannotReplay: another replay traded it, or holds it still, with other terms
    """
    try:
        with what_holds(), transaction.atomic():
            return Instrument.objects.update_or_create(symbol=symbol, defaults=terms)[0]
    except TermsHeld as e:
        raise CannotReplay(f"{e}. Name another market with --symbol, or other terms") from e


def account_for(
    name: str | None, instrument: Instrument, *, zone: str, settings: dict[str, Any]
) -> BrokerConnection:
    """Return the account to replay in: a new one, `replay-1` and so on, unless it is named."""
    if name is None:
        taken = set(BrokerConnection.objects.values_list("name", flat=True))
        name = next(n for i in range(1, 10**6) if (n := f"replay-{i}") not in taken)
    roll_time, roll_zone = _roll(instrument, zone)
    with transaction.atomic(durable=True):
        connection, created = BrokerConnection.objects.get_or_create(
            name=name,
            defaults={
                "broker": Broker.PAPER,
                "environment": Environment.PAPER,
                "settings": settings,
                "day_roll_time": roll_time,
                "day_roll_zone": roll_zone,
            },
        )
        for person in ApiClient.objects.filter(user__isnull=False):
            person.accounts.add(connection)
    if not created and connection.broker != Broker.PAPER:
        raise CannotReplay(f"{name} is no paper account")
    if not created and settings and connection.settings != settings:
        raise CannotReplay(f"{name} has other settings: leave them out, or name a new account")
    return connection


def begin(
    connection: BrokerConnection, instruments: Sequence[Instrument], *, first: datetime
) -> None:
    """Put the account on the replay's clock, on a market without quotes yet (`Replay.begin`).

    :raises CannotReplay: the account has lived past that time, or on the wall's clock
    """
    clock = MarketClock.objects.filter(connection=connection).first()
    if clock is None and connection.order_set.exists():
        raise CannotReplay(f"{connection} has traded on the wall's clock: name another account")
    if clock is not None and clock.now > first:
        raise CannotReplay(
            f"{connection} has been replayed to {clock.now}, past {first}: name another account"
        )
    Quote.objects.filter(instrument__in=instruments).delete()
    if clock is None:
        MarketClock.objects.create(connection=connection, now=first)


def key_for(connection: BrokerConnection) -> tuple[ApiKey, str]:
    """Return a key for the strategy of a replay, which is a client of its own. `end` revokes it.

    Signal keys are a client's: another replay's strategy may use the same ones again.
    """
    client, _ = ApiClient.objects.get_or_create(name=connection.name)
    client.accounts.add(connection)
    return issue_key(client, scopes=[KeyScope.READ.value, KeyScope.TRADE.value])


def end(key: ApiKey) -> None:
    """Revoke the key."""
    key.revoked_at = timezone.now()
    key.save(update_fields=["revoked_at"])


def _roll(instrument: Instrument, zone: str) -> tuple[time, str]:
    """Return when the market's day rolls: FX at 17:00 New York, others at their midnight."""
    if instrument.kind == InstrumentKind.FX:
        return time(17), "America/New_York"
    return time.min, zone
