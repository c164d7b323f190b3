"""Nothing that serves is root: who breaks into a process of the site has no more than its user has.

As root, `manage.py run`, `prepare` and the roles go on as the owner of the data directory, or as
`nobody` where that is root; servers and services are the same user's. Other commands stay root, as
they read and write what root may, and give what they make in the data directory to its owner
(execution_site/floor/private_files.py). Nothing of Django is needed here.
"""

import ctypes
import os
import pwd
import stat
import sys
from collections.abc import Sequence
from pathlib import Path

import psycopg

from execution_site.processes.embedded import process
from execution_site.processes.embedded.process import Account, ServiceFailed
from execution_site.processes.roles import MANAGE, PR_SET_PDEATHSIG

#: What is read first of the clone, of its packages, and of Python: the rest is like it.
READ_FIRST = (MANAGE, Path(__file__), Path(psycopg.__file__), Path(os.__file__))
#: Each installation's folder holds one of these.
MARKS = ("secrets.json", "runtime.json", "audit-anchor.jsonl")
#: What it may hold beside the servers' own folders.
FILES = (*MARKS, "audit-anchor.*.jsonl", "demo-key.json", "lock", "users", "*.log", "*.log.1")
PR_GET_PDEATHSIG = 2


def serves(command: str) -> bool:
    """Tell whether a command of manage.py serves, or makes what serves ready."""
    return command in {"prepare", "run"} or command.startswith("run_")


def become(data_dir: Path, arguments: Sequence[str]) -> None:
    """As root, begin this command again as the user of the data directory.

    :raises ServiceFailed: that user could not work; the message says what to do
    """
    if os.geteuid() != 0:
        return
    user = process.account(data_dir / "postgres")
    try:
        let_list(MANAGE, user)
        for path in READ_FIRST:
            check_readable(path, user)
        hand_over(data_dir, user)
        for path in (data_dir / "any", Path(sys.prefix, "any"), *READ_FIRST):
            process.let_through(path, user)
        _give_root_up(user)
        environment = {**os.environ, **_environment(data_dir, user)}
        os.execve(sys.executable, [sys.executable, str(MANAGE), *arguments], environment)
    except OSError as e:
        raise ServiceFailed(
            f"root cannot go on as user {name(user)} ({e}): start the site as a user of its own"
        ) from e


def hand_over(data_dir: Path, user: Account) -> None:
    """Give a data directory of root's to the user, with what an installation has in it.

    :raises ServiceFailed: it holds other things: it may be anybody's
    """
    data_dir.mkdir(parents=True, exist_ok=True)
    if data_dir.stat().st_uid != 0:
        return
    if any(data_dir.iterdir()) and not any((data_dir / mark).exists() for mark in MARKS):
        raise ServiceFailed(
            f"{data_dir} is root's and holds other things: it is not given to user {name(user)}."
            " Set DATA_DIR to a folder of the site's own"
        )
    for path in [path for pattern in FILES for path in data_dir.glob(pattern)]:
        if path.lstat().st_uid == 0:
            os.chown(path, user.uid, user.gid, follow_symlinks=False)
    os.chown(data_dir, user.uid, user.gid)


def let_list(file: Path, user: Account) -> None:
    """Let the user list the folder of a file that it may read: folders are made for root alone."""
    folder, needed = file.parent, stat.S_IROTH | stat.S_IXOTH
    facts = folder.stat()
    closed = facts.st_uid != user.uid and facts.st_mode & needed != needed
    if closed and file.stat().st_mode & stat.S_IROTH:
        folder.chmod(stat.S_IMODE(facts.st_mode) | needed)
        sys.stderr.write(f"granted o+rx on {folder}: the site runs as user {name(user)}\n")


def check_readable(path: Path, user: Account) -> None:
    """Check that the user may read a file, and list the folder that it is in.

    :raises ServiceFailed: it may not
    """
    for needed in (path.parent, path):
        facts = needed.stat()
        shift = 6 if facts.st_uid == user.uid else 3 if facts.st_gid == user.gid else 0
        if not facts.st_mode >> shift & stat.S_IROTH:
            raise ServiceFailed(
                f"user {name(user)}, whom the site runs as where root starts it, may not read"
                f" {needed}: chmod -R o+rX {path.parent}, or start the site as a user of its own"
            )


def name(user: Account) -> str:
    """Return what the user is called, its number where it has no name."""
    try:
        return pwd.getpwuid(user.uid).pw_name
    except KeyError:
        return str(user.uid)


def _environment(data_dir: Path, user: Account) -> dict[str, str]:
    """Return what differs for the user: libraries look into HOME, and root's is closed to it."""
    try:
        home = pwd.getpwuid(user.uid).pw_dir
    except KeyError:
        home = "/"
    changed = {"HOME": home, "USER": name(user), "LOGNAME": name(user)}
    if not sys.dont_write_bytecode:  # it may not write beside the sources
        changed["PYTHONPYCACHEPREFIX"] = str(data_dir / "pycache")
    return changed


def _give_root_up(user: Account) -> None:
    """Become the user for good; who is to end with its parent still does."""
    libc, ends_with_parent = ctypes.CDLL(None), ctypes.c_int(0)
    if sys.platform == "linux":
        libc.prctl(PR_GET_PDEATHSIG, ctypes.byref(ends_with_parent))
    os.setgroups([])
    os.setgid(user.gid)
    os.setuid(user.uid)
    if sys.platform == "linux":  # which the change of user has taken back
        libc.prctl(PR_SET_PDEATHSIG, ends_with_parent)
