"""The hot path's statements: bound and prepared by the server, in the transaction Django has open.

Django's own cursor writes parameters into the text, which PostgreSQL then parses and plans anew
each time; for the statements of intake and booking that is most of their cost.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import psycopg
from django.db import connections
from django.db.models import Model

Params = Mapping[str, Any] | Sequence[Any]


def run(sql: str, params: Params = (), *, using: str = "default") -> "psycopg.Cursor[Any]":
    """Execute one statement and return its cursor; errors are Django's.

    :raises django.db.Error: as Django's cursor does
    """
    connection = connections[using]
    connection.close_if_health_check_failed()  # once a request, as Django's own cursor does
    connection.ensure_connection()
    with connection.wrap_database_errors:
        cursor = psycopg.Cursor(connection.connection)
        return cursor.execute(sql, params, prepare=True)


def one(sql: str, params: Params = (), *, using: str = "default") -> tuple[Any, ...]:
    """Execute one statement that returns a row, and return the row."""
    row: tuple[Any, ...] | None = run(sql, params, using=using).fetchone()
    if row is None:
        raise LookupError("the statement returned no row")
    return row


def columns(model: type[Model]) -> str:
    """Return the columns of a model's table, as SQL names them."""
    return ", ".join(str(field.column) for field in model._meta.concrete_fields)


def row_json(instance: Model) -> str:
    """Return a model instance as JSON that `jsonb_populate_record` makes a row of."""
    values = {f.column: getattr(instance, f.attname) for f in instance._meta.concrete_fields}
    return json.dumps(values, default=str)


def rows_json(instances: Iterable[Model]) -> str:
    """Return model instances as JSON that `jsonb_populate_recordset` makes rows of."""
    return f"[{','.join(row_json(instance) for instance in instances)}]"


def flush(*, using: str = "default") -> None:
    """Wait until everything committed so far on any connection is on disk."""
    run("SELECT pg_logical_emit_message(false, 'flush', '', true)", using=using)
