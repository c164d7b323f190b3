"""Which terms of an instrument may not change any more, and because of what (fills, orders, ...).

A fill is folded for ever with the multiplier and in the currency of its instrument, so these, and
what makes it the contract it is, stay once anything was traded. Its lot, its largest order and when
it ends may change while it is held only from a date on (`ContractTerms`). What an order was judged
and priced by stays while one works. The database refuses every other change, by whatever way it
comes: its triggers are made from the tables here (`orders/models/instrument_guard.py`).
"""

from collections.abc import Mapping
from enum import StrEnum

#: The name under which the database refuses.
CONSTRAINT = "held_terms"


class Holder(StrEnum):
    """What can hold a term."""

    POSITION = "position"  # one that is not flat
    WORKING = "working order"  # one that has not ended
    ENDED = "ended order"  # a fill may still come late
    FILL = "fill"
    PAPER = "paper holding"  # the paper venue's own ledger, flat or not


WORKING = frozenset({Holder.WORKING})
HELD = frozenset({Holder.POSITION, Holder.WORKING})
EVER_TRADED = frozenset(Holder)

#: Each column of an instrument that something holds.
HELD_BY: Mapping[str, frozenset[Holder]] = {
    **dict.fromkeys(("symbol", "kind", "currency", "multiplier"), EVER_TRADED),
    **dict.fromkeys(("underlying", "expiry_date", "strike", "right"), EVER_TRADED),
    **dict.fromkeys(("lot_size", "freeze_quantity", "cut_off_at"), HELD),
    **dict.fromkeys(("exchange", "settlement"), HELD),
    **dict.fromkeys(("tick_size", "margin_rate", "min_notional"), WORKING),
}
#: Columns that may change at any time: words, a switch, and a unit of reports.
FREE = frozenset({"description", "is_tradable", "pip_size"})
#: Terms that can be given from a date on instead.
DATED_TERMS = frozenset({"lot_size", "freeze_quantity", "expiry_date", "cut_off_at"})
#: What holds a dated row that is in force: an order that works was judged by it.
DATED_HELD_BY = WORKING


def refusal(column: str, holders: str) -> str:
    """Return why a column cannot change, from the list of what holds it."""
    advice = "; give it from a date on instead" if column in DATED_TERMS else ""
    return f"cannot change, held by {holders}{advice}"
