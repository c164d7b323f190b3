#!/usr/bin/env python
"""Runs a command of the site, beside a running one or with services started for it alone."""

import os
import sys
from contextlib import ExitStack
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured
from django.core.management import execute_from_command_line

from execution_site.installation import unprivileged
from execution_site.processes import embedded, roles
from execution_site.processes.embedded.process import ServiceFailed

#: Commands that ask no database: they start nothing.
WITHOUT_SERVICES = {
    "help", "version", "--help", "--version",
    "check", "collectstatic", "compilemessages", "findstatic",
}  # fmt: skip


#: Commands that change the schema or stand above it: they connect as the owner of the tables.
AS_OWNER = {"migrate", "prepare", "backup", "restore"}


def main() -> None:
    """Point the environment at PostgreSQL and Redis, then let Django do the rest."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "execution_site.settings")
    with ExitStack() as stack:
        try:
            if unprivileged.serves(_command(sys.argv[1:])):
                unprivileged.become(_data_dir(), sys.argv[1:])
            roles.die_with_supervisor()
            _find_services(sys.argv[1:], stack)
        except (ServiceFailed, ImproperlyConfigured, PermissionError) as e:
            sys.exit(f"The site's services cannot be used: {e}")
        _choose_role(sys.argv[1:])
        try:
            execute_from_command_line(sys.argv)
        except ImproperlyConfigured as e:
            sys.exit(str(e))


def _find_services(arguments: list[str], stack: ExitStack) -> None:
    """Start or find what the environment does not name; `run` only learns where it will be."""
    command = _command(arguments)
    names = embedded.missing(os.environ)
    asks_database = command not in WITHOUT_SERVICES or any("--database" in a for a in arguments)
    if not names or not asks_database or "--help" in arguments:
        return
    if command != "run":
        stack.enter_context(embedded.services_for(_data_dir(), names=names))
    embedded.export(_data_dir(), names, os.environ)


def _choose_role(arguments: list[str]) -> None:
    """Let the owner's address be known to those who need it, and to nobody else."""
    if _command(arguments) == "run":
        return  # the supervisor keeps it for `prepare`, and tells no role
    owner = os.environ.pop(roles.OWNER, "")
    if _command(arguments) not in AS_OWNER:
        return
    has_own = (_data_dir() / "runtime.json").exists()
    if not owner and has_own and "postgres" in embedded.ours(os.environ, _data_dir()):
        owner = embedded.owner_url(_data_dir())
    os.environ["DATABASE_URL"] = owner or os.environ.get("DATABASE_URL", "")


def _command(arguments: list[str]) -> str:
    return arguments[0] if arguments else "help"


def _data_dir() -> Path:
    given = os.environ.get("DATA_DIR") or Path(__file__).resolve().parent / ".data"
    return Path(given).resolve()


if __name__ == "__main__":
    main()
