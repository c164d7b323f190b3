"""Which build and schema a site runs, and whether this process may work in it.

`manage.py prepare` notes the build it belongs to. A process of another build, or one that meets
migrations it does not know, refuses to work: half a deployment sends no orders.
"""

import hashlib
from datetime import datetime
from functools import cache
from typing import Any

import psycopg
from django.conf import settings
from django.db import models
from django.db.migrations.loader import MigrationLoader

PACKAGES = ("execution_site", "brokers", "portfolio", "risk", "orders")


class Mismatch(Exception):
    """This process is not of the build or the schema that the site runs."""


class Release(models.Model):
    """The build that the site runs: one row."""

    build = models.CharField(max_length=64)
    prepared_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.build


@cache
def build() -> str:
    """Return what identifies the code of this process, as it was when first asked."""
    digest = hashlib.sha256()
    for package in PACKAGES:
        for path in sorted((settings.BASE_DIR / package).rglob("*.py")):
            digest.update(str(path.relative_to(settings.BASE_DIR)).encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


@cache
def _known() -> frozenset[tuple[str, str]]:
    """Return the migrations that this code brings."""
    return frozenset(MigrationLoader(None).disk_migrations)


def check(connection: "psycopg.Connection[Any]") -> None:
    """Refuse a site of another build or schema.

    :raises Mismatch: saying what differs
    """
    released, applied = connection.execute(_RELEASED).fetchone() or (None, None)
    names = {(app, name) for app, name in applied or ()}
    ours = {app for app, _ in _known()}
    if newer := sorted((app, name) for app, name in names - _known() if app in ours):
        raise Mismatch(f"the database is newer: this code does not know {_listed(newer)}")
    if missing := sorted(_known() - names):
        raise Mismatch(f"the database lacks {_listed(missing)}: run manage.py prepare")
    if released is not None and released != build():
        raise Mismatch(
            f"the site runs build {released}, and this process is of {build()}:"
            " restart it, or run manage.py prepare where this one is the newer"
        )


def install(*, now: datetime) -> None:
    """Note that the site runs this build from now on."""
    Release.objects.update_or_create(pk=1, defaults={"build": build(), "prepared_at": now})


def _listed(names: list[tuple[str, str]]) -> str:
    return ", ".join(f"{app}.{name}" for app, name in names)


_RELEASED = """
SELECT (SELECT build FROM execution_site_release WHERE id = 1),
       (SELECT json_agg(json_build_array(app, name)) FROM django_migrations)
"""
