"""Keeps the Greeks of options as their market moves, and publishes them."""

import time
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from brokers import clocks
from brokers.models import BrokerConnection
from execution_site.floor.apart import Apart
from portfolio import greeks, revaluation
from portfolio.aggregation import GREEKS

EVERY_SECONDS = 1.0
KEY = ("account", "underlying", "currency")


class GreeksKeeper:
    """One market's: it is given what moved, and revalues once a second what that concerns."""

    def __init__(self) -> None:
        self._moved: set[str] = set()
        self._kept_at = 0.0
        self._shown: set[tuple[str, ...]] = set()

    def see(self, symbols: Iterable[str]) -> None:
        """Take note of symbols that were quoted."""
        self._moved.update(symbols)

    @property
    def is_due(self) -> bool:
        """Tell whether a second has passed."""
        return time.monotonic() - self._kept_at >= EVERY_SECONDS

    def keep(self, *, now: datetime, apart: Apart) -> None:
        """Revalue what moved; `now` is its market's time."""
        self._kept_at = time.monotonic()
        moved, self._moved = self._moved, set()
        for underlying in sorted(revaluation.underlyings_of(moved)) if moved else ():
            with apart(f"Greeks of {underlying}"):
                revaluation.revalue([underlying], now=now)

    def shown(self, *, now: datetime) -> list[dict[str, Any]]:
        """Return the sums of each live account by underlying; `now` is the wall's time.

        What is no longer held is shown once more, as not held.
        """
        live = BrokerConnection.objects.enabled().exclude(name__in=clocks.replayed())
        rows = greeks.of_positions(greeks.held(live.values_list("name", flat=True)), now=now)
        found = by_underlying(rows)
        keys = {tuple(row[name] for name in KEY) for row in found}
        gone: list[dict[str, Any]] = [
            dict[str, Any](zip(KEY, key, strict=True))
            | dict.fromkeys(GREEKS, 0.0)
            | {"unvalued": 0, "quote_age_seconds": None, "id": "/".join(key), "held": False}
            for key in self._shown - keys
        ]
        self._shown = keys
        return found + gone


def by_underlying(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return positions' Greeks by account and underlying, with how many are not valued."""
    found = {
        tuple(row[name] for name in KEY): row | {"unvalued": 0}
        for row in greeks.summed(rows, KEY[:-1])
    }
    for row in rows:
        if row["problem"] is None:
            continue
        key = tuple(row[name] for name in KEY)
        blank = dict(zip(KEY, key, strict=True)) | dict.fromkeys(GREEKS, 0.0)
        held = found.setdefault(key, blank | {"unvalued": 0, "quote_age_seconds": None})
        held["unvalued"] += 1
    return [found[key] | {"id": "/".join(key), "held": True} for key in sorted(found)]
