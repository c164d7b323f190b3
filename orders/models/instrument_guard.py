"""The database's guard of what is held: no change of an instrument's terms passes it by.

The columns and what holds each are the table of `brokers/instruments/held_terms.py`; where those
holders are is known here, above them. A refusal names every column with the list of what holds it,
as JSON in its detail (`brokers.instruments.rows.what_holds` reads it).
"""
# ruff: noqa: S608 the SQL is made of our own names

from collections.abc import Iterable, Mapping

from brokers.instruments.held_terms import CONSTRAINT, DATED_HELD_BY, EVER_TRADED, HELD_BY, Holder
from execution_site.floor.locks import FOR_UPDATE
from orders.lifecycle import OPEN

#: How many of a kind are named before the rest is counted.
NAMED = 5

_OPEN = ", ".join(f"'{status}'" for status in sorted(OPEN))
_ORDERS = """orders_order o JOIN brokers_brokerconnection c ON c.id = o.connection_id
         WHERE o.instrument_id = wanted AND o.status"""

#: One line for each holder, of the instrument with the id `wanted` and the symbol `named`; of
#: working orders those whose market has come to the time `since`.
LISTS: Mapping[Holder, str] = {
    Holder.POSITION: """
        SELECT format('position %s/%s of %s', c.name, p.strategy, trim_scale(p.quantity)) AS line
        FROM portfolio_position p JOIN brokers_brokerconnection c ON c.id = p.connection_id
        WHERE p.instrument_id = wanted AND p.quantity <> 0""",
    Holder.WORKING: f"""
        SELECT format('working order %s/%s %s %s %s', c.name, o.strategy, o.side,
                      trim_scale(o.quantity), o.client_order_id)
        FROM {_ORDERS} IN ({_OPEN})
          AND (since IS NULL OR since <= coalesce(
               (SELECT m.now FROM brokers_marketclock m WHERE m.connection_id = c.id),
               clock_timestamp()))""",
    Holder.ENDED: f"""
        SELECT format('%s ended orders of %s/%s', count(*), c.name, o.strategy)
        FROM {_ORDERS} NOT IN ({_OPEN})
        GROUP BY c.name, o.strategy""",
    Holder.FILL: """
        SELECT format('%s fills of %s/%s', count(*), c.name, f.strategy)
        FROM orders_fill f JOIN brokers_brokerconnection c ON c.id = f.connection_id
        WHERE f.instrument_id = wanted
        GROUP BY c.name, f.strategy""",
    Holder.PAPER: """
        SELECT format('the paper venue''s ledger of %s', h.account)
        FROM brokers_paperholding h
        WHERE h.symbol = named""",
}


def guard_sql() -> str:
    """Return SQL that makes the database refuse what the table of held terms does not allow."""
    return _HELD_BY + _INSTRUMENT + _DATED


def _text(value: str) -> str:
    return f"'{value}'"


def _array(holders: frozenset[Holder]) -> str:
    return f"ARRAY[{', '.join(map(_text, sorted(holders)))}]"


def _columns(row: str, names: Iterable[str]) -> str:
    return ", ".join(f'{row}."{name}"' for name in names)


_LINES = "\n        UNION ALL".join(
    f"""
        SELECT {rank} AS rank, line FROM ({LISTS[holder]}) AS holding(line)
        WHERE {_text(holder)} = ANY(holders)"""
    for rank, holder in enumerate(Holder)
)
_TERMS = ",\n        ".join(f"({_text(name)}, {_array(by)})" for name, by in HELD_BY.items())
_IDENTITY = [name for name, by in HELD_BY.items() if by == EVER_TRADED]
_REFUSE = f"""RAISE EXCEPTION '%: held, and cannot change: %', named,
            (SELECT string_agg(key, ', ' ORDER BY key) FROM jsonb_each(refused))
            USING ERRCODE = 'restrict_violation', CONSTRAINT = '{CONSTRAINT}',
                  DETAIL = refused::text;"""

_HELD_BY = f"""
CREATE OR REPLACE FUNCTION instrument_held_by(
    wanted bigint, named text, holders text[], since timestamptz
) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    RETURN (
    WITH lines AS ({_LINES}
    ), numbered AS (
        SELECT rank, line, row_number() OVER (PARTITION BY rank ORDER BY line) AS number,
               count(*) OVER (PARTITION BY rank) AS total
        FROM lines
    )
    SELECT string_agg(
        CASE WHEN number > {NAMED} THEN format('%s more', total - {NAMED}) ELSE line END, ', '
        ORDER BY rank, number)
    FROM numbered WHERE number <= {NAMED} + 1);
END $$;
"""

_INSTRUMENT = f"""
CREATE OR REPLACE FUNCTION brokers_instrument_held() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    named text := OLD.symbol;
    term record;
    found_by text;
    refused jsonb := '{{}}';
BEGIN
    -- An order commits with a share of its instrument. Whoever did before us is seen below, whoever
    -- comes after waits. Other terms need no lock: nothing is folded by them.
    IF TG_OP = 'DELETE'
       OR ({_columns("OLD", _IDENTITY)}) IS DISTINCT FROM ({_columns("NEW", _IDENTITY)}) THEN
        PERFORM 1 FROM brokers_instrument i WHERE i.id = OLD.id {FOR_UPDATE};
    END IF;
    FOR term IN SELECT * FROM (VALUES
        {_TERMS}
    ) AS t(name, holders) LOOP
        IF TG_OP = 'DELETE' THEN
            CONTINUE WHEN term.name <> 'symbol';
        ELSE
            CONTINUE WHEN to_jsonb(OLD) -> term.name = to_jsonb(NEW) -> term.name;
        END IF;
        found_by := instrument_held_by(OLD.id, OLD.symbol, term.holders, NULL);
        IF found_by IS NOT NULL THEN
            refused := refused || jsonb_build_object(term.name, found_by);
        END IF;
    END LOOP;
    IF refused <> '{{}}' THEN
        {_REFUSE}
    END IF;
    IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;
    RETURN NEW;
END $$;
CREATE OR REPLACE TRIGGER brokers_instrument_held BEFORE UPDATE ON brokers_instrument
    FOR EACH ROW WHEN (
        ({_columns("OLD", HELD_BY)}) IS DISTINCT FROM ({_columns("NEW", HELD_BY)})
    ) EXECUTE FUNCTION brokers_instrument_held();
CREATE OR REPLACE TRIGGER brokers_instrument_deleted BEFORE DELETE ON brokers_instrument
    FOR EACH ROW EXECUTE FUNCTION brokers_instrument_held();
"""

_DATED = f"""
CREATE OR REPLACE FUNCTION brokers_contractterms_held() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    since timestamptz := least(OLD.effective_from, NEW.effective_from);
    named text;
    instrument bigint;
    found_by text;
    refused jsonb := '{{}}';
BEGIN
    FOR instrument, named IN SELECT i.id, i.symbol FROM brokers_instrument i
        WHERE i.id IN (OLD.instrument_id, NEW.instrument_id) LOOP
        found_by := instrument_held_by(instrument, named, {_array(DATED_HELD_BY)}, since);
        IF found_by IS NOT NULL THEN
            refused := jsonb_build_object('effective_from', found_by);
            {_REFUSE}
        END IF;
    END LOOP;
    IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;
    RETURN NEW;
END $$;
CREATE OR REPLACE TRIGGER brokers_contractterms_held
    BEFORE INSERT OR DELETE ON brokers_contractterms
    FOR EACH ROW EXECUTE FUNCTION brokers_contractterms_held();
CREATE OR REPLACE TRIGGER brokers_contractterms_changed BEFORE UPDATE ON brokers_contractterms
    FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*)
    EXECUTE FUNCTION brokers_contractterms_held();
"""
