"""How every process does: by its own heart where it has one, else by its supervisor's word."""

from datetime import datetime
from typing import Any

from django.db import connection, models

from execution_site.floor.hearts import ROLES, SILENT_SECONDS, Heart


class ProcessStatus(models.Model):
    """What the supervisor says of one process. `state`: up, restarting, stopped."""

    name = models.CharField(max_length=32, unique=True)
    state = models.CharField(max_length=16)
    pid = models.IntegerField(null=True)
    since = models.DateTimeField()
    restarts = models.IntegerField(default=0)
    last_exit = models.IntegerField(null=True)
    updated_at = models.DateTimeField()

    class Meta:
        verbose_name_plural = "process statuses"

    def __str__(self) -> str:
        return f"{self.name}: {self.state}"


def silences() -> dict[str, dict[str, float]]:
    """Return the seconds since each heart was last heard, by role and name."""
    found: dict[str, dict[str, float]] = {role: {} for role in ROLES}
    with connection.cursor() as cursor:
        cursor.execute(_SILENCES)
        for role, name, seconds in cursor.fetchall():
            found.setdefault(role, {})[name] = seconds
    return found


def is_alive(hearts: dict[str, float]) -> bool:
    """Tell whether at least one of these hearts beats."""
    return any(seconds < SILENT_SECONDS for seconds in hearts.values())


def shown(*, now: datetime) -> list[dict[str, Any]]:
    """Return each process as pages show it, by name.

    `age` is in seconds since it was last heard; where a role has several processes, of the longest
    silent one.
    """
    supervised = {row.name: row for row in ProcessStatus.objects.all()}
    since = dict(Heart.objects.order_by("since").values_list("role", "since"))
    heard = {role: max(hearts.values()) for role, hearts in silences().items() if hearts}
    rows = []
    for name in sorted(supervised.keys() | heard.keys()):
        row = supervised.get(name)
        told = None if row is None else (now - row.updated_at).total_seconds()
        age = heard.get(name, told)
        rows.append(
            {
                "name": name,
                "state": "up" if row is None else row.state,
                "since": since[name] if row is None else row.since,
                "restarts": 0 if row is None else row.restarts,
                "last_exit": None if row is None else row.last_exit,
                "age": max(0, int(age or 0)),
            }
        )
    return rows


_SILENCES = """
SELECT role, name, extract(epoch FROM clock_timestamp() - beat_at)::float
FROM execution_site_heart
"""
