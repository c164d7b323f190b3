"""What we want, as rows: signals, their orders, each attempt to send one, and what was filled."""

from orders.models.amendment import FillAmendment
from orders.models.approval import Approval
from orders.models.attempt import SubmissionAttempt, VenueOrder
from orders.models.client import ApiClient, ApiKey
from orders.models.group import OrderGroup
from orders.models.mass_action import MassAction, PositionClose
from orders.models.order import Fill, Order, StreamCursor
from orders.models.replacement import Replacement
from orders.models.share import PositionShare, SharedPosition
from orders.models.signal import Action, Signal, SignalStatus
from risk.origins import Origin

__all__ = [
    "Action",
    "ApiClient",
    "ApiKey",
    "Approval",
    "Fill",
    "FillAmendment",
    "MassAction",
    "Order",
    "OrderGroup",
    "Origin",
    "PositionClose",
    "PositionShare",
    "Replacement",
    "SharedPosition",
    "Signal",
    "SignalStatus",
    "StreamCursor",
    "SubmissionAttempt",
    "VenueOrder",
]
