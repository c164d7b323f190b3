"""The examples of README.md, run as they are printed, on a running site.

Only what differs here is replaced: the site's address, the path of Python, and the file to replay.
"""

import json
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.chaos.ticks import made_up_ticks

ROOT = Path(__file__).resolve().parent.parent.parent
BLOCK = re.compile(r"^```\n(.*?)^```", re.MULTILINE | re.DOTALL)
END = "the end of a block"
FILE = "eurusd_tick_2014-05-08.csv"


class Shell:
    """One shell for all blocks: a variable set in one is there in the next."""

    def __init__(self, site, replaced):
        self.replaced = replaced
        self.process = subprocess.Popen(
            ["bash"],
            cwd=ROOT,
            env=site.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, block):
        """Run a block and return what it printed."""
        for printed, here in self.replaced.items():
            block = block.replace(printed, here)
        self.process.stdin.write(f"{block}\necho; echo {END}\n")
        self.process.stdin.flush()
        lines = []
        for line in self.process.stdout:
            if line.strip() == END:
                return "".join(lines).strip()
            lines.append(line)
        raise AssertionError(f"the shell ended: {lines}")


@pytest.fixture
def shell(site, tmp_path):
    shell = Shell(
        site,
        {
            "http://127.0.0.1:8000": site.url,
            ".venv/bin/python": sys.executable,
            FILE: str(made_up_ticks(tmp_path / FILE)),
        },
    )
    yield shell
    shell.process.stdin.close()
    shell.process.wait(10)


@pytest.fixture
def blocks():
    """The shell blocks by what they are about; none is left out but the first, which starts it."""
    blocks = BLOCK.findall((ROOT / "README.md").read_text())
    about = {
        "start": "git clone",
        "signal": "/api/v1/signals",
        "replay": "replay_market",
        "kill": '"active": true',
        "release": '"active": false',
        "group": "/api/v1/groups",
    }
    found = {name: [b for b in blocks if text in b] for name, text in about.items()}
    assert {name: len(those) for name, those in found.items()} == dict.fromkeys(about, 1)
    assert len(blocks) == len(about)
    return {name: those[0] for name, those in found.items()}


def by_hand(client):
    """Return whether the strategy of the examples is stopped."""
    kills = client.get("/api/v1/system").json()["kill_switches"]
    return any(kill["scope"]["strategy"] == "by_hand" for kill in kills)


def test_the_examples_do_what_they_say(site, trade_key, shell, blocks):
    with site.client(trade_key) as client:
        site.chain(client)

        execution = json.loads(shell.run(blocks["signal"]))
        order_id = execution.get("order_id") or execution["order"]["id"]
        assert ended(client, f"/api/v1/orders/{order_id}") == "FILLED"
        again = json.loads(shell.run(blocks["signal"].split("\n\n")[1]))
        assert (again.get("order_id") or again["order"]["id"]) == order_id

        assert "code" not in json.loads(shell.run(blocks["kill"]))
        assert by_hand(client)
        assert "code" not in json.loads(shell.run(blocks["release"]))
        assert not by_hand(client)

        group = json.loads(shell.run(blocks["group"]))["group"]
        assert [leg["symbol"][:5] for leg in group["legs"]] == ["NIFTY", "NIFTY"]
        assert ended(client, f"/api/v1/groups/{group['id']}") == "FILLED"

    assert "agree with a fold of the fills" in shell.run(blocks["replay"])


def ended(client, path, *, seconds=60):
    """Wait until an order or a group is filled, or no longer can be; return its status."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        status = client.get(path).json()["status"]
        if status in {"FILLED", "CANCELLED", "REJECTED", "FAILED", "EXPIRED", "CLOSED"}:
            return status
        time.sleep(0.1)
    return status
