#!/usr/bin/env python
"""Runs a command of the site, beside a running one or with services started for it alone."""

import os
import sys
from contextlib import ExitStack
from pathlib import Path

from django.core.management import execute_from_command_line

from execution_site import embedded, roles
from execution_site.embedded.process import ServiceFailed

#: Commands that ask no database: they start nothing.
WITHOUT_SERVICES = {
    "help", "version", "--help", "--version",
    "check", "collectstatic", "compilemessages", "findstatic",
}  # fmt: skip


def main() -> None:
    """Point the environment at PostgreSQL and Redis, then let Django do the rest."""
    roles.die_with_supervisor()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "execution_site.settings")
    with ExitStack() as stack:
        try:
            _find_services(sys.argv[1:], stack)
        except (ServiceFailed, PermissionError) as e:
            sys.exit(f"The site's services cannot be used: {e}")
        execute_from_command_line(sys.argv)


def _find_services(arguments: list[str], stack: ExitStack) -> None:
    """Start or find what the environment does not name; `run` only learns where it will be."""
    command = arguments[0] if arguments else "help"
    names = embedded.missing(os.environ)
    asks_database = command not in WITHOUT_SERVICES or any("--database" in a for a in arguments)
    if not names or not asks_database or "--help" in arguments:
        return
    data_dir = Path(os.environ.get("DATA_DIR") or Path(__file__).resolve().parent / ".data")
    if command != "run":
        stack.enter_context(embedded.services_for(data_dir.resolve(), names=names))
    embedded.export(data_dir.resolve(), names, os.environ)


if __name__ == "__main__":
    main()
