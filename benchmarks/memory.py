"""`python -m benchmarks memory FILE ...`: resident memory of each process, at rest and replayed."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import psutil

from benchmarks import site
from benchmarks.measure import say
from execution_site.processes.embedded.runtime import free_port

REST_SECONDS = 10


class Whole(NamedTuple):
    """A whole site that runs, with the demo's account: its supervisor, its data, its settings."""

    pid: int
    directory: str
    environment: dict[str, str]


@contextmanager
def whole_site() -> Iterator[Whole]:
    """Run a whole site in a folder of its own, until the block ends."""
    with tempfile.TemporaryDirectory(prefix="execution-whole-") as directory:
        Path(directory).chmod(0o755)
        port = str(free_port())
        environment = {"DATA_DIR": directory, "PORT": port, "DEMO": "0", "FEED": "synthetic"}
        with site.process([sys.executable, "manage.py", "run"], **environment) as supervisor:
            while supervisor.stdout is not None and "Ready" not in supervisor.stdout.readline():
                pass
            manage(environment, "seed_demo")
            yield Whole(supervisor.pid, directory, environment)


def memory(files: list[str]) -> str:
    """Run a whole site, replay each file; return a Markdown table in MB (shared pages divided)."""
    with whole_site() as running:
        time.sleep(REST_SECONDS)
        taken = {"at rest": resident(running.pid, running.directory)}
        for file in files:
            say(f"  {file}")
            manage(running.environment, "replay_market", file, "--strategy", "cross:10000")
            taken[f"after {Path(file).stem}"] = resident(running.pid, running.directory)
    names = list(taken["at rest"])
    lines = [f"| process | {' | '.join(taken)} |", "|---" * (len(taken) + 1) + "|"]
    for name in names:
        figures = " | ".join(f"{column.get(name, 0):.0f}" for column in taken.values())
        lines.append(f"| {name} | {figures} |")
    return "\n".join(lines)


def manage(environment: dict[str, str], *arguments: str) -> str:
    """Run a manage.py command beside the site; return what it prints."""
    command = [sys.executable, "manage.py", *arguments]
    return subprocess.run(
        command,
        cwd=site.ROOT,
        env=os.environ | environment,
        check=True,
        capture_output=True,
        text=True,
    ).stdout


def resident(supervisor: int, directory: str) -> dict[str, float]:
    """Return the megabytes of each role and server, its children included."""
    roles = {
        child.cmdline()[-1].removeprefix("run_"): child
        for child in psutil.Process(supervisor).children()
        if child.cmdline() and child.cmdline()[-1].startswith("run_")
    }
    runtime = json.loads((Path(directory) / "runtime.json").read_text())
    servers = {name: psutil.Process(runtime[name]["pid"]) for name in ("postgres", "valkey")}
    return {
        name: sum(member.memory_full_info().pss for member in (one, *one.children(recursive=True)))
        / 1e6
        for name, one in sorted((roles | servers).items())
    }
