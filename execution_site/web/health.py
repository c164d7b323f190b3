"""Is it alive, is it ready, is everything well, may it trade."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.db import DatabaseError, InterfaceError, connection
from django.http import HttpRequest, JsonResponse
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from redis import RedisError
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from execution_site.floor import bus, leases, outages, processes
from execution_site.floor.hearts import ROLES, SILENT_SECONDS
from execution_site.models import AuditCheck, ProcessStatus
from execution_site.rest.listing import ApiView

AUDITED_WITHIN = timedelta(hours=26)
LATE_SECONDS = 10.0
SKEW_SECONDS = 0.5  # between this machine's clock and the database's
LEASES = ("sealer", "market_loop")
ANSWERS = {200: dict, (503, "application/json"): dict}


def alive(_request: HttpRequest) -> JsonResponse:
    """Say that this process answers."""
    return JsonResponse({"status": "ok"})


def ready(_request: HttpRequest) -> JsonResponse:
    """Say whether orders are taken and worked on: a database that is written to, a live worker."""
    try:
        with connection.cursor() as cursor:
            cursor.execute(_READY)
            migrated, read_only = cursor.fetchone()
        hearts = processes.silences()
    except (DatabaseError, InterfaceError):
        return _readiness({"database": False})
    return _readiness(
        {
            "database": migrated,
            "writes": not read_only and not outages.refused_writes.is_recent(),
            "worker": processes.is_alive(hearts["worker"]),
        }
    )


def _readiness(parts: Mapping[str, bool]) -> JsonResponse:
    missing = [name for name, ok in parts.items() if not ok]
    document = {"ready": not missing, "missing": missing}
    return JsonResponse(document, status=503 if missing else 200)


class _HealthView(ApiView):
    authentication_classes = ()
    permission_classes = (AllowAny,)


class Health(_HealthView):
    """Every part, each by itself."""

    @extend_schema(operation_id="get_health", responses=ANSWERS, auth=[])
    def get(self, request: Request) -> Response:
        """Return the health of every part; 503 when one that trading needs is not well."""
        parts = {"redis": _redis()}
        try:
            parts |= {"database": _database(), "audit": _audit()} | _processes() | _ages()
        except (DatabaseError, InterfaceError) as e:
            parts["database"] = _part(False, type(e).__name__)
        return _answer(parts, "ok")


class TradingHealth(_HealthView):
    """What must hold for a trade to be judged by true facts."""

    @extend_schema(operation_id="get_trading_health", responses=ANSWERS, auth=[])
    def get(self, request: Request) -> Response:
        """Return whether it may be traded now, and what speaks against it: 503 then."""
        try:
            parts = {"database": _database(), "clock": _clock(), "leases": _leases()}
            ages = _ages()
        except (DatabaseError, InterfaceError) as e:
            return _answer({"database": _part(False, type(e).__name__)}, "ready")
        names = {
            "chain": "sealing",
            "feeds": "quotes",
            "queue_age": "pending",
            "in_doubt": "in_doubt",
        }
        return _answer(parts | {name: ages[part] for name, part in names.items()}, "ready")


def _answer(parts: Mapping[str, dict[str, Any]], name: str) -> Response:
    well = all(part["ok"] for part in parts.values())
    return Response({name: well, "parts": parts}, 200 if well else 503)


def _part(ok: bool, detail: Any = None) -> dict[str, Any]:
    return {"ok": ok, "detail": detail}


def _redis() -> dict[str, Any]:
    try:
        return _part(bool(bus.client().ping()))
    except RedisError as e:
        return _part(False, type(e).__name__)


def _database() -> dict[str, Any]:
    with connection.cursor() as cursor:
        cursor.execute("SHOW transaction_read_only")
        (read_only,) = cursor.fetchone()
    if read_only == "on":
        return _part(False, "read-only")
    full = outages.refused_writes.is_recent()
    return _part(not full, "takes no writes" if full else None)


def _processes() -> dict[str, dict[str, Any]]:
    """Return each role by its hearts, and what else a supervisor watches over by its word."""
    now = timezone.now()
    parts = {}
    for row in ProcessStatus.objects.exclude(name__in=ROLES):
        fresh = now - row.updated_at < timedelta(seconds=LATE_SECONDS)
        parts[row.name] = _part(row.state == "up" and fresh, row.state)
    for role, hearts in processes.silences().items():
        silent = {name: s for name, s in hearts.items() if s >= SILENT_SECONDS}
        said = [f"{name} silent for {seconds:.0f} s" for name, seconds in sorted(silent.items())]
        detail = "; ".join(said) or (f"{len(hearts)} up" if hearts else "none")
        parts[role] = _part(bool(hearts) and not silent, detail)
    return parts


def _audit() -> dict[str, Any]:
    """Return what the last verification of the audit trail found, and whether it is of today."""
    last = AuditCheck.objects.order_by("-checked_at").first()
    if last is None:
        return _part(True, "not verified yet")
    late = timezone.now() - last.checked_at > AUDITED_WITHIN
    return _part(not last.finding and not late, last.finding or f"verified {last.checked_at:%F %T}")


def _clock() -> dict[str, Any]:
    """Compare this machine's clock with the database's."""
    before = timezone.now()
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        (theirs,) = cursor.fetchone()
    after = timezone.now()
    skew = max((before - theirs).total_seconds(), (theirs - after).total_seconds(), 0.0)
    return _part(skew < SKEW_SECONDS, _age(skew))


def _leases() -> dict[str, Any]:
    held = leases.held_among(LEASES)
    missing = [name for name in LEASES if name not in held]
    return _part(not missing, f"nobody holds {', '.join(missing)}" if missing else None)


def _ages() -> dict[str, dict[str, Any]]:
    with connection.cursor() as cursor:
        cursor.execute(_AGES)
        quote, unsealed, doubt, pending = cursor.fetchone()
    return {
        "quotes": _part(quote is None or quote < LATE_SECONDS, _age(quote)),
        "sealing": _part((unsealed or 0) < LATE_SECONDS, _age(unsealed)),
        "in_doubt": _part((doubt or 0) < 60, _age(doubt)),
        "pending": _part((pending or 0) < LATE_SECONDS, _age(pending)),
    }


def _age(seconds: Any) -> str | None:
    return None if seconds is None else f"{float(seconds):.3f} s"


_READY = """
SELECT EXISTS (SELECT 1 FROM risk_systemcontrol WHERE id = 1),
       current_setting('transaction_read_only') = 'on'
"""
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
