"""The demo's option strategy: an iron condor on the synthetic NIFTY, opened and closed as one.

It picks its strikes from the option chain of the API, like any client.
"""

import logging
import time
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import httpx

from execution_site.demo import chain, seed

STRATEGY = "iron_condor"
HELD_SECONDS = 120
PAUSE_SECONDS = 15
#: Distance from the money, right, action: the outer legs protect the inner ones.
LEGS = ((-500, "put", "BUY"), (-250, "put", "SELL"), (250, "call", "SELL"), (500, "call", "BUY"))
WAITS = frozenset({"CREATED", "UNWINDING"})

logger = logging.getLogger(__name__)


class Condor:
    """Opens a condor, holds it for two minutes, closes it, and begins again."""

    def __init__(self) -> None:
        self._next = 0.0

    def look(self, client: httpx.Client) -> None:
        """Do what is due.

        :raises httpx.HTTPError: the site did not answer as it should
        """
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + PAUSE_SECONDS
        answer = client.get("/api/v1/groups", params={"strategy": STRATEGY})
        answer.raise_for_status()
        held = [group for group in answer.json()["results"] if group["status"] != "CLOSED"]
        if any(group["status"] in WAITS for group in held):
            return
        filled = [group for group in held if group["status"] in {"FILLED", "PARTIALLY_FILLED"}]
        if not filled:
            self._open(client)
        elif (group := filled[0]) and _age(group["created_at"]) > HELD_SECONDS:
            body = {"reason": f"held for {HELD_SECONDS} s"}
            answer = client.post(f"/api/v1/groups/{group['id']}/exit", json=body)
            logger.info("exit of group %s: %s", group["id"], answer.status_code)

    def _open(self, client: httpx.Client) -> None:
        answer = client.get(f"/api/v1/option-chain/{chain.UNDERLYING}")
        answer.raise_for_status()
        strikes = {Decimal(row["strike"]): row for row in answer.json()["strikes"]}
        forward = _forward(strikes)
        if forward is None:
            return  # not valued yet
        step = chain.STRIKE_STEP
        middle = round(forward / step) * step
        legs = [
            {"symbol": strikes[Decimal(middle + away)][right]["symbol"], "action": action}
            | {"quantity": str(chain.LOT)}
            for away, right, action in LEGS
        ]
        now = datetime.now(UTC)
        body = {
            "signal_id": f"condor/{now:%Y-%m-%dT%H:%M:%S}",
            "strategy": STRATEGY,
            "account": seed.ACCOUNT,
            "type": "IRON_CONDOR",
            "legs": legs,
            "generated_at": now.isoformat().replace("+00:00", "Z"),
            "reason": "short volatility, with wings",
        }
        answer = client.post("/api/v1/groups", json=body)
        logger.info("iron condor around %s: %s", middle, answer.status_code)


def _forward(strikes: dict[Decimal, dict[str, Any]]) -> float | None:
    for row in strikes.values():
        greeks = row["call"] and row["call"]["greeks"]
        if greeks:
            return float(greeks["forward"])
    return None


def _age(created_at: str) -> float:
    return (datetime.now(UTC) - datetime.fromisoformat(created_at)).total_seconds()
