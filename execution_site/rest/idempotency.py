"""What is asked for under an `Idempotency-Key` is done once, however often the request is repeated.

The key is a row of the transaction that does what was asked (`once`): whoever dies before the
commit leaves neither, whoever dies after it leaves both. The answer is kept with the key once it is
known, and who repeats meanwhile waits for it; where it was lost, a repeat is told how what it asked
for stands now. Signals and groups have keys of their own (their `signal_id`).
"""

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import wraps
from typing import Any

from django.db import models, transaction
from django.http import HttpResponse
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.renderers import JSONRenderer
from rest_framework.response import Response

from execution_site.floor import statements
from execution_site.floor.events import canonical
from execution_site.rest.http import CONTENT_TYPE, ApiRequest, Problem

HEADER = "Idempotency-Key"
LONGEST = 128
KEPT_FOR = timedelta(days=7)
ANSWERED_WITHIN = timedelta(seconds=2)
LOOK_SECONDS = 0.02
FORGOTTEN_AT_ONCE = 1_000
_SENT_BACK = ("Location", "ETag")


class KeyedRequest(models.Model):
    """A request that was carried out under a key; `status` and `answer` once it was answered.

    `made` is the id of the row that it made, where it made one that a lost answer would have shown.
    """

    client_id = models.BigIntegerField()
    key = models.CharField(max_length=LONGEST)
    request_hash = models.CharField(max_length=64)
    status = models.SmallIntegerField(null=True)
    answer = models.TextField(blank=True)
    headers = models.JSONField(default=dict)
    made = models.BigIntegerField(null=True)
    created_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(name="key_once", fields=["client_id", "key"])]
        indexes = [models.Index(fields=["created_at"])]

    def __str__(self) -> str:
        return self.key


class Repeated(Exception):
    """The key has been used: this has been carried out."""


@dataclass(slots=True)
class _Asked:
    """A request under a key, on its way to the transaction that does what it asks for."""

    client_id: int
    key: str
    request_hash: str
    claimed: bool = False
    done: bool = False


_asked: ContextVar[_Asked | None] = ContextVar("asked", default=None)


@contextmanager
def once() -> Iterator[None]:
    """Run the transaction that does what somebody asked for; it holds the request's key, if any.

    :raises Repeated: another transaction with this key has committed; nothing is done here
    """
    with transaction.atomic(durable=True):
        if (asked := _asked.get()) is not None and not asked.claimed:
            _claim(asked)
        yield


def _claim(asked: _Asked) -> None:
    """Write the key's row; a request that holds it now is waited for."""
    params = [asked.client_id, asked.key, asked.request_hash, timezone.now()]
    if statements.first(_CLAIM, params) is None:
        raise Repeated(asked.key)
    asked.claimed = True

    def committed() -> None:
        asked.done = True

    transaction.on_commit(committed)


def made(row_id: int) -> None:
    """Keep with the request's key, if any, which row it made; in the transaction that makes it."""
    if (asked := _asked.get()) is not None and asked.claimed:
        KeyedRequest.objects.filter(client_id=asked.client_id, key=asked.key).update(made=row_id)


def keyed(view_method: Callable[..., Any]) -> Callable[..., Any]:
    """Have a view's method honour `Idempotency-Key`.

    What it does goes through `once`. The view's `state` returns how that stands now, given what was
    `made`: the answer to a repeat whose first answer was lost.
    """

    @extend_schema(parameters=[_PARAMETER])
    @wraps(view_method)
    def answer(view: Any, request: ApiRequest, **names: Any) -> HttpResponse | Response:
        asked = _of(request)
        if asked is None:
            return view_method(view, request, **names)  # type: ignore[no-any-return]
        if (stored := _answered(asked)) is not None:
            return _again(stored, view, request, **names)
        token = _asked.set(asked)
        try:
            given: Response = view_method(view, request, **names)
        except Repeated:
            stored = _answered(asked)
            if stored is None:
                raise LookupError("a key that is used, and is not there") from None
            return _again(stored, view, request, **names)
        finally:
            _asked.reset(token)
        if asked.done:
            _keep(asked, given)
        return given

    return answer


def _of(request: ApiRequest) -> _Asked | None:
    """Return the request as its key names it, None without a key.

    :raises Problem: the key is no key
    """
    key = request.headers.get(HEADER)
    if key is None:
        return None
    if not key or len(key) > LONGEST or not key.isprintable():
        detail = f"1 to {LONGEST} printable characters are expected"
        errors = [{"field": HEADER, "code": "invalid", "detail": detail}]
        raise Problem(400, "invalid", f"{HEADER}: {detail}", errors)
    body = canonical(json.loads(json.dumps(request.data, default=str)))
    text = f"{request.method} {request.path}\n{body}"
    return _Asked(request.auth.client.pk, key, hashlib.sha256(text.encode()).hexdigest())


def _answered(asked: _Asked) -> KeyedRequest | None:
    """Return the key's row, None where it has not been used.

    One that may just be answered elsewhere is waited for: concurrent repeats get one answer. Where
    whoever was to answer died, the wait ends `ANSWERED_WITHIN` its commit.

    :raises Problem: it was used for another request
    """
    row = _stored(asked)
    while (
        row is not None and row.status is None and timezone.now() - row.created_at < ANSWERED_WITHIN
    ):
        time.sleep(LOOK_SECONDS)
        row = _stored(asked)
    return row


def _stored(asked: _Asked) -> KeyedRequest | None:
    """Return the key's row, None where it has not been used.

    :raises Problem: it was used for another request
    """
    row = KeyedRequest.objects.filter(client_id=asked.client_id, key=asked.key).first()
    if row is not None and row.request_hash != asked.request_hash:
        detail = "This key was used before, for another request."
        errors = [{"field": HEADER, "code": "idempotency_conflict", "detail": detail}]
        raise Problem(409, "idempotency_conflict", detail, errors)
    return row


def _keep(asked: _Asked, given: Response) -> None:
    KeyedRequest.objects.filter(client_id=asked.client_id, key=asked.key).update(
        status=given.status_code,
        answer=JSONRenderer().render(given.data).decode(),
        headers={name: given[name] for name in _SENT_BACK if given.has_header(name)},
    )


def _again(
    stored: KeyedRequest, view: Any, request: ApiRequest, **names: Any
) -> HttpResponse | Response:
    """Return the stored answer, to the byte; where it was lost, how things stand now."""
    response: HttpResponse | Response
    if stored.status is None:
        response = view.state(request, stored.made, **names)
    else:
        kind = CONTENT_TYPE if stored.status >= 400 else "application/json"
        response = HttpResponse(stored.answer, status=stored.status, content_type=kind)
        for name, value in stored.headers.items():
            response[name] = value
    response["Idempotent-Replayed"] = "true"
    return response


def forget(*, now: datetime) -> int:
    """Delete keys that are old, a batch at a time; return how many."""
    old = KeyedRequest.objects.filter(created_at__lt=now - KEPT_FOR)
    ids = list(old.order_by("created_at").values_list("pk", flat=True)[:FORGOTTEN_AT_ONCE])
    return KeyedRequest.objects.filter(pk__in=ids).delete()[0]


_PARAMETER = OpenApiParameter(
    HEADER,
    str,
    OpenApiParameter.HEADER,
    description="Of all requests with this key exactly one is carried out; the others get its "
    "answer, with `Idempotent-Replayed: true`. Kept for 7 days; for another request: 409.",
)
_CLAIM = """
INSERT INTO execution_site_keyedrequest
    (client_id, key, request_hash, answer, headers, created_at)
VALUES (%s, %s, %s, '', '{}', %s)
ON CONFLICT (client_id, key) DO NOTHING RETURNING id
"""
