"""`manage.py replay_market`: recorded quotes, trades or bars as the market of a running site."""

import json
import os
import shlex
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import time as datetime_time
from pathlib import Path
from typing import Any

import httpx
from django.conf import settings as site
from django.core.management.base import BaseCommand, CommandError, CommandParser
from tqdm import tqdm

from brokers.feeds.recorded import Arrival, Problem, RecordedFile, holds_chain, symbol_of
from brokers.feeds.recorded_chain import RecordedChain
from brokers.instruments import symbols
from brokers.models import BrokerConnection, Instrument
from execution_site.floor import text_files
from execution_site.floor.leases import LeaseLost
from execution_site.floor.text_files import UnreadableFile, UnwritableFile
from orders.market import processor_time, replay_account
from orders.market.participants import Participant, ParticipantFailed
from orders.market.replay import AsFastAsItGoes, LeaseTaken, NotSettled, Recorded, Replay
from orders.market.replay_account import CannotReplay
from orders.models import Fill, Order
from orders.reports import agreement

SHOWN_PROBLEMS = 20
UNUSABLE = (UnreadableFile, UnwritableFile)
TAKEN = (LeaseTaken, LeaseLost)


class Command(BaseCommand):
    """The market of a paper account, on the recorded clock, beside whatever else the site does."""

    help = (
        "Replay recorded ticks or bars through a running site, in an account of its own. Without"
        " --speed it goes as fast as it can, and stands still while a signal is on its way."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Add files, pace, account, instrument and strategy."""
        parser.add_argument(
            "files", type=Path, nargs="+", help="in order, all of one symbol or chain"
        )
        parser.add_argument("--speed", type=float, help="times the recorded speed")
        parser.add_argument("--account", help="a paper account; a new one without")
        parser.add_argument("--symbol", help="what to call the market (EURUSD.R for EURUSD)")
        parser.add_argument(
            "--like", help="the instrument whose terms to copy; that of the file's name without"
        )
        parser.add_argument(
            "--cut-off",
            type=datetime_time.fromisoformat,
            default=datetime_time(16),
            help="of a chain: until when options trade on their expiry date, in the file's zone",
        )
        parser.add_argument(
            "--account-settings",
            type=json.loads,
            default={},
            help="settings of a new account (its fill model), as JSON",
        )
        parser.add_argument(
            "--strategy",
            help="a command that takes part in lock-step, or `cross:QUANTITY` for the 20/50 cross",
        )
        parser.add_argument(
            "--skip-bad-rows", action="store_true", help="report them, and go on without"
        )
        parser.add_argument("--url", default=f"http://{site.HOST}:{site.PORT}")
        parser.add_argument("--report", type=Path, help="write the summary there, as JSON")

    def handle(self, *_: Any, files: list[Path], **options: Any) -> None:
        """Replay."""
        try:
            if options["report"] is not None:
                text_files.look_at_target(options["report"])
            self._replay(files, **options)
        except (*UNUSABLE, *TAKEN, CannotReplay, NotSettled, ParticipantFailed) as e:
            raise CommandError(str(e)) from e

    def _replay(self, files: list[Path], **options: Any) -> None:
        recorded = self._recorded(files, symbol=options["symbol"])
        total, first = self._look_through(recorded, skip=options["skip_bad_rows"])
        instruments = self._instruments(recorded, files[0], **options)
        connection = replay_account.account_for(
            options["account"],
            instruments[0],
            zone=recorded[0].zone,
            settings=options["account_settings"],
        )
        if options["strategy"]:
            self._look_for_site(options["url"])
        pace = Recorded(options["speed"]) if options["speed"] else AsFastAsItGoes()
        with ExitStack() as stack:
            replay = Replay(
                connection,
                instruments,
                holder=f"{socket.gethostname()}:{os.getpid()}",
                strategy=None,
                pace=pace,
            )
            stack.callback(replay.close)
            replay.begin(first=first.at)
            strategy = None
            if options["strategy"]:
                key, secret = replay_account.key_for(connection)
                stack.callback(replay_account.end, key)
                strategy = stack.enter_context(
                    Participant(
                        _command(options["strategy"]),
                        {
                            "REPLAY_URL": options["url"],
                            "REPLAY_KEY": secret,
                            "REPLAY_ACCOUNT": connection.name,
                        },
                    )
                )
            others = {"strategy of the replay": strategy.pid} if strategy else {}
            before, started = processor_time.costs(others), time.monotonic()
            replay.strategy = strategy
            arrivals = _arrivals(recorded)
            with tqdm(total=total, unit="row", disable=None, file=sys.stderr) as bar:
                for _ in replay.play(arrivals):
                    bar.update()
                    if pace.lag:
                        bar.set_postfix(lag=f"{pace.lag:.1f}s", refresh=False)
            seconds = time.monotonic() - started
            spent = processor_time.spent(before, processor_time.costs(others))
            said = strategy.finish() if strategy else {}
        self._sum_up(
            connection, replay, seconds=seconds, spent=spent, said=said, report=options["report"]
        )

    def _recorded(self, files: list[Path], *, symbol: str | None) -> list[RecordedFile]:
        """Return the files as what they hold: one instrument, or a chain."""
        if all(map(holds_chain, files)):
            return [RecordedChain(path, suffix=replay_account.CHAIN_SUFFIX) for path in files]
        named = symbol or f"{symbol_of(files[0])}{replay_account.SUFFIX}"
        try:
            named = str(symbols.parse(named))
        except symbols.NoSuchDate as e:
            raise CannotReplay(str(e)) from e
        return [RecordedFile(path, symbol=named) for path in files]

    def _instruments(
        self, recorded: list[RecordedFile], path: Path, **options: Any
    ) -> list[Instrument]:
        """Return what is traded in the replay."""
        chains = [part for part in recorded if isinstance(part, RecordedChain)]
        if not chains:
            like = options["like"] or symbol_of(path)
            return [replay_account.instrument_for(recorded[0].symbol, like=like)]
        like = Instrument.objects.filter(symbol=options["like"] or "").first()
        if like is None:
            raise CannotReplay("a chain takes its terms from an instrument: name one with --like")
        contracts = {str(contract): contract for part in chains for contract in part.contracts}
        return replay_account.chain_for(
            list(contracts.values()),
            like=like,
            zone=recorded[0].zone,
            cut_off=options["cut_off"],
        )

    def _look_through(self, recorded: list[RecordedFile], *, skip: bool) -> tuple[int, Arrival]:
        """Read everything once; return the rows and the first. Bad rows end it unless skipped."""
        problems: list[str] = []
        rows, first, latest = 0, None, None
        for part in recorded:
            found: list[Problem] = []
            for arrival in part.arrivals(found):
                first = first or arrival
                if latest is not None and arrival.at < latest.at:
                    raise UnreadableFile(f"{part.path.name} begins before the file given above it")
                rows += 1
            latest = arrival if rows else latest
            problems += [f"{part.path.name}, {problem}" for problem in found]
        for problem in problems[:SHOWN_PROBLEMS]:
            self.stderr.write(problem)
        if len(problems) > SHOWN_PROBLEMS:
            self.stderr.write(f"... and {len(problems) - SHOWN_PROBLEMS} more")
        if problems and not skip:
            raise CommandError(
                f"{len(problems)} rows cannot be used. Mend them, or leave them out with"
                " --skip-bad-rows"
            )
        if first is None:
            raise CommandError("there is not one row that can be used")
        return rows, first

    def _look_for_site(self, url: str) -> None:
        try:
            httpx.get(f"{url}/healthz", timeout=5).raise_for_status()
        except httpx.HTTPError as e:
            raise CommandError(f"nothing answers at {url} ({e}): start the site first") from e

    def _sum_up(
        self,
        connection: BrokerConnection,
        replay: Replay,
        *,
        seconds: float,
        spent: dict[str, float],
        said: dict[str, Any],
        report: Path | None,
    ) -> None:
        found = list(agreement.differences([connection.name]))
        busy = sum(spent.values())
        summary = {
            "account": connection.name,
            "symbols": [instrument.symbol for instrument in replay.instruments],
            "quotes": replay.tally.quotes,
            "quotes_stored": replay.tally.stored,
            "seconds": round(seconds, 1),
            "quotes_per_second": round(replay.tally.quotes / seconds),
            "stood_still_seconds": round(replay.tally.settle_seconds, 1),
            "orders": Order.objects.filter(connection=connection).count(),
            "fills": Fill.objects.filter(connection=connection).count(),
            "strategy": said,
            "processor_seconds": {name: round(value, 2) for name, value in spent.items()},
            "differences": found,
        }
        for name, value in summary.items():
            if name not in {"processor_seconds", "differences"}:
                self.stdout.write(f"{name}: {value}")
        for name, value in spent.items():
            self.stdout.write(f"  {name:>24} {value:8.2f} s {value / busy:6.1%}")
        if report is not None:
            with text_files.writing(report) as file:
                json.dump(summary, file, indent=2)
        if found:
            raise CommandError("\n".join(["what is stored does not agree:", *found]))
        self.stdout.write("orders, positions and the paper ledger agree with a fold of the fills")


def _arrivals(recorded: list[RecordedFile]) -> Iterator[Arrival]:
    for part in recorded:
        yield from part.arrivals([])


def _command(strategy: str) -> list[str]:
    """Return the command of a strategy."""
    kind, _, quantity = strategy.partition(":")
    if kind != "cross":
        return shlex.split(strategy)
    manage = str(Path(site.BASE_DIR) / "manage.py")
    return [sys.executable, manage, "run_replay_strategy", "--quantity", quantity or "1"]
