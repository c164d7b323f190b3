"""A server as a child of ours, or one adopted from an owner that was killed."""

import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

SERVICE_USER = "nobody"  # exists everywhere; PostgreSQL refuses to run as root
POLL_SECONDS = 0.02


class ServiceFailed(Exception):
    """A server did not start; the message says where to read why."""


def from_wheel(package: str, pattern: str) -> Path | None:
    """Return a file inside an installed package, found without importing it."""
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        return None
    found = sorted(Path(spec.submodule_search_locations[0]).glob(pattern))
    return found[-1] if found else None


def on_path(program: str) -> Path:
    """Return a program of the machine, for platforms without a wheel.

    :raises ServiceFailed: there is none
    """
    if (found := shutil.which(program)) is None:
        raise ServiceFailed(
            f"no wheel with {program} for this platform, and none on PATH:"
            " set DATABASE_URL and REDIS_URL to servers of your own"
        )
    return Path(found)


def identity() -> dict[str, object]:
    """Return Popen arguments that drop root for the service user."""
    if os.geteuid() != 0:
        return {}
    user = pwd.getpwnam(SERVICE_USER)
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def give(path: Path) -> None:
    """Make a private directory for the user the servers run as."""
    path.mkdir(parents=True, exist_ok=True)
    path.chmod(0o700)
    if os.geteuid() == 0:
        user = pwd.getpwnam(SERVICE_USER)
        os.chown(path, user.pw_uid, user.pw_gid)


def let_through(path: Path) -> None:
    """Let the service user pass through the folders above `path`: execute only, and say so."""
    if os.geteuid() != 0:
        return
    for parent in path.resolve().parents:
        mode = parent.stat().st_mode
        if not mode & stat.S_IXOTH:
            parent.chmod(stat.S_IMODE(mode) | stat.S_IXOTH)
            sys.stderr.write(f"granted o+x on {parent}: the database runs as {SERVICE_USER}\n")


def clean_environment() -> dict[str, str]:
    """Return our environment without anything that would redirect PostgreSQL."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PG")}


def running(pid: int | None, marker: str) -> bool:
    """Tell whether a process lives (no zombie) and is the one we mean."""
    if pid is None:
        return False
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        command = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return _alive_without_proc(pid)
    return state != "Z" and marker in command


def _alive_without_proc(pid: int) -> bool:
    if Path("/proc").is_dir():
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def spawn(command: list[str], *, log: Path, config: str | None = None) -> subprocess.Popen[bytes]:
    """Start a server as our direct child, in a session of its own; `config` goes to its input."""
    with log.open("ab") as output:
        child: subprocess.Popen[bytes] = subprocess.Popen(
            command,
            stdin=subprocess.PIPE if config is not None else subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd="/",
            env=clean_environment(),
            start_new_session=True,
            **identity(),  # type: ignore[call-overload]
        )
    if config is not None and child.stdin is not None:
        child.stdin.write(config.encode())
        child.stdin.close()
    return child


def end(pid: int, child: "subprocess.Popen[bytes] | None", *, number: int, seconds: float) -> None:
    """Signal a server and wait for it; what is left after the seconds is killed."""
    for signal_number, patience in ((number, seconds), (signal.SIGKILL, 5.0)):
        try:
            os.kill(pid, signal_number)
        except ProcessLookupError:
            return
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            if (child.poll() is not None) if child else not running(pid, ""):
                return
            time.sleep(POLL_SECONDS)
