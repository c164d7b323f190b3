"""The one statement that writes what a desk has dealt: orders, their lines, and holdings."""

from collections.abc import Sequence

from brokers.models import PaperHolding, PaperOrder, PaperReport
from brokers.paper.ledger import ALIAS
from execution_site.floor import statements

_STATE = (
    "status",
    "reason",
    "quantity",
    "limit_price",
    "stop_price",
    "filled_quantity",
    "quote_number",
    "triggered",
    "rested",
    "queue_ahead",
    "updated_at",
)
_HELD = ("quantity", "cash", "fees", "quote_number", "bid_taken", "ask_taken")


def write(
    orders: Sequence[PaperOrder], lines: Sequence[PaperReport], holdings: Sequence[PaperHolding]
) -> None:
    """Write it all. Ids are drawn in the order of dealing, under the account's lock."""
    new = [order for order in orders if order.pk is None]
    new_ids, line_ids, holding_ids = statements.one(
        _IDS, [len(new), len(lines), len(holdings)], using=ALIAS
    )
    for order, pk in zip(new, new_ids, strict=True):
        order.pk = pk
    for line, pk in zip(lines, line_ids, strict=True):
        line.pk, line.order_id = pk, line.order.pk
    for holding, pk in zip(holdings, holding_ids, strict=True):
        holding.pk = holding.pk or pk
    held = {id(order) for order in orders} - {id(order) for order in new}
    statements.run(
        _WRITE,
        {
            "new": statements.rows_json(new),
            "held": statements.rows_json(order for order in orders if id(order) in held),
            "lines": statements.rows_json(lines),
            "holdings": statements.rows_json(holdings),
        },
        using=ALIAS,
    )


def _ids(table: str) -> str:
    return f"ARRAY(SELECT nextval('{table}_id_seq') FROM generate_series(1, %s))"  # noqa: S608 our own names


def _rows(model: type[PaperOrder | PaperReport | PaperHolding], name: str) -> str:
    """Return the part of a statement that inserts the rows given as JSON in the parameter."""
    table, columns = model._meta.db_table, statements.columns(model)
    rows = f"jsonb_populate_recordset(NULL::{table}, %({name})s)"
    return f"INSERT INTO {table} ({columns}) SELECT {columns} FROM {rows}"  # noqa: S608 our own names


_IDS = "SELECT " + ", ".join(
    _ids(model._meta.db_table) for model in (PaperOrder, PaperReport, PaperHolding)
)
_WRITE = f"""
WITH new_orders AS ({_rows(PaperOrder, "new")}),
held_orders AS (
    UPDATE brokers_paperorder o SET {", ".join(f"{c} = h.{c}" for c in _STATE)}
    FROM jsonb_populate_recordset(NULL::brokers_paperorder, %(held)s) AS h WHERE o.id = h.id),
held AS (
    {_rows(PaperHolding, "holdings")} ON CONFLICT (account, symbol)
    DO UPDATE SET {", ".join(f"{c} = excluded.{c}" for c in _HELD)})
{_rows(PaperReport, "lines")}
"""  # noqa: S608 our own names
