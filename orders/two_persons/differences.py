"""A change as people read it: each field that differs, before and after, in words."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any

from django.apps import apps
from django.db import models

from execution_site.console.tables import plain

NOTHING = "none"


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that changes. Of several related rows only those taken away, and those given."""

    field: str
    before: str
    after: str

    def as_json(self) -> dict[str, str]:
        """Return it as clients see it."""
        return asdict(self)


def of_row(model: type[models.Model], was: Mapping[str, Any], new: Mapping[str, Any]) -> Any:
    """Return what differs between two states of a row, which may be new."""
    found = []
    for name, value in new.items():
        field, before = model._meta.get_field(name), was.get(name)
        if isinstance(field, models.ManyToManyField):
            gone, come = set(before or ()) - set(value), set(value) - set(before or ())
            sides = _rows(field, gone), _rows(field, come)
        else:
            sides = _text(field, before), _text(field, value)
        if sides[0] != sides[1]:
            found.append(Difference(str(getattr(field, "verbose_name", name)), *sides))
    return found


def of_table(before: Any, after: Any) -> list[Difference]:
    """Return what differs where a change names its table."""
    made: list[Difference] = of_row(apps.get_model(after["table"]), before, after["values"])
    return made


def of_one(
    name: str, before: Callable[[Any], Any], after: Callable[[Any], Any]
) -> Callable[[Any, Any], list[Difference]]:
    """Return how a change of one thing is read."""
    return lambda was, new: [Difference(name, str(before(was)), str(after(new)))]


def _text(field: Any, value: Any) -> str:
    if value is None or value in ("", [], {}):
        return NOTHING
    if isinstance(field, models.ForeignKey):
        return _rows(field, [value])
    if isinstance(field, models.DecimalField):
        return str(plain(Decimal(value)))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _rows(field: Any, ids: Any) -> str:
    found = {row.pk: str(row) for row in field.related_model._default_manager.filter(pk__in=ids)}
    return ", ".join(sorted(found.get(pk, f"{pk} (gone)") for pk in ids)) or NOTHING
