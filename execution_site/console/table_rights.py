"""Tables of the console: whose each row is, and what its actions need. Others are refused."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.db.models import Q

from execution_site.rest.permissions import NEEDS, Right, accounts_of


@dataclass(frozen=True, slots=True)
class Table:
    """A table of the console: the way from a row to its account's name, and what actions need.

    Without a way its rows belong to no account. Seeing, adding and changing rows needs the table's
    own permissions of Django's; a row that could belong to an account and names none concerns
    everything; where rows `need` an account, one without is shown to those who reach everything.
    Where rows are `proved`, whatever changes them is.
    """

    account: str = ""
    actions: Mapping[str, tuple[Right, ...]] = field(default_factory=dict)
    need: bool = False
    proved: bool = False

    def takes_proof(self, action: str) -> bool:
        """Tell whether sending a form, or taking this action, is for who has just proved it."""
        return self.proved or any(NEEDS[right].proved for right in self.actions.get(action, ()))

    def account_of(self, row: Any) -> str:
        """Return the name of a row's account, "" without one."""
        for name in self.account.split("__"):
            row = getattr(row, name, None)
        return row or ""

    def reached(self, user: Any) -> Q:
        """Return the condition for the rows that a person may see."""
        own = accounts_of(user)
        if own is None or not self.account:
            return Q()
        theirs = Q((f"{self.account}__in", own))
        of_nobody = Q((f"{self.account}__isnull", True)) | Q((self.account, ""))
        return theirs if self.need else theirs | of_nobody


_OF_CONNECTION = Table("connection__name")
_OF_ORDER = Table("order__connection__name")
_MODE = (Right.CHANGE_MODE,)
_KILL_ALL = (Right.KILL, Right.INSTALLATION)
#: Actions that the table does not name need the permission to change the row (`CHANGES`).
CHANGES: tuple[Right, ...] = ()
CONSOLE: Mapping[str, Table] = {
    "auth.user": Table(proved=True),
    "auth.group": Table(proved=True),
    "execution_site.event": Table("account"),
    "execution_site.seal": Table("event__account"),
    "execution_site.lease": Table(),
    "execution_site.processstatus": Table(),
    "brokers.brokerconnection": Table("name", proved=True),
    "brokers.instrument": Table(proved=True),  # margins, ticks and hours loosen like a limit
    "brokers.contractterms": Table(proved=True),
    "brokers.exchangesession": Table(proved=True),
    "brokers.quote": Table(),
    "brokers.paperorder": Table("account"),
    "brokers.paperreport": Table("account"),
    "portfolio.position": _OF_CONNECTION,
    "portfolio.interestrate": Table(proved=True),
    "portfolio.optiongreeks": Table(),
    "risk.systemcontrol": Table(
        actions={
            "switch_to_guide": _MODE,
            "switch_to_supervised": _MODE,
            "switch_to_autonomous": _MODE,
            "switch_live_on": _MODE,
            "switch_live_off": _MODE,
            "engage_halted": _KILL_ALL,
            "engage_reduce_only": _KILL_ALL,
            "release_kill": (Right.RELEASE_KILL, Right.INSTALLATION),
        }
    ),
    "risk.risklimit": Table("connection__name", {"end_selected": CHANGES}, proved=True),
    "risk.symbolrule": Table("connection__name", proved=True),
    "risk.foureyesrule": Table(actions={"end": (Right.APPROVE,)}, proved=True),
    "risk.breaker": Table("connection__name", {"arm_again": (Right.RESET_BREAKER,)}, proved=True),
    "risk.changerequest": Table(
        "account", {"approve": (Right.APPROVE,), "decline": (Right.APPROVE,)}, proved=True
    ),
    "risk.killswitch": _OF_CONNECTION,
    "risk.riskusage": _OF_CONNECTION,
    "risk.dayresult": _OF_CONNECTION,
    "risk.riskdecision": Table("signal__connection__name", need=True),
    "orders.approval": Table("signal__connection__name"),
    "orders.apiclient": Table(actions={"revoke_keys": CHANGES}, proved=True),
    "orders.apikey": Table(actions={"revoke_selected": CHANGES}, proved=True),
    "orders.signal": _OF_CONNECTION,
    "orders.order": _OF_CONNECTION,
    "orders.submissionattempt": _OF_ORDER,
    "orders.venueorder": _OF_CONNECTION,
    "orders.fill": _OF_CONNECTION,
    "orders.streamcursor": _OF_CONNECTION,
    "orders.ordergroup": _OF_CONNECTION,
}
