"""Prepared statements on Django's connection."""

import psycopg
from django.db import close_old_connections, connection
from django.test.utils import CaptureQueriesContext

from execution_site.floor import statements
from tests.databases import url_of


def test_a_connection_the_server_has_ended_is_replaced_at_the_next_request(db):
    pid = statements.one("SELECT pg_backend_pid()")[0]
    with psycopg.connect(url_of("postgres"), autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])

    connection.settings_dict["CONN_HEALTH_CHECKS"] = True
    close_old_connections()  # what Django does as a request begins
    assert statements.one("SELECT pg_backend_pid()")[0] != pid


def test_a_process_keeps_no_log_of_its_statements_whatever_debug_says(db, settings):
    """Only requests would empty it: workers and loops would grow by each statement."""
    settings.DEBUG = True
    with connection.cursor() as cursor:
        for _ in range(3):
            cursor.execute("SELECT 1")

    assert list(connection.queries_log) == []
    with CaptureQueriesContext(connection) as counted, connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    assert len(counted) == 1
