"""The cast of the matrix of rights: each role as a person and as a key, rows of two accounts."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from django.contrib.auth.models import Permission, User
from django.test import Client

from brokers.models import BrokerConnection, Instrument
from execution_site.rest.permissions import NEEDS, KeyScope, Right, rights_of_scopes
from orders.models import ApiClient, MassAction, Order, OrderGroup, Signal
from orders.models.client import issue_key
from portfolio.models import Position
from risk.models import Breaker, ChangeRequest

OWN, OTHER, EVERYTHING = "paper", "other", None
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
R = Right
#: What a person of each role holds beside being signed in.
ROLES = {
    "viewer": set(),
    "trader": {R.TRADE},
    "approver": {R.APPROVE},
    "desk head": {R.TRADE, R.APPROVE, R.KILL, R.RESET_BREAKER, R.RELEASE_KILL},
    "moder": {R.CHANGE_MODE},
    "operator": set(R),
}
KEYS = {f"key {scope}": [scope.value] for scope in KeyScope} | {"key of all": [*KeyScope]}
WHO = ("nobody", *ROLES, "superuser", *KEYS)


@dataclass(frozen=True)
class Member:
    """Somebody who asks: over HTTP, with the rights and the accounts they ought to have."""

    http: Client
    rights: frozenset
    accounts: frozenset
    user: User | None = None

    def reaches(self, account):
        return R.INSTALLATION in self.rights if account is None else account in self.accounts


def person(name, rights, *, staff=False, **fields):
    user = User.objects.create_user(name, is_staff=staff, **fields)
    codenames = [NEEDS[r].permission.partition(".")[2] for r in rights if NEEDS[r].permission]
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    ApiClient.objects.create(name=f"user-{user.pk}", user=user).accounts.add(
        BrokerConnection.objects.get(name=OWN)
    )
    return User.objects.get(pk=user.pk)


def member(who):
    """Make a member of the cast."""
    if who == "nobody":
        return Member(Client(), frozenset(), frozenset())
    if who in KEYS:
        owner = User.objects.create_user("keeper")
        client = ApiClient.objects.create(name="theirs", owner=owner)
        client.accounts.add(BrokerConnection.objects.get(name=OWN))
        text = issue_key(client, scopes=KEYS[who])[1]
        rights = rights_of_scopes(KEYS[who])
        return Member(Client(headers={"authorization": f"Api-Key {text}"}), rights, {OWN})
    if who == "superuser":
        user, rights = User.objects.create_superuser("super"), frozenset(R)
    else:
        user, rights = person("somebody", ROLES[who]), frozenset({R.READ, *ROLES[who]})
    http = Client()
    http.force_login(user)
    accounts = {OWN, OTHER} if R.INSTALLATION in rights else {OWN}
    return Member(http, rights, frozenset(accounts), user)


def rows(account):
    """Make a row of each kind in an account; return their ids by the word that paths use."""
    connection = BrokerConnection.objects.get(name=account)
    instrument = Instrument.objects.get(symbol="AAPL")
    where = {"connection": connection, "strategy": "alpha"}
    sender = ApiClient.objects.get_or_create(name=f"sender-{account}")[0]
    asked = {"client": sender, "body_hash": "", "body": {}, "received_at": NOW, **where}
    answered = {"answer_status": 202, "answer": '{"decision": null}', "status": "APPROVED"}
    signal = Signal.objects.create(
        signal_id="s", instrument=instrument, action="BUY", quantity=1, **asked, **answered
    )
    whole = Signal.objects.create(signal_id="g", action="GROUP", **asked, **answered)
    group = OrderGroup.objects.create(
        signal=whole,
        type="CUSTOM",
        on_leg_failure="KEEP",
        leg_timeout_seconds=30,
        status="FILLED",
        deadline_at=NOW,
        created_at=NOW,
        updated_at=NOW,
        **where,
    )
    order = Order.objects.create(
        origin="SIGNAL",
        client_order_id=f"o-{account}",
        instrument=instrument,
        side="BUY",
        order_type="MARKET",
        time_in_force="DAY",
        quantity=1,
        status="PENDING",
        trading_date=date(2026, 11, 20),
        created_at=NOW,
        updated_at=NOW,
        **where,
    )
    position = Position.objects.create(
        instrument=instrument, folded_at=NOW, updated_at=NOW, **where
    )
    action = MassAction.objects.create(
        kind="CANCEL",
        accounts=[account],
        keeps_reducing=False,
        actor="x",
        reason="x",
        asked_at=NOW,
        **where,
    )
    breaker = Breaker.objects.create(kind="runaway", threshold=2, state="TRIPPED", **where)
    return {
        "signals": signal.pk,
        "groups": group.pk,
        "orders": order.pk,
        "executions": order.pk,
        "positions": position.pk,
        "actions": action.pk,
        "breakers": breaker.pk,
        "proposals": proposal(account).pk,
    }


def proposal(account):
    """Return a change that waits for a second person."""
    return ChangeRequest.objects.create(
        kind="kill_release",
        target="x",
        before=[],
        after={"account": account, "strategy": None, "symbol": None},
        account=account or "",
        proposer="x",
        proposing_person=User.objects.get_or_create(username="proposer")[0],
        reason="x",
        proposed_at=NOW,
        expires_at=datetime.now(UTC) + timedelta(hours=1),
    )
