"""Rows whose change can take two persons: what they hold as JSON, who may change them, how.

Which fields these are, and what lets more through, is orders/two_persons/loosening.py's table.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.apps import apps
from django.core.exceptions import ValidationError
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models

from brokers import credentials
from brokers.models import BrokerConnection
from execution_site.console.table_rights import CONSOLE
from execution_site.console.tables import SECRETS, plain
from execution_site.floor import access, audit, locks
from orders.two_persons import granting
from orders.two_persons.loosening import GUARDED, Values, kinds
from risk import four_eyes
from risk.change_kinds import ChangeKind


@dataclass(frozen=True, slots=True)
class Making:
    """A change that is made: what shall be, in whose name, and why."""

    after: Any
    actor: str
    reason: str
    now: datetime
    credentials_sealed: bytes = b""


def values_of(row: models.Model) -> dict[str, Any]:
    """Return what a row holds of what its table guards; of a secret only a mark."""
    return _json({name: _value(row, name) for name in GUARDED[row._meta.label_lower]})


def wanted(row: models.Model, cleaned: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a row shall hold: what is set in memory, and the related rows of its form."""
    values = values_of(row)
    related = {field.name for field in row._meta.many_to_many} & values.keys() & cleaned.keys()
    return values | {name: _ids(cleaned[name]) for name in related}


def kind_for_two(row: models.Model, new: Values) -> ChangeKind | None:
    """Return the kind by which a change takes two persons now, None where one is enough."""
    label = row._meta.label_lower
    stored = None if row.pk is None else type(row)._default_manager.filter(pk=row.pk).first()
    was = None if stored is None else values_of(stored)
    return next((kind for kind in kinds(label, was, new) if four_eyes.takes_two(kind)), None)


def asked(row: models.Model, values: Values) -> dict[str, Any]:
    """Return how a change of a row stands in a proposal: its target, and what shall be."""
    label, name = row._meta.label_lower, row._meta.verbose_name
    new = "new " if row.pk is None else ""
    after = {"table": label, "id": row.pk, "values": dict(values)}
    return {"target": f"{new}{name} {row}"[:200], "after": after}


def read(_: str, after: Any) -> Any:
    """Return what is there of what a proposal would change, its row locked; {} without a row."""
    row = _locked(after)
    return {} if row is None else _only(values_of(row), after["values"])


def may(person: Any, after: Any) -> bool:
    """Tell whether a person could make a change alone, were it not for the second."""
    options = _model(after)._meta
    verb = "add" if after["id"] is None else "change"
    return bool(
        person.has_perm(f"{options.app_label}.{verb}_{options.model_name}")
    ) and granting.may_make(person, options.label_lower, _locked(after), after["values"])


def account_of(after: Any) -> str:
    """Return the account that a change is about; one that is new, or moves, is about everything."""
    row, table = _locked(after), CONSOLE[after["table"]]
    if not table.account:
        return ""
    if row is None:
        to = after["values"].get("connection")
        found = BrokerConnection.objects.filter(pk=to).first()
        return "" if found is None else found.name
    stays = "connection" not in after["values"] or (
        after["values"]["connection"] == getattr(row, "connection_id", None)
    )
    return table.account_of(row) if stays else ""


def make(making: Making) -> None:
    """Give a row what it shall hold, and record it, in the caller's transaction.

    :raises ValidationError: it cannot hold that
    :raises CredentialsUnreadable: the credentials that waited do not open for this row
    """
    model, row = _model(making.after), _locked(making.after)
    before = None if row is None else values_of(row)
    row = row or model()
    differs = {
        name: value
        for name, value in making.after["values"].items()
        if name not in SECRETS and (before is None or before[name] != value)
    }
    access.acting(making.actor, making.reason)
    related = {field.name for field in model._meta.many_to_many}
    fields: list[Any] = [model._meta.get_field(name) for name in differs.keys() - related]
    for field in fields:
        sealed = isinstance(field, models.BinaryField)
        value = _sealed_anew(making, row) if sealed else field.to_python(differs[field.name])
        setattr(row, field.attname, value)
    row.full_clean()
    if before is None:
        row.save()
    elif fields:
        row.save(update_fields=[field.name for field in fields])
    for name in differs.keys() & related:
        _relate(row, name, differs[name])
    audit.record(
        f"{model._meta.model_name}_{'added' if before is None else 'changed'}",
        actor=making.actor,
        reason=making.reason,
        at=making.now,
        before=None if before is None else _only(before, differs),
        after=_only(values_of(row), differs),
        object_id=f"{model._meta.label_lower}:{row.pk}",
    )


def mark(secret: bytes) -> str:
    """Return what is shown of a sealed or hashed secret: that it is there, and if it changed."""
    return f"stored ({hashlib.sha256(secret).hexdigest()[:8]})" if secret else ""


def _sealed_anew(making: Making, row: models.Model) -> bytes:
    if not making.credentials_sealed:
        return b""
    opened = credentials.unseal(making.credentials_sealed, row_id=row.pk)
    return credentials.seal(opened, row_id=row.pk)


def _model(after: Any) -> type[models.Model]:
    return apps.get_model(after["table"])


def _locked(after: Any) -> models.Model | None:
    if after["id"] is None:
        return None
    return locks.for_update(_model(after)._default_manager.filter(pk=after["id"])).first()


def _value(row: models.Model, name: str) -> Any:
    field: Any = row._meta.get_field(name)
    if isinstance(field, models.ManyToManyField):
        return [] if row.pk is None else _ids(getattr(row, name).all())
    value = field.value_from_object(row)
    if name in SECRETS:
        return mark(value.encode())
    return mark(bytes(value)) if isinstance(field, models.BinaryField) else plain(value)


def _relate(row: models.Model, name: str, ids: list[Any]) -> None:
    field: Any = row._meta.get_field(name)
    found = list(field.related_model._default_manager.filter(pk__in=ids))
    if len(found) != len(ids):
        raise ValidationError(f"{name}: some of what was chosen is gone")
    getattr(row, name).set(found)


def _ids(rows: Iterable[models.Model]) -> list[Any]:
    return sorted(row.pk for row in rows)


def _only(values: Values, names: Iterable[str]) -> dict[str, Any]:
    return {name: values[name] for name in names}


def _json(values: Values) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(json.dumps(values, cls=DjangoJSONEncoder))
    return made
