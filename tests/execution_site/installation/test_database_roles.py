"""The roles of the database: what the application and a reader are refused, table by table."""

from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from django.conf import settings
from django.db import connections
from psycopg.errors import InsufficientPrivilege

from execution_site.floor import database_roles
from execution_site.floor.database_roles import APPLICATION, READER
from execution_site.processes.embedded.runtime import Runtime
from tests import databases

#: What nobody but the owner may do to any table. `{t}` is the table, `{c}` one of its columns.
REFUSED = {
    "switch its triggers off": "ALTER TABLE {t} DISABLE TRIGGER USER",
    "add a column": "ALTER TABLE {t} ADD COLUMN extra int",
    "drop a column": "ALTER TABLE {t} DROP COLUMN {c}",
    "change a type": "ALTER TABLE {t} ALTER COLUMN {c} TYPE text",
    "rename it": "ALTER TABLE {t} RENAME TO other",
    "own it": "ALTER TABLE {t} OWNER TO CURRENT_USER",
    "truncate it": "TRUNCATE {t} CASCADE",
    "drop it": "DROP TABLE {t} CASCADE",
    "add a trigger": "CREATE TRIGGER x BEFORE INSERT ON {t} FOR EACH ROW EXECUTE FUNCTION "
    "suppress_redundant_updates_trigger()",
    "add a rule": "CREATE RULE x AS ON DELETE TO {t} DO INSTEAD NOTHING",
    "add an index": "CREATE INDEX ON {t} ({c})",
    "move it": "ALTER TABLE {t} SET SCHEMA pg_temp",
}
CHANGES = {"change rows": "UPDATE {t} SET {c} = {c}", "delete rows": "DELETE FROM {t}"}
#: What is no table's.
EVERYWHERE = (
    "SET session_replication_role = replica",
    "CREATE TABLE public.x (n int)",
    "CREATE FUNCTION public.x() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE SCHEMA x",
    "CREATE ROLE x",
    "CREATE DATABASE x",
    "ALTER ROLE CURRENT_USER SUPERUSER",
    "SET ROLE execution",
    "COPY (SELECT 1) TO PROGRAM 'true'",
    "SELECT pg_read_file('PG_VERSION')",
    "DROP OWNED BY execution",
)
ADDED_TO_ONLY = {
    "execution_site_auditcheck",
    "execution_site_event",
    "execution_site_seal",
    "orders_fill",
    "orders_fillamendment",
    "risk_riskdecision",
}
SECRETS = {
    ("auth_user", "password"),
    ("brokers_brokerconnection", "credentials_sealed"),
    ("django_session", "session_data"),
    ("django_session", "session_key"),
    ("orders_apikey", "secret_hash"),
    ("otp_static_statictoken", "token"),
    ("otp_totp_totpdevice", "key"),
}


@pytest.fixture
def connect(db):
    """Connect to the test's database as a role."""

    def as_role(role):
        address = databases.url_of(db)
        if role != APPLICATION:
            runtime = Runtime(Path(settings.DATA_DIR))
            address = runtime.database_url(role).rpartition("/")[0] + f"/{db}"
        return closing(psycopg.connect(address, autocommit=True))

    return as_role


@pytest.fixture
def tables(db):
    """Every table with its columns."""
    with databases.as_owner() as owner:
        rows = owner.execute(
            "SELECT table_name, array_agg(column_name::text ORDER BY ordinal_position)"
            " FROM information_schema.columns JOIN information_schema.tables"
            " USING (table_schema, table_name)"
            " WHERE table_schema = 'public' AND table_type = 'BASE TABLE' GROUP BY 1"
        ).fetchall()
    assert len(rows) > 40
    return dict(rows)


def passed(session, statements):
    """Return the statements that were not refused for want of a right."""
    through = []
    for statement in statements:
        try:
            session.execute(statement)
        except InsufficientPrivilege:
            continue
        except psycopg.Error as e:
            through.append((statement, str(e)))
        else:
            through.append((statement, "done"))
    return through


@pytest.mark.parametrize("role", [APPLICATION, READER])
def test_every_change_of_every_table_is_refused(connect, tables, role):
    refused = [s.format(t=t, c=c[0]) for t, c in tables.items() for s in REFUSED.values()]
    fixed = tables if role == READER else {*ADDED_TO_ONLY, "django_migrations"}
    refused += [s.format(t=t, c=tables[t][0]) for t in fixed for s in CHANGES.values()]
    with connect(role) as session:
        assert passed(session, [*refused, *EVERYWHERE]) == []


@pytest.mark.parametrize("role", [APPLICATION, READER])
def test_views_are_read_and_nothing_else(connect, role):
    with databases.as_owner() as owner:
        views = owner.execute(
            "SELECT viewname FROM pg_views WHERE schemaname = 'public'"
        ).fetchall()
        changes = "INSERT, UPDATE, DELETE, TRUNCATE, TRIGGER"
        asked = "SELECT has_any_column_privilege(%s, %s, 'SELECT'), has_table_privilege(%s, %s, %s)"
        rights = [
            owner.execute(asked, (role, name, role, name, changes)).fetchone() for (name,) in views
        ]
    assert rights == [(True, False)] * len(views)
    refused = [
        "DROP VIEW {}",
        "ALTER VIEW {} RENAME TO other",
        "ALTER VIEW {} OWNER TO CURRENT_USER",
    ]
    with connect(role) as session:
        assert passed(session, [s.format(name) for (name,) in views for s in refused]) == []


def test_no_function_of_a_trigger_can_be_replaced(connect):
    with databases.as_owner() as owner:
        names = owner.execute(
            "SELECT DISTINCT p.proname FROM pg_proc p WHERE p.prorettype = 'trigger'::regtype"
            " AND p.pronamespace = 'public'::regnamespace"
        ).fetchall()
    assert len(names) > len(ADDED_TO_ONLY)
    body = "RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'"
    with connect(APPLICATION) as session:
        replaced = [f"CREATE OR REPLACE FUNCTION {name}() {body}" for (name,) in names]
        dropped = [f"DROP FUNCTION {name}() CASCADE" for (name,) in names]
        assert passed(session, [*replaced, *dropped]) == []


def test_what_is_append_only_is_so_by_right_too(connect, tables):
    with connect(APPLICATION) as session:
        rights = session.execute(
            "SELECT table_name::text, array_agg(privilege_type::text)"
            " FROM information_schema.table_privileges WHERE grantee = user GROUP BY 1"
        ).fetchall()
    may = {name: set(rights) for name, rights in rights}
    assert {t for t in tables if may[t] == {"SELECT", "INSERT"}} == ADDED_TO_ONLY
    assert all(may[t] <= {"SELECT", "INSERT", "UPDATE", "DELETE"} for t in tables)


def test_a_reader_reads_all_but_secrets(connect, tables):
    with connect(READER) as session:
        hidden = _hidden(session, tables)

    assert hidden >= SECRETS
    assert not {table for table, _ in hidden} & ADDED_TO_ONLY


def _hidden(session, tables):
    hidden = set()
    for table, columns in tables.items():
        for column in columns:
            try:
                session.execute(f'SELECT "{column}" FROM {table} LIMIT 0')
            except InsufficientPrivilege:
                hidden.add((table, column))
    return hidden


def test_the_paper_venue_connects_as_the_application(db):
    for alias in databases.ALIASES:
        with connections[alias].cursor() as cursor:
            cursor.execute("SELECT user, current_setting('search_path')")
            assert cursor.fetchone() == (APPLICATION, "public, pg_temp")


@pytest.mark.parametrize("role", [APPLICATION, READER])
def test_the_sql_for_a_server_of_ones_own_makes_a_role_that_may_nothing_of_itself(role):
    exists, altered, _, member = database_roles.creation(role, "secret", owner="us")

    assert f"CREATE ROLE {role}" in exists
    assert "NOSUPERUSER NOCREATEDB NOCREATEROLE" in altered
    assert member == f"GRANT {role} TO us"
