"""The demo strategies: a moving-average cross per symbol, and an iron condor, over REST.

They read quotes from the API like any client, and survive a site that is away.
"""

import json
import logging
import time
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import httpx

from execution_site.demo import seed
from execution_site.demo.condor import Condor
from execution_site.demo.moving_average import Cross

FAST, SLOW = 5, 20
POLL_SECONDS = 0.5
STRATEGY = "ma_cross"
QUANTITIES = {
    "EURUSD": "10000",
    "GBPUSD": "5000",
    "BTCUSDT": "0.05",
    "ETHUSDT": "0.5",
    "AAPL": "10",
    "SBIN": "50",
}

logger = logging.getLogger(__name__)


def run(base_url: str) -> None:
    """Trade for ever."""
    key = _key()
    crosses = {symbol: Cross(FAST, SLOW) for symbol in QUANTITIES}
    condor = Condor()
    headers = {"Authorization": f"Api-Key {key}"}
    with httpx.Client(base_url=base_url, headers=headers, timeout=5) as client:
        while True:
            for symbol, cross in crosses.items():
                try:
                    _look(client, symbol, cross)
                except (httpx.HTTPError, ValueError) as e:
                    logger.warning("%s: %s", symbol, e)
            try:
                condor.look(client)
            except (httpx.HTTPError, KeyError, ValueError) as e:
                logger.warning("condor: %s", e)
            time.sleep(POLL_SECONDS)


def _key() -> str:
    """Return the strategy's key, once there is one: without it the demo trades nothing."""
    if not seed.key_file().exists():
        logger.warning("no key: the demo strategy waits for %s", seed.key_file())
    while not seed.key_file().exists():
        time.sleep(POLL_SECONDS)
    key: str = json.loads(seed.key_file().read_text())["key"]
    return key


def _look(client: httpx.Client, symbol: str, cross: Cross) -> None:
    answer = client.get(f"/api/v1/quotes/{symbol}")
    answer.raise_for_status()
    mark = answer.json()["mark"]
    if mark is None:
        return
    if action := cross.turn(Decimal(mark)):
        _signal(client, symbol, action)


def _signal(client: httpx.Client, symbol: str, action: str) -> None:
    """Leave what is held the other way, then enter: one signal each, keyed by time."""
    now = datetime.now(UTC)
    held = _held(client, symbol)
    wanted = 1 if action == "BUY" else -1
    if held * wanted < 0:
        _post(client, {"action": "EXIT", "symbol": symbol}, now=now, leg="exit")
    elif held == 0:
        body = {"action": action, "symbol": symbol, "quantity": QUANTITIES[symbol]}
        _post(client, body, now=now, leg="entry")


def _held(client: httpx.Client, symbol: str) -> Decimal:
    answer = client.get("/api/v1/positions", params={"symbol": symbol, "strategy": STRATEGY})
    answer.raise_for_status()
    return sum((Decimal(p["quantity"]) for p in answer.json()["results"]), Decimal(0))


def _post(client: httpx.Client, body: dict[str, Any], *, now: datetime, leg: str) -> None:
    signal = {
        "signal_id": f"{body['symbol']}/{now:%Y-%m-%dT%H:%M:%S.%f}/{leg}",
        "strategy": STRATEGY,
        "account": seed.ACCOUNT,
        "generated_at": now.isoformat().replace("+00:00", "Z"),
        "reason": f"{FAST}/{SLOW} average cross",
        **body,
    }
    answer = client.post("/api/v1/signals", json=signal)
    logger.info("%s %s: %s", body["action"], body["symbol"], answer.status_code)
