"""What groups hold of positions, as rows, so that earlier fills are not read again at each look.

They are derived from fills (orders/groups/sharing.py) and may lag behind them.
"""

from django.db import models
from django.db.models import F, Q

from execution_site.floor.columns import TOTAL
from orders.models.group import OrderGroup
from portfolio.holding import Holding
from portfolio.models import COST, PNL, Position

#: Its position has changed since its fills were attributed.
BEHIND = (
    Q(seen_at=None)
    | ~Q(seen_at=F("position__updated_at"))
    | ~Q(seen_count=F("position__folded_count"))
)


class SharedPosition(models.Model):
    """A position that groups have legs in, and how far its fills have been attributed.

    `seen_at` and `seen_count` are the position's `updated_at` and `folded_count` then; `through` is
    the highest id of its fills, `newest` the last of them in the venue's order; `amendments` is how
    many busts and corrections they had.
    """

    position = models.OneToOneField(
        Position, on_delete=models.PROTECT, primary_key=True, related_name="+"
    )
    seen_at = models.DateTimeField(null=True)
    seen_count = models.PositiveBigIntegerField(default=0)
    through = models.BigIntegerField(default=0)
    newest = models.ForeignKey(
        "orders.Fill", on_delete=models.PROTECT, null=True, related_name="+", db_index=False
    )
    amendments = models.PositiveIntegerField(default=0)

    def __str__(self) -> str:
        return f"position {self.position_id} through fill {self.through}"

    @property
    def is_behind(self) -> bool:
        """Return whether a row, read with its position, is behind it, as `BEHIND` asks of many."""
        position = self.position
        return (self.seen_at, self.seen_count) != (position.updated_at, position.folded_count)


class PositionShare(models.Model):
    """What a group holds of a position and has made with it; without a group, what none holds.

    Signed, before commission, as in `portfolio/holding.py`. A group has one for each of its legs.
    """

    position = models.ForeignKey(
        SharedPosition, on_delete=models.PROTECT, related_name="shares", db_index=False
    )
    group = models.ForeignKey(
        OrderGroup, on_delete=models.PROTECT, null=True, related_name="shares"
    )
    quantity = models.DecimalField(default=0, max_digits=28, decimal_places=10)
    cost = models.DecimalField(**COST)
    realized_pnl = models.DecimalField(**PNL)
    commission = models.DecimalField(default=0, **TOTAL)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                name="share_once", fields=["position", "group"], nulls_distinct=False
            )
        ]
        indexes = [
            models.Index(name="share_held", fields=["position"], condition=~Q(quantity=0)),
        ]

    def __str__(self) -> str:
        return f"{self.quantity} of position {self.position_id} for group {self.group_id}"

    @property
    def holding(self) -> Holding:
        """Return the pure value of this row."""
        return Holding(self.quantity, self.cost, self.realized_pnl, self.commission)

    @holding.setter
    def holding(self, held: Holding) -> None:
        self.quantity, self.cost = held.quantity, held.cost
        self.realized_pnl, self.commission = held.realized_pnl, held.commission
