"""A database for each test: a clone of one that was migrated for this run.

Truncating is refused by the append-only tables, and rolling back would hide what happens after a
commit and between two connections. In memory a clone takes some 15 ms.
"""

import itertools
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from urllib.parse import urlsplit

import psycopg
from django.conf import settings
from django.core.management import call_command
from django.db import connections

ALIASES = ("default", "paper")
#: Whose addresses these variables hold. Tests connect as the application does.
APPLICATION, OWNER = "DATABASE_URL", "DATABASE_OWNER_URL"


class Clones:
    """Makes and drops the tests' databases."""

    def __init__(self):
        """Migrate the template."""
        self.template = f"template_{os.getpid()}"
        self._numbers = itertools.count(1)
        self._maker, self._remover = _connect(), _connect()
        self._dropper = ThreadPoolExecutor(1)  # a drop waits for connections to go away
        self._maker.execute(f"CREATE DATABASE {self.template}")
        use(self.template, address=OWNER)
        call_command("migrate", interactive=False, verbosity=0, skip_checks=True)
        use(self.template)

    def make(self):
        """Return the name of a fresh database."""
        name = f"test_{os.getpid()}_{next(self._numbers)}"
        self._maker.execute(f"CREATE DATABASE {name} TEMPLATE {self.template} STRATEGY file_copy")
        return name

    def drop(self, name):
        """Drop a database, whoever is still connected to it, while the next test runs."""
        self._dropper.submit(self._remover.execute, f"DROP DATABASE {name} WITH (FORCE)")

    def close(self):
        """Leave nothing behind."""
        self.drop(self.template)
        self._dropper.shutdown()
        self._maker.close()
        self._remover.close()


def execute(statement):
    """Run a statement outside every test's database."""
    with _connect() as connection:
        connection.execute(statement)


def _connect():
    return psycopg.connect(url_of("postgres", address=OWNER), autocommit=True)


@contextmanager
def as_owner():
    """Connect to the test's database as the owner of its tables, who may do what we may not."""
    name = connections.settings["default"]["NAME"]
    with psycopg.connect(url_of(name, address=OWNER), autocommit=True) as connection:
        yield connection


def url_of(name, *, address=APPLICATION):
    """Return the address of a database beside the configured one."""
    return os.environ[address].rpartition("/")[0] + f"/{name}"


def use(name, *, address=APPLICATION):
    """Point both connections, of this thread and of later ones, at a database."""
    connections.close_all()
    role = urlsplit(os.environ[address])
    for alias in ALIASES:
        connections.settings[alias] |= {
            "NAME": name,
            "USER": role.username,
            "PASSWORD": role.password,
        }
    os.environ[APPLICATION] = url_of(name)
    settings.DATABASE_SECRET_URL = url_of(name, address=address)
