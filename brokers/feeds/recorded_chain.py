"""A recorded option chain: quote bars of several contracts in one file.

Columns beside those of quote bars: `root`, `expiry`, `strike` and `right` (C or P). All contracts'
bars of one time arrive together: their opens, their extremes, then their closes.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from decimal import Decimal
from itertools import groupby
from pathlib import Path

from brokers.feeds.recorded import Arrival, Problem, RecordedFile, is_chain
from brokers.instruments.symbols import Right, Symbol
from execution_site.floor import text_files
from execution_site.floor.text_files import UnreadableFile

CONTRACT = ("root", "expiry", "strike", "right")
RIGHTS = {"C": Right.CALL, "P": Right.PUT}


class RecordedChain(RecordedFile):
    """One file of one chain. `suffix` is put behind the root, so that a copy is a name of its own.

    :raises UnreadableFile: as RecordedFile, or its columns do not name contracts
    """

    def __init__(self, path: Path, *, suffix: str) -> None:
        self.suffix = suffix
        self._known: dict[tuple[str, ...], str] = {}
        super().__init__(path, symbol="")
        self.contracts = self._contracts()

    def arrivals(self, problems: list[Problem]) -> Iterator[Arrival]:
        """Yield what comes at each time; rows that cannot be used are added to `problems`."""
        for _, together in groupby(super().arrivals(problems), key=lambda one: one.at):
            rows = list(together)
            steps = zip(*(row.updates for row in rows), strict=True)
            updates = tuple(update for step in steps for update in step)
            yield Arrival(rows[0].line, rows[0].at, updates)

    def _look_at_columns(self) -> None:
        if not is_chain(self._column) or not self._has(CONTRACT):
            raise UnreadableFile(f"{self.path.name}: a chain has {', '.join(CONTRACT)}")

    def _contracts(self) -> list[Symbol]:
        """Return every contract of the file, in the order of appearance.

        Rows that name none are reported by `arrivals`, like all that cannot be used.
        """
        found: dict[str, Symbol] = {}
        for _, row in text_files.table(self.path)[1]:
            with suppress(ValueError, ArithmeticError, LookupError):
                contract = self._contract(row)
                found.setdefault(str(contract), contract)
        return list(found.values())

    def _symbol_of(self, row: Sequence[str]) -> str:
        key = tuple(row[self._column[name]] for name in CONTRACT)
        if key not in self._known:
            self._known[key] = str(self._contract(row))
        return self._known[key]

    def _contract(self, row: Sequence[str]) -> Symbol:
        root, expiry, strike, right = (row[self._column[name]] for name in CONTRACT)
        at = Decimal(strike)
        if not (at.is_finite() and at > 0):
            raise ValueError(f"strike {strike} is no price")
        return Symbol(f"{root}{self.suffix}", text_files.day(expiry), at, RIGHTS[right])
