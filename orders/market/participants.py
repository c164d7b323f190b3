"""A strategy that takes part in a replay: a process that sees the market in lock-step.

It reads one line of JSON for each quote from its standard input, and answers each with a line on
its standard output: `next`, or `signal`. After `signal` it waits for the line `go`, which says that
the market stands at that quote, sends its signals over REST, and then says `next`. So the market
never runs ahead of it, and it never sees ahead of the market. At the end of its input it may print
one line of JSON about what it did.
"""

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any, Self

from brokers.contract import QuoteUpdate
from brokers.instruments.kinds import optional_text


class ParticipantFailed(Exception):
    """The strategy ended early, or said something that is not of the protocol."""


class Participant:
    """One strategy's process. Use it as a context."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
        )

    @property
    def pid(self) -> int:
        """Return its process id."""
        return self._process.pid

    def see(self, update: QuoteUpdate) -> bool:
        """Show a quote and tell whether the strategy wants to send signals at it.

        :raises ParticipantFailed: it is gone, or does not keep to the protocol
        """
        shown = {
            "symbol": update.symbol,
            "as_of": update.as_of.isoformat(),
            "bid": optional_text(update.bid),
            "ask": optional_text(update.ask),
            "last": optional_text(update.last),
        }
        return self._ask(json.dumps(shown)) == "signal"

    def go(self) -> None:
        """Let it send its signals, and wait until they are answered.

        :raises ParticipantFailed: as `see`
        """
        if self._ask("go") != "next":
            raise ParticipantFailed("the strategy asked for a second go at one quote")

    def finish(self) -> dict[str, Any]:
        """End its input and return what it says of itself.

        :raises ParticipantFailed: it ended with an error
        """
        said, _ = self._process.communicate()
        if self._process.returncode:
            raise ParticipantFailed(f"the strategy ended with {self._process.returncode}")
        return json.loads(said) if said.strip() else {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.terminate()
            self._process.wait()

    def _ask(self, line: str) -> str:
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            raise ParticipantFailed("the strategy has no pipes")
        try:
            stdin.write(f"{line}\n")
            stdin.flush()
            answer = stdout.readline().strip()
        except BrokenPipeError as e:
            raise ParticipantFailed("the strategy has ended") from e
        if answer not in {"next", "signal"}:
            raise ParticipantFailed(f"the strategy said {answer!r}, not next or signal")
        return answer
