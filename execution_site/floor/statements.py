"""The hot path's statements: prepared by the server once, then one message there and one back.

Django's own cursor writes parameters into the text, which PostgreSQL then parses and plans anew
each time; psycopg's prepares, but gives up the interpreter several times a statement. This runs on
the connection and in the transaction that Django has open, through libpq directly.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import Any
from weakref import WeakKeyDictionary

import psycopg
from django.db import connections
from django.db.models import Model
from psycopg import pq
from psycopg.adapt import PyFormat, Transformer

Params = Mapping[str, Any] | Sequence[Any]
Row = tuple[Any, ...]
_ENCODING = "utf-8"
_PLACEHOLDER = re.compile(r"%(?:\((\w+)\)s|(s)|(%))")
#: The names a connection has prepared, by text and types of parameters.
_prepared: WeakKeyDictionary[Any, dict[tuple[str, tuple[int, ...]], bytes]] = WeakKeyDictionary()
#: What the columns of a statement's result are called.
_column_names: dict[str, tuple[str, ...]] = {}


def run(sql: str, params: Params = (), *, using: str = "default") -> list[Row]:
    """Execute one statement and return its rows; errors are Django's.

    :raises django.db.Error: as Django's cursor does
    """
    wrapper = connections[using]
    wrapper.close_if_health_check_failed()  # once a request, as Django's own cursor does
    wrapper.ensure_connection()
    with wrapper.wrap_database_errors:
        return _execute(wrapper.connection, sql, params)


def first(sql: str, params: Params = (), *, using: str = "default") -> Row | None:
    """Execute one statement and return its first row, None where there is none."""
    rows = run(sql, params, using=using)
    return rows[0] if rows else None


def one(sql: str, params: Params = (), *, using: str = "default") -> Row:
    """Execute one statement that returns a row, and return the row."""
    row = first(sql, params, using=using)
    if row is None:
        raise LookupError("the statement returned no row")
    return row


def record(sql: str, params: Params = (), *, using: str = "default") -> dict[str, Any]:
    """Execute one statement that returns a row, and return the row's values by column name."""
    values = one(sql, params, using=using)
    return dict(zip(_column_names[sql], values, strict=True))


def columns(model: type[Model]) -> str:
    """Return the columns of a model's table that are written, as SQL names them."""
    return ", ".join(str(field.column) for field in _written(model))


def _written(model: type[Model]) -> list[Any]:
    return [field for field in model._meta.concrete_fields if not field.generated]


def row_json(instance: Model) -> str:
    """Return a model instance as JSON that `jsonb_populate_record` makes a row of."""
    values = {f.column: getattr(instance, f.attname) for f in _written(type(instance))}
    return json.dumps(values, default=str)


def rows_json(instances: Iterable[Model]) -> str:
    """Return model instances as JSON that `jsonb_populate_recordset` makes rows of."""
    return f"[{','.join(row_json(instance) for instance in instances)}]"


def flush(*, using: str = "default") -> None:
    """Wait until everything committed so far on any connection is on disk."""
    run("SELECT pg_logical_emit_message(false, 'flush', '', true)", using=using)


def flush_seen(*, using: str = "default") -> None:
    """Wait until whatever could be read so far is on disk; without a wait where it is already.

    A commit that does not wait for the disk can be read before it is there.
    """
    run(
        "SELECT pg_logical_emit_message(false, 'flush', '', true)"
        " WHERE pg_current_wal_insert_lsn() > pg_current_wal_flush_lsn()",
        using=using,
    )


def _execute(connection: "psycopg.Connection[Any]", sql: str, params: Params) -> list[Row]:
    server, adapt = connection.pgconn, Transformer(connection)
    text, arrange = _numbered(sql)
    values = arrange(params)
    sent = adapt.dump_sequence(values, [PyFormat.AUTO] * len(values))
    if not connection.autocommit and server.transaction_status == pq.TransactionStatus.IDLE:
        _checked(server, server.exec_(b"BEGIN"))
    names = _prepared.setdefault(connection, {})
    key = (sql, tuple(adapt.types or ()))
    if (name := names.get(key)) is None:
        name = f"hot_{len(names)}".encode()
        _checked(server, server.prepare(name, text, key[1]))
        names[key] = name
    result = _checked(server, server.exec_prepared(name, sent, adapt.formats))  # type: ignore[arg-type]  # None is NULL
    if sql not in _column_names:
        names_of = (result.fname(number) or b"" for number in range(result.nfields))
        _column_names[sql] = tuple(name.decode(_ENCODING) for name in names_of)
    adapt.set_pgresult(result)
    return adapt.load_rows(0, result.ntuples, tuple)


def _checked(server: pq.abc.PGconn, result: pq.abc.PGresult) -> pq.abc.PGresult:
    if result.status in {pq.ExecStatus.COMMAND_OK, pq.ExecStatus.TUPLES_OK}:
        return result
    if server.status == pq.ConnStatus.BAD:
        raise psycopg.OperationalError(server.get_error_message(_ENCODING))
    raise psycopg.errors.error_from_result(result, encoding=_ENCODING)


@cache
def _numbered(sql: str) -> tuple[bytes, Callable[[Any], list[Any]]]:
    """Return the statement with the server's $1, $2 ..., and what puts parameters in that order."""
    names: dict[str, int] = {}
    count = 0

    def number(found: re.Match[str]) -> str:
        nonlocal count
        name, _, percent = found.groups()
        if percent:
            return "%"
        if name is None:
            count += 1
            return f"${count}"
        return f"${names.setdefault(name, len(names) + 1)}"

    text = _PLACEHOLDER.sub(number, sql).encode(_ENCODING)
    return text, (lambda params: [params[name] for name in names]) if names else list
