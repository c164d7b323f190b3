"""PostgreSQL and Valkey for the tests: loaded before Django reads its settings.

DATABASE_URL (with DATABASE_OWNER_URL) and REDIS_URL choose servers; unset, the embedded ones are
started for this run, not flushing to disk, which tests of crashes do in sites of their own
(tests/site.py). Their data is in memory where there is room, which makes a database per test ten
times cheaper. Each run has a folder of its own; what a killed run left behind is stopped and
removed by the next.
"""

import atexit
import itertools
import os
import shutil
import sys
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from execution_site.processes import embedded
from execution_site.processes.embedded import AlreadyOwned, Services

MEMORY = Path("/dev/shm")
ROOM = 2 * 1024**3  # bytes
ON_DISK = Path(__file__).resolve().parent.parent / ".data" / "tests"


def _parent() -> Path:
    if MEMORY.is_dir() and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > ROOM:
        return MEMORY / f"execution-tests-{os.getuid()}"
    return ON_DISK


def _own_a_folder() -> Services:
    """Return services in an empty folder that no other run uses."""
    for number in itertools.count():
        folder = _parent() / str(number)
        try:
            left = Services(folder, durable=False)
            left.own()
            _finish(left)
            services = Services(folder, durable=False)
            services.own()
        except AlreadyOwned:
            continue
        return services
    raise AssertionError


def _finish(services: Services) -> None:
    """Stop the servers and remove their data; the file that opens it goes last."""
    for server in services.servers:
        server.stop()
    for path in sorted(services.data_dir.iterdir(), key=Path.is_file):
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != "lock":
            path.unlink()
    services.disown()


def _sign_in_cheaply(address: str) -> None:
    """Have the password hashed once: 4,096 times is three quarters of what a connection costs."""
    password = urlsplit(address).password
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute("SET scram_iterations = 1")
        connection.execute(sql.SQL("ALTER ROLE CURRENT_USER PASSWORD {}").format(password))


#: Most tests sign in by password alone; those of the second factor ask for it themselves.
os.environ["REQUIRE_SECOND_FACTOR"] = "0"

#: With `-n` the workers have services of their own, and this process runs no test.
_RUNS_NO_TEST = "-n" in sys.argv and "PYTEST_XDIST_WORKER" not in os.environ

if not _RUNS_NO_TEST and (names := embedded.missing(os.environ)):
    _services = _own_a_folder()
    _services.start()
    atexit.register(_finish, _services)
    embedded.export(_services.data_dir, names, os.environ)
    os.environ["DATABASE_OWNER_URL"] = embedded.owner_url(_services.data_dir)
    os.environ["DATA_DIR"] = str(_services.data_dir)
    if "postgres" in names:
        for name in ("DATABASE_URL", "DATABASE_OWNER_URL"):
            _sign_in_cheaply(os.environ[name])
    (_services.data_dir / "staticfiles").mkdir()  # else WhiteNoise warns each time
