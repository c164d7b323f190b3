"""Prepared statements on Django's connection."""

import psycopg
from django.db import close_old_connections, connection

from execution_site import statements
from tests.databases import url_of


def test_a_connection_the_server_has_ended_is_replaced_at_the_next_request(db):
    pid = statements.one("SELECT pg_backend_pid()")[0]
    with psycopg.connect(url_of("postgres"), autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])

    connection.settings_dict["CONN_HEALTH_CHECKS"] = True
    close_old_connections()  # what Django does as a request begins
    assert statements.one("SELECT pg_backend_pid()")[0] != pid
