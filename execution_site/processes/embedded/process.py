"""Server processes: where their programs are, whom they run as, whether they live."""

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
from typing import NamedTuple

SERVICE_USER = "nobody"  # exists everywhere; PostgreSQL refuses to run as root
POLL_SECONDS = 0.02
KILL_SECONDS = 5.0

#: All that a server gets of our environment: whoever runs as its user can read what it got.
SERVER_VARIABLES = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "TMPDIR")

PROC = Path("/proc")


class ServiceFailed(Exception):
    """A server did not start; the message says why, or where to read why."""


class Account(NamedTuple):
    """Whom a server runs as."""

    uid: int
    gid: int


def program(*names: str, package: str, pattern: str) -> Path:
    """Return the program inside a wheel, found without importing it, else one on PATH.

    :raises ServiceFailed: there is neither
    """
    spec = find_spec(package)
    folders = (spec and spec.submodule_search_locations) or ()
    if found := sorted(path for folder in folders for path in Path(folder).glob(pattern)):
        return found[-1]
    for name in names:
        if on_path := shutil.which(name):
            return Path(on_path)
    raise ServiceFailed(
        f"no wheel with {names[0]} for this platform, and none on PATH:"
        " set DATABASE_URL and REDIS_URL to servers of your own"
    )


def account(directory: Path) -> Account:
    """Return whom a server with this directory runs as: us, or as root its owner, or nobody.

    What is root's takes after the folder that it is in.
    """
    if os.geteuid() != 0:
        return Account(os.geteuid(), os.getegid())
    for folder in (directory, directory.parent):
        if folder.exists() and (facts := folder.stat()).st_uid != 0:
            return Account(facts.st_uid, facts.st_gid)
    user = pwd.getpwnam(SERVICE_USER)
    return Account(user.pw_uid, user.pw_gid)


def popen_arguments(user: Account) -> dict[str, object]:
    """Return what keeps a server apart from us: its user, folder, session and environment."""
    kept = {name: os.environ[name] for name in SERVER_VARIABLES if name in os.environ}
    arguments: dict[str, object] = {"cwd": "/", "env": kept, "start_new_session": True}
    if os.geteuid() == 0:
        arguments |= {"user": user.uid, "group": user.gid, "extra_groups": []}
    return arguments


def let_through(path: Path, user: Account) -> None:
    """Let a server's user pass through the folders above `path`: execute only, and say so.

    :raises ServiceFailed: a folder cannot be opened
    """
    if os.geteuid() != 0:
        return
    for folder in path.resolve().parents:
        facts = folder.stat()
        if facts.st_mode & stat.S_IXOTH or facts.st_uid == user.uid:
            continue
        try:
            folder.chmod(stat.S_IMODE(facts.st_mode) | stat.S_IXOTH)
        except OSError as e:
            raise ServiceFailed(
                f"user {user.uid}, whom the services run as, may not enter {folder}:"
                f" chmod o+x {folder}, or set DATA_DIR elsewhere"
            ) from e
        sys.stderr.write(f"granted o+x on {folder}: the services run as user {user.uid}\n")


def running(pid: int, marker: str) -> bool:
    """Tell whether a process lives (no zombie) and its command line has the marker."""
    if PROC.is_dir():
        try:
            state = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[0]
            command = (PROC / str(pid) / "cmdline").read_bytes().decode(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            return False
    else:
        asked = ["ps", "-o", "state=,command=", "-p", str(pid)]
        answer = subprocess.run(asked, capture_output=True, text=True, check=False).stdout
        state, _, command = answer.strip().partition(" ")
    return bool(state) and state[0] != "Z" and marker in command


def kill_within(directory: Path, marker: str) -> None:
    """Kill what a killed server left behind in its directory, and wait until it is gone.

    It would write beside the next one. Where there is no /proc, PostgreSQL's own check of its
    shared memory has to do.
    """
    deadline = time.monotonic() + KILL_SECONDS
    while (left := _working_in(directory, marker)) and time.monotonic() < deadline:
        for pid in left:
            _signal(pid, signal.SIGKILL)
        time.sleep(POLL_SECONDS)


def end(pid: int, child: "subprocess.Popen[bytes] | None", *, number: int, seconds: float) -> None:
    """Signal a server and wait for it; what is left after the seconds is killed."""
    for signal_number, patience in ((number, seconds), (signal.SIGKILL, KILL_SECONDS)):
        if not _signal(pid, signal_number):
            return
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            if (child.poll() is not None) if child else not running(pid, ""):
                return
            time.sleep(POLL_SECONDS)


def _working_in(directory: Path, marker: str) -> list[int]:
    found = []
    for entry in PROC.glob("[0-9]*"):
        try:
            if (entry / "cwd").readlink() == directory and running(int(entry.name), marker):
                found.append(int(entry.name))
        except OSError:  # gone, or somebody else's
            continue
    return found


def _signal(pid: int, number: int) -> bool:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True
