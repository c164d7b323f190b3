"""A column of symbols: each contract in one spelling, whoever writes it or asks for it."""

from typing import Any

from django.core.exceptions import ValidationError
from django.db import models

from brokers.instruments import symbols


def validate_date(symbol: str) -> None:
    """Refuse a derivative of a date that does not exist."""
    try:
        symbols.parse(symbol)
    except symbols.NoSuchDate as e:
        raise ValidationError(str(e), code="no_such_date") from e


class SymbolField(models.CharField):
    """Text that is kept, and looked for, in a symbol's one spelling."""

    default_validators = [*models.CharField.default_validators, validate_date]

    def to_python(self, value: Any) -> Any:
        """Return what a form or a file gave, in its one spelling."""
        return _one_spelling(super().to_python(value))

    def get_prep_value(self, value: Any) -> Any:
        """Return what is stored or looked for, in its one spelling."""
        return _one_spelling(super().get_prep_value(value))

    def pre_save(self, model_instance: models.Model, add: bool) -> Any:
        """Let the object say what its row does."""
        value = _one_spelling(super().pre_save(model_instance, add))
        setattr(model_instance, self.attname, value)
        return value


def _one_spelling(value: Any) -> Any:
    return symbols.one_spelling(value) if isinstance(value, str) else value
