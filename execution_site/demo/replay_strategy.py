"""The strategy of a replay: a moving-average cross in lock-step (orders/market/participants.py).

At each cross it sends one signal over REST: the first opens, each later one turns the position.
"""

import json
import time
from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
from statistics import median
from typing import Any, TextIO

import httpx

from execution_site.demo.moving_average import Cross

ANSWERED = {200, 202, 422}  # 422: risk refused it, which is an answer too


@dataclass
class Sent:
    """What was sent and how it was answered; seconds each."""

    answers: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Return the summary."""
        return {
            "signals": sum(self.answers.values()),
            "answers": dict(sorted(self.answers.items())),
            "answer_ms_p50": round(median(self.seconds) * 1000, 2) if self.seconds else None,
        }


def run(
    client: httpx.Client,
    *,
    account: str,
    strategy: str,
    cross: Cross,
    quantity: Decimal,
    lines: TextIO,
    answers: TextIO,
) -> None:
    """Trade what the lines show, until they end.

    :raises httpx.HTTPError: a signal was neither admitted nor refused; the replay then ends
    """
    sent = Sent()
    for line in lines:
        shown = json.loads(line)
        action = cross.turn(_price(shown))
        if action is None:
            _say(answers, "next")
            continue
        _say(answers, "signal")
        next(lines)  # go
        body = {
            "signal_id": f"{shown['symbol']}/{shown['as_of']}/{sum(sent.answers.values())}",
            "strategy": strategy,
            "account": account,
            "symbol": shown["symbol"],
            "action": action,
            "quantity": str(quantity * (2 if sent.answers else 1)),
            "generated_at": shown["as_of"],
            "reason": f"{cross.fast}/{cross.slow} average cross",
        }
        started = time.perf_counter()
        answer = client.post("/api/v1/signals", json=body)
        sent.seconds.append(time.perf_counter() - started)
        sent.answers[str(answer.status_code)] += 1
        if answer.status_code not in ANSWERED:
            answer.raise_for_status()
        _say(answers, "next")
    _say(answers, json.dumps(sent.as_json()))


def _price(shown: dict[str, Any]) -> Decimal:
    """Return the mid, or the last trade where there is no two-sided book."""
    if shown["bid"] is not None and shown["ask"] is not None:
        return (Decimal(shown["bid"]) + Decimal(shown["ask"])) / 2
    return Decimal(shown["last"] or shown["bid"] or shown["ask"])


def _say(answers: TextIO, line: str) -> None:
    answers.write(f"{line}\n")
    answers.flush()
