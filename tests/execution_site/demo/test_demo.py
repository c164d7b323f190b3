"""The demo is made once: what people change, add, end or delete stays so, and it starts again."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth.models import Group, Permission, User

from brokers.models import BrokerConnection, Instrument
from execution_site.demo import seed
from execution_site.floor.events import Event
from execution_site.models import Seed
from orders.models import ApiClient, ApiKey
from risk import control
from risk.models import Breaker, RiskLimit, SystemControl

NOW = datetime(2026, 11, 25, 9, tzinfo=UTC)
KEPT = (
    BrokerConnection,
    Instrument,
    RiskLimit,
    Breaker,
    User,
    User.groups.through,
    Group,
    Group.permissions.through,
    ApiClient,
    ApiClient.accounts.through,
    ApiKey,
    SystemControl,
    Event,
)


@pytest.fixture
def seeded(db, settings, tmp_path, valkey):
    settings.DATA_DIR = str(tmp_path)
    assert seed.seed(now=NOW)
    return BrokerConnection.objects.get(name="paper")


def everything():
    """All that the demo consists of, to the last column."""
    rows = {model.__name__: list(model.objects.order_by("pk").values()) for model in KEPT}
    return rows, seed.key_file().exists() and seed.key_file().read_text()


def limits():
    return RiskLimit.objects.filter(metric="daily_trades")


def breakers():
    return Breaker.objects.filter(kind="daily_loss")


def user(name):
    return User.objects.get(username=name)


def delete_trader():
    ApiClient.objects.filter(name="trader").delete()
    user("trader").delete()


def rename_trader():
    User.objects.filter(username="trader").update(username="tina")


def new_password(name):
    person = user(name)
    person.set_password("my own")
    person.save()


def revoke():
    ApiKey.objects.update(revoked_at=NOW)


def revoke_and_lose():
    revoke()
    seed.key_file().unlink()


def another_account():
    account = BrokerConnection.objects.create(name="mine", broker="paper", environment="paper")
    RiskLimit.objects.create(connection=account, metric="daily_trades", value=1)


def guide():
    control.set_system_mode("GUIDE", actor="rita", reason="calmer", now=NOW)


CHANGES = [
    ("nothing", lambda: None),
    ("account edited", lambda: BrokerConnection.objects.update(settings={"seed": 3}, dry_run=True)),
    ("account added beside", another_account),
    ("account disabled", lambda: BrokerConnection.objects.update(is_enabled=False)),
    ("account deleted", lambda: BrokerConnection.objects.all().delete()),
    ("instrument edited", lambda: Instrument.objects.filter(symbol="AAPL").update(lot_size=7)),
    (
        "instrument added beside",
        lambda: Instrument.objects.create(
            symbol="MINE", kind="EQUITY", currency="USD", tick_size=1, lot_size=1
        ),
    ),
    ("instruments withdrawn", lambda: Instrument.objects.update(is_tradable=False)),
    ("instrument deleted", lambda: Instrument.objects.filter(symbol="AAPL").delete()),
    ("one contract deleted", lambda: Instrument.objects.filter(kind="OPTION").first().delete()),
    ("all contracts deleted", lambda: Instrument.objects.filter(exchange="NFO").delete()),
    ("limit edited", lambda: limits().update(value=7)),
    ("limit moved to a strategy", lambda: limits().update(strategy="mine")),
    (
        "limit added beside",
        lambda: RiskLimit.objects.create(
            connection=limits().get().connection,
            metric="daily_trades",
            value=9,
            effective_from=NOW,
        ),
    ),
    ("limit ended", lambda: limits().update(effective_until=NOW)),
    ("limit deleted", lambda: limits().delete()),
    ("breaker edited", lambda: breakers().update(threshold=7, action="FLATTEN")),
    (
        "breaker added beside",
        lambda: Breaker.objects.create(
            connection=breakers().get().connection, kind="daily_loss", strategy="a", threshold=9
        ),
    ),
    ("breaker switched off", lambda: breakers().update(is_enabled=False)),
    ("breaker deleted", lambda: breakers().delete()),
    ("admin's password changed", lambda: new_password("admin")),
    ("admin no longer a superuser", lambda: User.objects.update(is_superuser=False)),
    ("admin deleted", lambda: user("admin").delete()),
    ("trader's password changed", lambda: new_password("trader")),
    ("trader's groups changed", lambda: user("trader").groups.clear()),
    ("trader renamed", rename_trader),
    ("trader disabled", lambda: User.objects.filter(username="trader").update(is_active=False)),
    ("trader deleted", delete_trader),
    ("user added beside", lambda: User.objects.create_user("otto")),
    ("group's permissions taken away", lambda: Group.objects.get().permissions.clear()),
    (
        "group's permissions added to",
        lambda: Group.objects.get().permissions.add(
            Permission.objects.get(codename="reset_breaker")
        ),
    ),
    ("group renamed", lambda: Group.objects.update(name="desk")),
    ("group deleted", lambda: Group.objects.all().delete()),
    ("clients without accounts", lambda: ApiClient.accounts.through.objects.all().delete()),
    ("clients disabled", lambda: ApiClient.objects.update(is_active=False)),
    ("client renamed", lambda: ApiClient.objects.filter(name="trader").update(name="tina")),
    ("strategy's client deleted", lambda: ApiClient.objects.get(name="demo-strategy").delete()),
    ("key revoked", revoke),
    ("key revoked and its file removed", revoke_and_lose),
    ("mode changed", guide),
]


@pytest.mark.parametrize(("_case", "change"), CHANGES, ids=[case for case, _ in CHANGES])
def test_seeding_again_leaves_what_people_changed_as_it_is(seeded, _case, change):
    change()
    was = everything()

    for later in (timedelta(0), timedelta(days=1)):
        assert not seed.seed(now=NOW + later)

    assert everything() == was


def test_the_first_time_makes_all_of_it(seeded):
    assert SystemControl.objects.get().mode == "AUTONOMOUS"
    assert {limit.metric for limit in RiskLimit.objects.all()} == set(seed.LIMITS)
    assert {breaker.kind for breaker in Breaker.objects.all()} == set(seed.BREAKERS)
    assert user("admin").check_password("admin-demo")
    assert user("trader").has_perm("orders.add_signal")
    assert set(ApiClient.objects.filter(accounts=seeded).values_list("name", flat=True)) == {
        "trader",
        "demo-strategy",
    }
    assert json.loads(seed.key_file().read_text())["key"].startswith(ApiKey.objects.get().prefix)
    assert Instrument.objects.filter(exchange="NFO").count() == 249


def test_what_is_there_before_the_first_time_is_a_person_s_and_kept(db, settings, tmp_path):
    settings.DATA_DIR = str(tmp_path)
    mine = BrokerConnection.objects.create(
        name="paper", broker="paper", environment="paper", is_enabled=False
    )
    for at in (None, NOW):
        RiskLimit.objects.create(connection=mine, metric="daily_trades", value=3, effective_from=at)

    assert not seed.seed(now=NOW)

    assert set(limits().values_list("value", flat=True)) == {3}
    assert not BrokerConnection.objects.get().is_enabled
    assert SystemControl.objects.get().mode == "GUIDE"
    assert RiskLimit.objects.exclude(metric="daily_trades").count() == len(seed.LIMITS) - 1


def test_an_installation_from_before_seeds_were_remembered_keeps_its_changes(seeded):
    Seed.objects.all().delete()
    guide()
    limits().update(value=7)
    user("trader").groups.clear()
    was = everything()

    seed.seed(now=NOW)

    assert everything() == was


def test_the_chain_is_made_anew_when_it_has_expired(seeded):
    seed.seed(now=NOW + timedelta(days=29))

    assert Instrument.objects.filter(exchange="NFO").count() == 2 * 249


def test_a_lost_key_file_gets_another_key_while_the_client_still_has_one(seeded):
    seed.key_file().unlink()
    seed.seed(now=NOW)

    assert seed.key_file().exists()
    assert ApiKey.objects.filter(revoked_at=None).count() == 2
