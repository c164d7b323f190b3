"""Is it alive, is it ready, is everything well."""

from datetime import datetime, timedelta
from typing import Any

from django.db import DatabaseError, InterfaceError, connection
from django.http import HttpRequest, JsonResponse
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from redis import RedisError
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from execution_site import bus
from execution_site.listing import ApiView
from execution_site.models import ProcessStatus

LATE_SECONDS = 10.0


def alive(_request: HttpRequest) -> JsonResponse:
    """Say that this process answers."""
    return JsonResponse({"status": "ok"})


def ready(_request: HttpRequest) -> JsonResponse:
    """Say whether the database answers and is migrated."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT mode FROM risk_systemcontrol WHERE id = 1")
            found = cursor.fetchone() is not None
    except (DatabaseError, InterfaceError):
        found = False
    return JsonResponse({"ready": found}, status=200 if found else 503)


class Health(ApiView):
    """Every part, each by itself."""

    authentication_classes = ()
    permission_classes = (AllowAny,)

    @extend_schema(
        operation_id="get_health", responses={200: dict, (503, "application/json"): dict}, auth=[]
    )
    def get(self, request: Request) -> Response:
        """Return the health of every part; 503 when one that trading needs is not well."""
        now = timezone.now()
        parts = {"redis": _redis()}
        try:
            parts |= {"database": _part(True)} | _from_database(now)
        except (DatabaseError, InterfaceError) as e:
            parts["database"] = _part(False, type(e).__name__)
        well = all(part["ok"] for part in parts.values())
        return Response({"ok": well, "parts": parts}, 200 if well else 503)


def _part(ok: bool, detail: Any = None) -> dict[str, Any]:
    return {"ok": ok, "detail": detail}


def _redis() -> dict[str, Any]:
    try:
        return _part(bool(bus.client().ping()))
    except RedisError as e:
        return _part(False, type(e).__name__)


def _from_database(now: datetime) -> dict[str, Any]:
    parts = {}
    for row in ProcessStatus.objects.all():
        fresh = now - row.updated_at < timedelta(seconds=LATE_SECONDS)
        parts[row.name] = _part(row.state == "up" and fresh, row.state)
    with connection.cursor() as cursor:
        cursor.execute(_AGES)
        quote, unsealed, doubt, pending = cursor.fetchone()
    parts["quotes"] = _part(quote is None or quote < LATE_SECONDS, _age(quote))
    parts["sealing"] = _part((unsealed or 0) < LATE_SECONDS, _age(unsealed))
    parts["in_doubt"] = _part((doubt or 0) < 60, _age(doubt))
    parts["pending"] = _part((pending or 0) < LATE_SECONDS, _age(pending))
    return parts


def _age(seconds: Any) -> str | None:
    return None if seconds is None else f"{float(seconds):.3f} s"


_AGES = """
SELECT extract(epoch FROM now() - (SELECT max(received_at) FROM brokers_quote)),
       extract(epoch FROM now() - (
           SELECT min(at) FROM (
               SELECT e.at FROM execution_site_event e
               WHERE e.id > coalesce((SELECT max(event_id) FROM execution_site_seal), 0)
               ORDER BY e.id LIMIT 1) AS oldest)),
       extract(epoch FROM now() - (SELECT min(claimed_at) FROM orders_order
                                   WHERE status = 'IN_DOUBT')),
       extract(epoch FROM now() - (SELECT min(due_at) FROM orders_order
                                   WHERE status = 'PENDING' AND due_at < now()))
"""
