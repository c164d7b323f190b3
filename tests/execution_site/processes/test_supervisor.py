"""The supervisor: what it refuses to start, what it brings back, what it leaves behind."""

import os
import socket
import stat
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta

import psutil
import psycopg
import pytest

import manage
from execution_site.models import ProcessStatus
from execution_site.processes import roles
from execution_site.processes.embedded import Services
from execution_site.processes.embedded.process import running
from execution_site.processes.embedded.runtime import free_port
from execution_site.processes.process_report import ProcessState, Reporter
from execution_site.processes.roles import Role, backoff, prefixed
from execution_site.processes.supervisor import CannotStart, Supervisor
from tests.site import Site

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
ROLES = ["web", "worker", "beat", "sealer", "market"]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A bare site of this module's own: its supervisor is killed here."""
    bare = Site(tmp_path_factory.mktemp("bare"))
    yield bare.start()
    bare.discard()


def wait_for(told, *, seconds=10):
    """Wait until something is so."""
    deadline = time.monotonic() + seconds
    while not (answer := told()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)
    return answer


@pytest.mark.parametrize(
    ("deaths", "seconds"),
    [(1, 0), (2, 1), (3, 2), (4, 4), (5, 8), (6, 16), (7, 30), (8, 30), (500, 30)],
)
def test_the_first_restart_is_at_once_and_each_quick_death_doubles_the_pause(deaths, seconds):
    assert backoff(deaths) == seconds


@pytest.mark.parametrize(
    ("_case", "lived", "pauses"),
    [
        ("quick deaths add up", 59, [0, 1, 2]),
        ("after a minute it counts as well again", 61, [0, 0, 0]),
    ],
)
def test_a_role_that_dies_is_due_again(monkeypatch, _case, lived, pauses):
    now, started = [1_000.0], []
    monkeypatch.setattr(roles.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(Role, "_spawn", lambda _: started.append(now[0]) or _Dead())
    role = Role("web", "run_web")
    role.start()
    for pause in pauses:
        now[0] += lived
        assert role.look()
        assert (role.state, role.last_exit, role.pid) == ("restarting", -9, None)
        if pause:
            now[0] += pause - 0.1
            assert not role.look()
            now[0] += 0.1
        assert role.look()
        assert role.state == "up"

    assert role.restarts == len(pauses)


class _Dead:
    """A child that has ended."""

    pid = 1

    def poll(self):
        return -9


def test_lines_carry_the_name_of_their_process():
    assert prefixed("web", "hello\n", colored=False) == "     web | hello\n"
    assert prefixed("web", "hello", colored=True) == "\x1b[36m     web | \x1b[0mhello"


def test_a_child_of_a_supervisor_that_is_gone_does_not_start():
    environment = {**os.environ, roles.PARENT: "1"}
    command = [sys.executable, str(roles.MANAGE), "version"]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    assert (ran.returncode, ran.stdout) == (1, "")
    assert "the supervisor is gone" in ran.stderr


@pytest.fixture
def bare(tmp_path, monkeypatch):
    """A supervisor of an empty folder, with servers of its own nowhere."""
    monkeypatch.setattr("execution_site.processes.supervisor.PORT_SECONDS", 0.3)
    return Supervisor(tmp_path / "data", host="127.0.0.1", port=free_port())


def test_a_taken_port_ends_it_before_anything_starts(bare):
    told = f"Port {bare.port} .*PORT={bare.port + 1} make run"
    with socket.create_server(("127.0.0.1", bare.port)), pytest.raises(CannotStart, match=told):
        bare.run()

    assert not (bare.data_dir / "postgres").exists()


def test_a_port_of_roots_ends_it_before_anything_starts(bare, monkeypatch):
    def refuse(*_):
        raise PermissionError

    monkeypatch.setattr("execution_site.processes.supervisor.port_is_free", refuse)
    with pytest.raises(CannotStart, match=f"Port {bare.port} is for root alone"):
        bare.run()

    assert not (bare.data_dir / "postgres").exists()


@pytest.mark.parametrize(
    ("command", "address", "owner"),
    [
        ("run", "app", "owner"),
        ("prepare", "owner", None),
        ("migrate", "owner", None),
        ("run_web", "app", None),
        ("shell", "app", None),
    ],
)
def test_the_owner_of_the_tables_is_told_to_who_needs_it(
    tmp_path, monkeypatch, command, address, owner
):
    for variable, value in {"DATABASE_URL": "app", roles.OWNER: "owner"}.items():
        monkeypatch.setenv(variable, value)
    monkeypatch.setenv("DATA_DIR", str(tmp_path))

    manage._choose_role([command])

    assert (os.environ["DATABASE_URL"], os.environ.get(roles.OWNER)) == (address, owner)


def test_the_supervisor_tells_the_owner_of_the_tables_to_its_preparation_alone(
    bare, tmp_path, monkeypatch
):
    told = tmp_path / "told"
    script = tmp_path / "manage.py"
    script.write_text(
        "import os, sys; from pathlib import Path\n"
        f"Path({str(told)!r}, sys.argv[1]).write_text(os.environ.get('{roles.OWNER}', 'nothing'))"
    )
    told.mkdir()
    monkeypatch.setenv(roles.OWNER, "owner")
    for module in ("supervisor", "roles"):
        monkeypatch.setattr(f"execution_site.processes.{module}.MANAGE", script)

    bare._manage("prepare")
    role = Role("web", "run_web")
    role.start()
    role.child.wait()

    assert {path.name: path.read_text() for path in told.iterdir()} == {
        "prepare": "owner",
        "run_web": "nothing",
    }


def test_a_second_one_is_told_who_runs(bare):
    other = Services(bare.data_dir, names=[])
    other.own()

    with pytest.raises(CannotStart, match=f"running already: process {os.getpid()}"):
        bare.run()
    other.disown()


def test_states_are_written_at_once_and_kept_up(db):
    ProcessStatus.objects.create(name="strategy", state="up", since=NOW, updated_at=NOW)
    reporter = Reporter()
    up = ProcessState("web", "up", 17, NOW, 0, None)
    down = ProcessState("web", "restarting", None, NOW + timedelta(seconds=1), 1, -9)

    reporter.show([up])
    wait_for(lambda: ProcessStatus.objects.filter(name="web", pid=17, state="up").exists())
    reporter.show([down])
    reporter.close()

    row = ProcessStatus.objects.get()  # what no longer is part of the site is forgotten
    assert (row.state, row.pid, row.restarts, row.last_exit) == ("restarting", None, 1, -9)
    assert datetime.now(UTC) - row.updated_at < timedelta(seconds=5)


def test_a_database_that_is_away_is_told_later(db):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DATABASE_URL", f"postgresql://nobody@127.0.0.1:{free_port()}/none")
        reporter = Reporter()
        reporter.show([ProcessState("web", "up", 17, NOW, 0, None)])
        wait_for(lambda: reporter._failing)

    wait_for(ProcessStatus.objects.exists)
    reporter.close()


def test_everything_runs_and_is_reported(site):
    states = wait_for(lambda: (s := site.states()) and all(pid for _, pid in s.values()) and s)

    assert sorted(states) == sorted([*ROLES, "postgres", "valkey"])
    assert {state for state, _ in states.values()} == {"up"}
    assert running(states["web"][1], "run_web")


@pytest.mark.parametrize("name", ["web", "postgres", "valkey"])
def test_what_is_killed_comes_back(site, name):
    killed = site.kill(name)

    assert site.wait_until_back(name, killed=killed) < 15


def test_commands_work_beside_it(site):
    assert site.manage("showmigrations", "--plan").stdout.startswith("[X]")
    assert wait_for(site.states)


def test_a_second_site_on_the_same_folder_is_refused(site):
    second = site.manage("run", check=False)

    assert second.returncode == 1
    assert f"process {site.pid('supervisor')} runs" in second.stderr
    assert site.states()["postgres"][0] == "up"


def test_no_process_of_the_site_is_roots_whoever_started_it(site):
    supervisor = psutil.Process(site.pid("supervisor"))
    processes = [supervisor, *supervisor.children(recursive=True)]

    assert {child.pid for child in processes} >= {pid for _, pid in site.states().values()}
    for child in processes:
        assert 0 not in child.uids(), child.cmdline()
        assert 0 not in child.gids(), child.cmdline()


def test_what_commands_write_beside_it_locks_no_process_of_it_out(site):
    """Run by whoever runs the tests, root too; the site reads it all again when it is started."""
    site.manage("rotate_audit_key", "--reason", "who owns the file")
    site.wait_for("SELECT count(*) > 0 FROM execution_site_seal")
    site.manage("anchor_audit", "--actor", "tests", "--reason", "who owns the file")

    user = site.data_dir.stat().st_uid
    assert user == psutil.Process(site.pid("web")).uids().effective
    for path in site.data_dir.iterdir():
        assert path.stat().st_uid == user, path
        assert path.is_dir() or stat.S_IMODE(path.stat().st_mode) == 0o600, path


def test_a_killed_supervisor_takes_the_roles_along_and_leaves_the_data(site):
    before = {name: pid for name, (_, pid) in site.states().items()}
    site.kill("supervisor")
    site.process.wait()

    wait_for(lambda: not any(running(before[role], "manage.py") for role in ROLES))
    assert running(before["postgres"], "postgres")
    site.start()
    assert site.pid("postgres") == before["postgres"]


def test_it_stops_everything(site):
    site.kill("beat")  # also while a role waits for its restart
    pids = [pid for _, pid in site.states().values() if pid]

    assert site.stop() == 0
    assert not [pid for pid in pids if running(pid, "")]
    with pytest.raises(psycopg.OperationalError):
        site.connect()


def test_a_misconfigured_site_ends_with_a_hint_before_anything_starts(tmp_path):
    misconfigured = Site(tmp_path, DEBUG="0", ALLOWED_HOSTS="*")

    ran = misconfigured.manage("run", check=False)

    assert ran.returncode == 1
    assert "execution.E002" in ran.stderr
    assert "Set ALLOWED_HOSTS" in ran.stderr
    assert not (misconfigured.data_dir / "postgres").exists()
