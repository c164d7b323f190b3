"""Changes of who may do what, noted by the database itself, whichever way they are made.

Triggers write each change of users, groups, their rights, API clients and keys beside it, in its
own transaction; soon after, each becomes an event of the audit trail. Of a secret only a mark is
kept, which tells that it changed.
"""

from collections.abc import Iterable
from datetime import datetime

from django.db import connection, models, transaction

from execution_site.floor import audit, locks

BATCH = 500
_ACTING = "SELECT set_config('execution.actor', %s, true), set_config('execution.reason', %s, true)"


class AccessChange(models.Model):
    """A change that has no event yet. `actor` is who said so, or else the database's own user."""

    table = models.CharField(max_length=63)
    operation = models.CharField(max_length=8)
    before = models.JSONField(null=True)
    after = models.JSONField(null=True)
    actor = models.CharField(max_length=200)
    reason = models.TextField()
    at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.table} {self.operation}"


def acting(actor: str, reason: str) -> None:
    """Set in the database who changes access, and why, for the rest of the transaction."""
    with connection.cursor() as cursor:
        cursor.execute(_ACTING, [actor, reason])


def record(*, now: datetime) -> int:
    """Make an event of each change that was noted; return how many."""
    with transaction.atomic(durable=True):
        rows = list(locks.free_for_update(AccessChange.objects.order_by("pk"))[:BATCH])
        for row in rows:
            audit.record(
                f"access_{row.operation.lower()}",
                actor=row.actor,
                reason=row.reason,
                at=row.at,
                before=row.before,
                after=row.after,
                object_id=row.table,
            )
        AccessChange.objects.filter(pk__in=[row.pk for row in rows]).delete()
    return len(rows)


FUNCTION = """
CREATE FUNCTION execution_site_note_access() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    sides jsonb[] := ARRAY[
        CASE WHEN TG_OP <> 'INSERT' THEN to_jsonb(OLD) - 'last_login' END,
        CASE WHEN TG_OP <> 'DELETE' THEN to_jsonb(NEW) - 'last_login' END];
    secret text;
BEGIN
    IF sides[1] IS NOT DISTINCT FROM sides[2] THEN
        RETURN NULL;
    END IF;
    FOREACH secret IN ARRAY ARRAY['password', 'secret_hash', 'key', 'token'] LOOP
        FOR i IN 1..2 LOOP
            IF sides[i] ? secret THEN
                sides[i] := jsonb_set(sides[i], ARRAY[secret], to_jsonb(
                    left(encode(sha256(convert_to(sides[i] ->> secret, 'UTF8')), 'hex'), 8)));
            END IF;
        END LOOP;
    END LOOP;
    INSERT INTO execution_site_accesschange
        ("table", operation, before, after, actor, reason, at)
    VALUES (TG_TABLE_NAME, TG_OP, sides[1], sides[2],
        coalesce(nullif(current_setting('execution.actor', true), ''),
            session_user || ' (' || current_setting('application_name') || ')'),
        coalesce(nullif(current_setting('execution.reason', true), ''), 'not said'),
        clock_timestamp());
    RETURN NULL;
END $$;
"""


def trigger_sql(tables: Iterable[str]) -> str:
    """Return what has the changes of these tables noted."""
    return "".join(
        f"CREATE TRIGGER note_access AFTER INSERT OR UPDATE OR DELETE ON {table} "
        "FOR EACH ROW EXECUTE FUNCTION execution_site_note_access();"
        for table in tables
    )
