"""Fixtures: a database of its own for each test, real Valkey, a cast of three, a market."""

import gc
from datetime import UTC, datetime
from decimal import Decimal

import pytest
import redis
from django.conf import settings
from django.contrib.auth.models import User

from brokers import quotes, registry
from brokers.contract import QuoteUpdate
from brokers.models import BrokerConnection, Instrument
from execution_site.rest import rates
from orders.models import ApiClient
from orders.models.client import issue_key
from orders.sending import in_flight
from risk.facts import SystemMode
from risk.models import SystemControl
from tests import databases
from tests.site import Site


def pytest_configure():
    """Make passwords cheap: the real hashing takes half a second for each user.

    And look for a static file when it is asked for: else each client first reads all folders.
    """
    settings.CHOSEN_HASHERS = settings.PASSWORD_HASHERS
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    settings.WHITENOISE_AUTOREFRESH = True


def pytest_collection_modifyitems(items):
    """Have what needs the whole running site run alone."""
    for item in items:
        if "site" in item.fixturenames or {"chaos", "browser"} & {*item.path.parts}:
            item.add_marker("alone")


def pytest_collection_finish():
    """Look for garbage among what tests make, not among the modules and all the collected tests."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def clones(django_db_blocker):
    """The source of databases, from one that is migrated first."""
    with django_db_blocker.unblock():
        clones = databases.Clones()
    yield clones
    clones.close()


@pytest.fixture
def db(clones, django_db_blocker):
    """A database of this test's own: real commits, real hooks after them, two connections."""
    name = clones.make()
    with django_db_blocker.unblock():
        databases.use(name)
        registry._adapters.clear()
        in_flight._sends.clear()
        rates._refused_until.clear()
        yield name
        databases.use(clones.template)
    clones.drop(name)


@pytest.fixture
def transactional_db(db):
    """The same: every test commits."""
    return db


@pytest.fixture
def _django_db_helper(db):
    """What the mark `django_db` asks for: the same."""


@pytest.fixture
def valkey():
    """An empty Valkey."""
    client = redis.Redis.from_url(settings.REDIS_SECRET_URL)
    client.flushall()
    return client


NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.fixture
def account(db):
    """A paper account in AUTONOMOUS mode, with a currency pair and a share."""
    SystemControl.objects.filter(pk=1).update(mode=SystemMode.AUTONOMOUS)
    for symbol, currency, tick, lot in (
        ("EURUSD", "USD", "0.00001", 1000),
        ("AAPL", "USD", "0.01", 1),
    ):
        Instrument.objects.create(
            symbol=symbol,
            kind="FX" if symbol == "EURUSD" else "EQUITY",
            currency=currency,
            tick_size=Decimal(tick),
            lot_size=lot,
            pip_size=Decimal("0.0001") if symbol == "EURUSD" else None,
        )
    return BrokerConnection.objects.create(
        name="paper",
        broker="paper",
        environment="paper",
        settings={"slippage_basis_points": "0", "commission_basis_points": "1"},
    )


@pytest.fixture
def trader(account):
    """An API client that may trade on the account."""
    client = ApiClient.objects.create(name="trader", owner=User.objects.create_user("tom"))
    client.accounts.add(account)
    return client


@pytest.fixture
def manager(account):
    """Another person's API client on the account."""
    client = ApiClient.objects.create(name="manager", owner=User.objects.create_user("maria"))
    client.accounts.add(account)
    return client


@pytest.fixture
def trader_key(trader):
    """The trader's key, as it goes into the Authorization header."""
    return "Api-Key " + issue_key(trader, scopes=["read", "trade"])[1]


@pytest.fixture
def risk_manager(db):
    """A superuser."""
    return User.objects.create_superuser("rita", password="rita-password")


@pytest.fixture
def outsider_key(db):
    """The key of a client without any account."""
    client = ApiClient.objects.create(name="outsider")
    return "Api-Key " + issue_key(client, scopes=["read", "trade"])[1]


@pytest.fixture
def quote(account):
    """Store a quote: `quote("AAPL", bid=99, ask=101, bid_size=5)`."""

    def put(symbol, *, at=None, **values):
        at = at or datetime.now(UTC)
        decimals = {name: Decimal(str(v)) for name, v in values.items()}
        quotes.store([QuoteUpdate(symbol=symbol, as_of=at, **decimals)], now=at)

    return put


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """The whole site, with the synthetic market and the demo's account; shared by all tests."""
    running = Site(tmp_path_factory.mktemp("site"), FEED="synthetic").start()
    running.manage("seed_demo")
    yield running
    running.discard()


@pytest.fixture(scope="session")
def trade_key(site):
    """A key that may trade and control on the running site."""
    return site.key("chaos", "read,trade,control,release,installation")
