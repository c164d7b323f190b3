#!/usr/bin/env python
"""Runs a command of the site, beside a running one or with services started for it alone."""

import os
import sys
from contextlib import ExitStack
from pathlib import Path

from django.core.management import execute_from_command_line

from execution_site.embedded import services_for

#: Commands that need no database, and `run`, which owns the services itself.
WITHOUT_SERVICES = {"help", "version", "--help", "--version", "makemigrations", "run"}


def main() -> None:
    """Point the environment at PostgreSQL and Redis, then let Django do the rest."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "execution_site.settings")
    command = sys.argv[1] if len(sys.argv) > 1 else "help"
    with ExitStack() as stack:
        if command not in WITHOUT_SERVICES and not os.environ.get("DATABASE_URL"):
            default = Path(__file__).resolve().parent / ".data"
            data_dir = Path(os.environ.get("DATA_DIR") or default).resolve()
            services = stack.enter_context(services_for(data_dir))
            for name, value in services.runtime.environment().items():
                os.environ.setdefault(name, value)
        execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
