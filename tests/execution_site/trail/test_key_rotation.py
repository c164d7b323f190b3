"""A key is replaced while what it sealed and signed stays readable, and no secret shows."""

import io
import itertools

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from brokers import credentials
from brokers.models import BrokerConnection
from execution_site.floor import secret_keys
from execution_site.floor.events import Event, EventType, canonical, is_our_mac, record_event
from execution_site.sign_in.devices import Authenticator
from tests.execution_site.sign_in.second_factors import enrolled, staff

CANARIES = [f"kanarie-{number:02}-{secret_keys.new_key()}" for number in range(20)]


@pytest.fixture
def installation(db, settings, tmp_path, monkeypatch):
    """Keys in a file, as this process read them when it started."""
    for name in secret_keys.NAMES:
        monkeypatch.delenv(name, raising=False)
    settings.DATA_DIR = tmp_path
    restart(settings)
    return settings


def restart(settings):
    for name, (key, *before) in secret_keys.load(settings.DATA_DIR, {}).items():
        setattr(settings, name, key)
        setattr(settings, f"{name}_FALLBACKS", before)


def rotate(name):
    out = io.StringIO()
    call_command(f"rotate_{name}_key", reason="it was shown", stdout=out)
    return out.getvalue()


def connect(name, values):
    row = BrokerConnection.objects.create(name=name, broker="paper", environment="paper")
    row.credentials_sealed = credentials.seal(values, row_id=row.pk)
    row.save()
    return row


def is_ours(event):
    return is_our_mac(event.mac, event.type, event.account, canonical(event.data), event.at)


def test_credentials_open_before_during_and_after_a_rotation(installation):
    rows = [connect(f"c{number}", {"key": word}) for number, word in enumerate(CANARIES)]
    before = installation.CREDENTIALS_KEY

    for _ in range(2):
        assert rotate("credentials").startswith(f"{len(rows)} connections")
        for row, word in zip(rows, CANARIES, strict=True):  # by a process with the key before
            row.refresh_from_db()
            assert row.read_credentials() == {"key": word}
    restart(installation)

    assert before != installation.CREDENTIALS_KEY
    installation.CREDENTIALS_KEY_FALLBACKS = []
    secret_keys.private_json.replace(
        secret_keys.path_of(installation.DATA_DIR),
        {name: [getattr(installation, name)] for name in secret_keys.NAMES},
    )
    assert rows[0].read_credentials() == {"key": CANARIES[0]}  # nothing needs the keys before


def test_an_authenticator_is_sealed_anew(installation):
    secret, _ = enrolled(staff())
    before = Authenticator.objects.get()

    assert "and 1 authenticators sealed" in rotate("credentials")
    after = Authenticator.objects.get()
    assert after.key != before.key
    assert after.bin_key == before.bin_key == secret


def test_events_of_either_key_are_ours_and_of_no_other(installation):
    record_event(EventType.SYSTEM, {"n": 1}, at=timezone.now())
    rotate("audit")
    record_event(EventType.SYSTEM, {"n": 2}, at=timezone.now())  # by a process not restarted yet
    restart(installation)
    record_event(EventType.SYSTEM, {"n": 3}, at=timezone.now())

    events = list(Event.objects.order_by("pk"))
    assert [is_ours(event) for event in events] == [True] * 4  # the rotation is one of them
    events[0].data = {"n": 4}
    assert not is_ours(events[0])
    installation.AUDIT_KEY_FALLBACKS = []
    secret_keys.put_new_first(installation.DATA_DIR, "AUDIT_KEY")
    secret_keys.path_of(installation.DATA_DIR).unlink()
    assert [is_ours(event) for event in events[1:]] == [False, False, True]


@pytest.mark.parametrize("name", ["credentials", "audit"])
def test_a_given_key_is_its_operator_s_to_renew(installation, monkeypatch, name):
    variable = f"{name.upper()}_KEY"
    monkeypatch.setenv(variable, "given")

    with pytest.raises(CommandError, match=f"{variable}_FALLBACKS"):
        rotate(name)


def test_twenty_secrets_are_nowhere_in_the_database_the_pages_and_the_log(
    installation, client, risk_manager, caplog
):
    rows = [connect(f"c{number}", {"key": word}) for number, word in enumerate(CANARIES)]
    said = [rotate("credentials"), rotate("audit")]
    client.force_login(risk_manager)
    for address in ("", *(f"{row.pk}/change/" for row in rows[:3])):
        page = client.get(f"/admin/brokers/brokerconnection/{address}")
        assert page.status_code == 200
        said.append(page.content.decode())
    for row in rows:
        with pytest.raises(credentials.CredentialsUnreadable) as raised:
            credentials.unseal(row.credentials_sealed, row_id=0)
        said.append(str(raised.value))
    keys = secret_keys.stored_keys(installation.DATA_DIR).values()
    canaries = [*CANARIES, *itertools.chain.from_iterable(keys)]

    texts = "\n".join([*said, caplog.text, *_whole_database()])

    assert not [canary for canary in canaries if canary in texts]
    assert "rotate_credentials_key" in texts  # it did read what was written


def _whole_database():
    """Every row of every table as text, binary columns as their bytes."""
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f'SELECT t::text FROM "{table}" t')
            yield from (text for (text,) in cursor.fetchall())
        cursor.execute("SELECT encode(credentials_sealed, 'escape') FROM brokers_brokerconnection")
        yield from (text for (text,) in cursor.fetchall())
