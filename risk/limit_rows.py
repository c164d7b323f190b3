"""The limits that apply to an order, in SQL; those that orders in several instruments share."""

from typing import Any

from execution_site.floor import locks, statements
from risk.limits import MEANINGS


def lock_shared(params: dict[str, Any]) -> list[tuple[str, bool]]:
    """Lock, by id, the limits that orders in different instruments take from, and apply.

    `params` are those of `APPLIES`, with lists for `symbol` and `underlying` where several orders
    are judged together. Return the metric of each, and whether it spans accounts. Verdicts under
    one such limit are made one after the other.
    """
    several = isinstance(params["symbol"], list)
    found = statements.run(_SHARED_LIMITS_OF_ANY if several else _SHARED_LIMITS, params)
    return [(metric, spans) for _, metric, spans in found]


_APPLIES = """(l.connection_id IS NULL OR l.connection_id = %(connection)s)
    AND l.strategy IN ('', %(strategy)s) AND {symbols} AND {underlyings}
    AND (l.effective_from IS NULL OR l.effective_from <= %(now)s)
    AND (l.effective_until IS NULL OR l.effective_until > %(now)s)"""
#: The limits that apply to an order; a part of larger statements.
APPLIES = _APPLIES.format(
    symbols="l.symbol IN ('', %(symbol)s)", underlyings="l.underlying IN ('', %(underlying)s)"
)
_APPLIES_TO_ANY = _APPLIES.format(
    symbols="(l.symbol = '' OR l.symbol = ANY(%(symbol)s))",
    underlyings="(l.underlying = '' OR l.underlying = ANY(%(underlying)s))",
)
_SHARED = ", ".join(f"'{metric}'" for metric, meaning in MEANINGS.items() if meaning.shared)
_LOCK_SHARED = f"""
SELECT {locks.SHARED_LIMIT}, mine.metric, mine.spans
FROM (SELECT l.id, l.metric, l.connection_id IS NULL AS spans FROM risk_risklimit l
      WHERE l.metric IN ({_SHARED}) AND {{applies}}
      ORDER BY l.id OFFSET 0) AS mine
"""  # noqa: S608 our own names
_SHARED_LIMITS = _LOCK_SHARED.format(applies=APPLIES)
_SHARED_LIMITS_OF_ANY = _LOCK_SHARED.format(applies=_APPLIES_TO_ANY)
