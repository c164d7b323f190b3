"""Who holds what of the positions that groups have legs in: read to this moment, and kept.

`orders/groups/attribution.py` says whose each fill is. What has come of the fills so far is kept as
rows, so that a look reads the few that are newer. A fill that belongs before those already
attributed, or a bust or correction of one, has the position's fills walked again from the first.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from django.db import transaction
from django.db.models import Exists, Max, OuterRef, Q, QuerySet

from brokers.contract import Side
from execution_site.floor import locks
from orders.booking.position_fold import amendments_of, execution
from orders.groups.attribution import Dealt, Holder, attribute
from orders.models import Fill, FillAmendment, Order, OrderGroup, PositionShare, SharedPosition
from orders.models.share import BEHIND
from portfolio.fold import Trade, effective, in_order
from portfolio.holding import Holding
from portfolio.models import Position


@dataclass(frozen=True, slots=True)
class _Attributed:
    """A position's holders after all of its fills, and how far that goes."""

    shares: Mapping[Holder, Holding]
    fills: Sequence[Fill]  # those that were not attributed before
    amendments: int


def begin(group: OrderGroup, orders: Iterable[Order]) -> None:
    """Give a new group its share, of nothing yet, of the position of each of its legs."""
    positions = Position.objects.filter(
        connection=group.connection_id,
        strategy=group.strategy,
        instrument__in=[order.instrument_id for order in orders],
    )
    ids = list(positions.order_by("pk").values_list("pk", flat=True))
    SharedPosition.objects.bulk_create(
        [SharedPosition(position_id=pk) for pk in ids], ignore_conflicts=True
    )
    PositionShare.objects.bulk_create([PositionShare(position_id=pk, group=group) for pk in ids])


def of_groups(groups: Iterable[OrderGroup]) -> dict[tuple[int, int], Holding]:
    """Return what groups hold at this moment and have made, by group and instrument.

    One statement while nothing has been traded since the last look, a few more for each position
    that something was traded in.
    """
    wanted = {group.pk for group in groups}
    rows = list(_with_position(PositionShare.objects.filter(group__in=wanted)))
    found = {(row.group_id or 0, _instrument(row)): row.holding for row in rows}
    for position_id in {row.position_id for row in rows if row.position.is_behind}:
        held = PositionShare.objects.filter(
            ~Q(quantity=0) | Q(group=None) | Q(group__in=wanted), position=position_id
        )
        now = list(_with_position(held))
        shared = now[0].position
        attributed = _attribute(shared, now, _newer(shared))
        for holder, holding in attributed.shares.items():
            if holder is not None and holder in wanted:
                found[holder, shared.position.instrument_id] = holding
    return found


def keep(group_id: int) -> None:
    """Attribute what has been traded in the positions of a group, and keep what came of it."""
    behind = SharedPosition.objects.filter(BEHIND, shares__group=group_id).order_by("pk")
    for position_id in behind.values_list("pk", flat=True):
        with transaction.atomic(durable=True):
            _keep(position_id)


def to_look_at() -> list[int]:
    """Return the groups that hold something of positions that something was traded in.

    Where none does, the newest that ever did: so that those positions are kept too.
    """
    behind = SharedPosition.objects.filter(BEHIND)
    of_behind = PositionShare.objects.filter(position__in=behind).exclude(group=None)
    holding = of_behind.exclude(quantity=0).values_list("group_id", flat=True)
    newest = of_behind.values("position").annotate(newest=Max("group"))
    return list({*holding, *newest.values_list("newest", flat=True)})


def _keep(position_id: int) -> None:
    """Write the shares of a position as they are; whoever else keeps it waits."""
    locks.rows(SharedPosition.objects.filter(pk=position_id))
    rows = SharedPosition.objects.select_related("position__instrument", "newest")
    shared = rows.get(pk=position_id)
    fills = _newer(shared)
    dealing = {fill.order.group_id for fill in fills}
    held = PositionShare.objects.filter(
        ~Q(quantity=0) | Q(group=None) | Q(group__in=dealing), position=shared
    )
    kept = {row.group_id: row for row in held}
    attributed = _attribute(shared, list(kept.values()), fills)
    if attributed.fills is not fills:  # walked again: whoever ever had a share has it anew
        kept = {row.group_id: row for row in shared.shares.all()}
    for holder in {*kept, *attributed.shares}:
        row = kept.get(holder) or PositionShare(position=shared, group_id=holder)
        holding = attributed.shares.get(holder, Holding())
        if row.pk is None or row.holding != holding:
            row.holding = holding
            row.save()
    known = [fill for fill in (shared.newest, *attributed.fills) if fill is not None]
    shared.newest = max(known, key=lambda fill: execution(fill).key, default=None)
    shared.through = max((fill.pk for fill in attributed.fills), default=shared.through)
    shared.seen_at, shared.seen_count = shared.position.updated_at, shared.position.folded_count
    shared.amendments = attributed.amendments
    shared.save()


def _attribute(
    shared: SharedPosition, rows: Iterable[PositionShare], fills: Sequence[Fill]
) -> _Attributed:
    """Return who holds what after `fills`, that are newer by id than those attributed."""
    position = shared.position
    shares: dict[Holder, Holding] = {row.group_id: row.holding for row in rows}
    amendments = _amendments(position)
    newest = None if shared.newest is None else execution(shared.newest).key
    late = newest is not None and any(execution(fill).key < newest for fill in fills)
    if late or amendments != shared.amendments:
        shares, fills = {}, list(_fills(position))
    executions = in_order(map(execution, fills))
    group_of = {_trade(fill): fill.order.group_id for fill in fills}
    amended = amendments_of(fills[0].order, executions) if fills and amendments else {}
    dealt = [
        Dealt(one, group_of[Trade(one.key.venue_trade_id, one.side)])
        for one in effective(executions, amended)
    ]
    held = attribute(shares, dealt, multiplier=position.instrument.multiplier)
    return _Attributed(held, fills, amendments)


def _newer(shared: SharedPosition) -> list[Fill]:
    """Return the fills that are not attributed yet. Ids of a position's fills grow with time."""
    return list(_fills(shared.position).filter(pk__gt=shared.through))


def _fills(position: Position) -> QuerySet[Fill]:
    mine = Fill.objects.filter(
        connection=position.connection_id,
        strategy=position.strategy,
        instrument=position.instrument_id,
    )
    return mine.select_related("order", "instrument")


def _amendments(position: Position) -> int:
    """Return how many busts and corrections the fills of a position have had."""
    mine = _fills(position).filter(venue_trade_id=OuterRef("venue_trade_id"), side=OuterRef("side"))
    of_instrument = FillAmendment.objects.filter(
        connection=position.connection_id, instrument=position.instrument_id
    )
    return of_instrument.filter(Exists(mine)).count()


def _trade(fill: Fill) -> Trade:
    return Trade(fill.venue_trade_id, Side(fill.side))


def _with_position(shares: QuerySet[PositionShare]) -> QuerySet[PositionShare]:
    return shares.select_related("position__position__instrument", "position__newest")


def _instrument(share: PositionShare) -> int:
    return share.position.position.instrument_id
