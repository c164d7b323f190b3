"""The states of an order, and which may follow which. The database trigger is made from this."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from decimal import Decimal
from enum import StrEnum

from brokers.contract import OrderReport, VenueStatus


class OrderStatus(StrEnum):
    """FIX 39, with the states of our own machinery."""

    PENDING = "PENDING"
    SUBMITTING = "SUBMITTING"
    IN_DOUBT = "IN_DOUBT"
    SUBMITTED = "SUBMITTED"
    ACCEPTED = "ACCEPTED"
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    FILLED = "FILLED"
    CANCELLED = "CANCELLED"
    REJECTED = "REJECTED"
    EXPIRED = "EXPIRED"
    FAILED = "FAILED"


class PendingAction(StrEnum):
    """What we have asked of the venue and not heard back on."""

    NONE = "NONE"
    CANCEL = "CANCEL"
    REPLACE = "REPLACE"


class InvalidTransition(Exception):
    """An order was asked to go where the table does not lead."""


S = OrderStatus
VENUE_SAID: AbstractSet[S] = frozenset(
    {
        S.SUBMITTED,
        S.ACCEPTED,
        S.PARTIALLY_FILLED,
        S.FILLED,
        S.CANCELLED,
        S.REJECTED,
        S.EXPIRED,
    }
)
TRANSITIONS: Mapping[S, AbstractSet[S]] = {  # a status without a row is final
    S.PENDING: {S.SUBMITTING, S.CANCELLED, S.EXPIRED},
    S.SUBMITTING: {
        S.PENDING,
        S.IN_DOUBT,
        S.FAILED,
        *VENUE_SAID,
    },  # to PENDING: nothing was sent
    S.IN_DOUBT: {S.FAILED, *VENUE_SAID},  # never PENDING: it may be there
    S.SUBMITTED: VENUE_SAID - {S.SUBMITTED},
    S.ACCEPTED: VENUE_SAID - {S.SUBMITTED, S.ACCEPTED},
    S.PARTIALLY_FILLED: {S.FILLED, S.CANCELLED, S.EXPIRED},
    S.CANCELLED: {S.FILLED},  # a fill crossed our cancel on the wire
    S.EXPIRED: {S.FILLED},  # a fill crossed the venue's expiry
    S.REJECTED: {S.FILLED},  # the venue corrected itself: its fill is its last word
    S.FAILED: {
        S.ACCEPTED,
        S.FILLED,
    },  # proved absent, then acknowledged after all: alerted
}
TERMINAL: AbstractSet[S] = frozenset({S.FILLED, S.CANCELLED, S.REJECTED, S.EXPIRED, S.FAILED})
OPEN: AbstractSet[S] = frozenset(S) - TERMINAL
OPEN_SQL = "(" + ", ".join(f"'{status}'" for status in sorted(OPEN)) + ")"  # a part of statements
AT_VENUE: AbstractSet[S] = frozenset({S.SUBMITTED, S.ACCEPTED, S.PARTIALLY_FILLED})


def advance(current: S, new: S) -> S:
    """Return `new`. Repeats are allowed: venues resend.

    :raises InvalidTransition: the table does not lead from `current` to `new`
    """
    if new != current and new not in TRANSITIONS.get(current, ()):
        raise InvalidTransition(f"{current} cannot become {new}")
    return new


def heard(current: S, said: S) -> S:
    """Return the status after the venue said `said`, which may be old news.

    What the table does not allow is a message overtaken by a later one (an acknowledgement after
    its fill): the order stays where it is.
    """
    return said if said in TRANSITIONS.get(current, ()) else current


def status_after(
    current: OrderStatus,
    *,
    said: VenueStatus,
    quantity: Decimal,
    filled: Decimal,
) -> OrderStatus:
    """Return an order's status after a report, `filled` being what is booked by now.

    FILLED comes from fills alone: a venue that says so before its executions are known is asked.
    """
    if filled >= quantity:
        return heard(current, OrderStatus.FILLED)
    if said is VenueStatus.FILLED:
        said = VenueStatus.PARTIALLY_FILLED if filled else VenueStatus.ACCEPTED
    if said is VenueStatus.ACCEPTED and filled:
        said = VenueStatus.PARTIALLY_FILLED
    return heard(current, OrderStatus(said.value))


def owes_fills(report: OrderReport, *, filled: Decimal) -> bool:
    """Tell whether the venue has filled more than it has told us the executions of."""
    return report.filled_quantity > filled


def is_open(status: str) -> bool:
    """Tell whether an order of this status can still work."""
    return OrderStatus(status) in OPEN


def trigger_sql(table: str) -> str:
    """Return SQL that makes the database refuse every transition not in TRANSITIONS."""
    pairs = sorted((old, new) for old, news in TRANSITIONS.items() for new in news)
    allowed = ",\n        ".join(f"('{old}', '{new}')" for old, new in pairs)
    return f"""
CREATE OR REPLACE FUNCTION {table}_transition() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (OLD.status, NEW.status) NOT IN (
        {allowed}
    ) THEN
        RAISE EXCEPTION 'order %: % cannot become %', OLD.id, OLD.status, NEW.status
            USING ERRCODE = 'check_violation', CONSTRAINT = '{table}_transition';
    END IF;
    RETURN NEW;
END $$;
CREATE OR REPLACE TRIGGER {table}_transition BEFORE UPDATE OF status ON {table}
    FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status)
    EXECUTE FUNCTION {table}_transition();
"""
