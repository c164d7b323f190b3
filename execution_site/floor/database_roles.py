"""Who may do what in PostgreSQL: the owner migrates, the application works, a reader reads.

The application's role owns nothing: it can neither alter nor drop nor truncate, switch no trigger
off, and only add to what is append-only. Nothing of Django is needed to make the roles.
"""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

OWNER, APPLICATION, READER = "execution", "execution_app", "execution_reader"
LOGIN = "LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS"
#: Columns that a reader has no business with, by their name, in any table.
SECRET_COLUMN = re.compile(r"password|session_(key|data)|secret|credentials|^token$|^key$|^seed$")


class Table(NamedTuple):
    """A table or view of the schema.

    `append_only`: a trigger refuses to change what is in it.
    """

    name: str
    append_only: bool
    is_view: bool
    columns: tuple[str, ...]


def creation(name: str, password: str, *, owner: str = OWNER) -> list[str]:
    """Return the statements, a line each, that make a role or give it a new password."""
    exists = f"SELECT FROM pg_roles WHERE rolname = '{name}'"
    return [
        f"DO $$ BEGIN IF NOT EXISTS ({exists}) THEN CREATE ROLE {name}; END IF; END $$",
        f"ALTER ROLE {name} {LOGIN} PASSWORD '{password}'",
        f"ALTER ROLE {name} SET search_path = public, pg_temp",
        f"GRANT {name} TO {owner}",  # who migrates may end the sessions of the others
    ]


def grants(tables: list[Table], roles: set[str]) -> Iterator[str]:
    """Yield the statements that give the roles that exist what they may do, and nothing else."""
    for role in sorted(roles & {APPLICATION, READER}):
        yield f"REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {role}"
        yield f"REVOKE ALL ON ALL SEQUENCES IN SCHEMA public FROM {role}"
        yield f"GRANT USAGE ON SCHEMA public TO {role}"
    if APPLICATION in roles:
        yield f"GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO {APPLICATION}"
        for table in tables:
            yield f'GRANT {_application_may(table)} ON "{table.name}" TO {APPLICATION}'
    if READER in roles:
        for table in tables:
            if readable := [f'"{c}"' for c in table.columns if not SECRET_COLUMN.search(c)]:
                yield f'GRANT SELECT ({", ".join(readable)}) ON "{table.name}" TO {READER}'


def grant(cursor: Any) -> set[str]:
    """Give the roles of this database what they may do; return those that exist.

    The caller owns the tables. What a table refuses by trigger is not granted either.
    """
    cursor.execute(_ROLES, [[APPLICATION, READER]])
    roles = {name for (name,) in cursor.fetchall()}
    cursor.execute(_TABLES)
    tables = [Table(name, only, view, tuple(of)) for name, only, view, of in cursor.fetchall()]
    if statements := list(grants(tables, roles)):
        cursor.execute(";\n".join(statements))
    return roles


def _application_may(table: Table) -> str:
    if table.is_view or table.name == "django_migrations":
        return "SELECT"
    return "SELECT, INSERT" if table.append_only else "SELECT, INSERT, UPDATE, DELETE"


_ROLES = "SELECT rolname FROM pg_roles WHERE rolname = ANY(%s)"
_TABLES = """
SELECT c.relname::text,
       EXISTS (SELECT 1 FROM pg_trigger t
               WHERE t.tgrelid = c.oid AND t.tgname = c.relname || '_no_truncate'),
       c.relkind = 'v',
       (SELECT array_agg(a.attname::text ORDER BY a.attnum) FROM pg_attribute a
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)
FROM pg_class c
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v') ORDER BY 1
"""
