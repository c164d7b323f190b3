"""Credentials at rest: they open with their key, for their row, unchanged."""

import pytest

from brokers.credentials import CredentialsUnreadable, seal, unseal
from brokers.models import BrokerConnection
from execution_site.floor import sealing

VALUES = {"api_key": "kanarie-1", "api_secret": "kanarie-2 ü"}


def test_what_was_sealed_opens():
    assert unseal(seal(VALUES, row_id=7), row_id=7) == VALUES


def test_the_same_values_never_seal_alike():
    assert seal(VALUES, row_id=7) != seal(VALUES, row_id=7)


def test_nothing_shows_through():
    assert b"kanarie" not in seal(VALUES, row_id=7)


def test_another_row_s_ciphertext_does_not_open():
    with pytest.raises(CredentialsUnreadable):
        unseal(seal(VALUES, row_id=7), row_id=8)


def test_another_installation_s_key_does_not_open(settings, tmp_path):
    sealed = seal(VALUES, row_id=7)
    settings.CREDENTIALS_KEY, settings.DATA_DIR = "another", tmp_path

    with pytest.raises(CredentialsUnreadable):
        unseal(sealed, row_id=7)


@pytest.mark.parametrize("position", [0, sealing.NONCE_BYTES, -1])
def test_a_changed_byte_does_not_open(position):
    sealed = bytearray(seal(VALUES, row_id=7))
    sealed[position] ^= 1

    with pytest.raises(CredentialsUnreadable):
        unseal(bytes(sealed), row_id=7)


@pytest.mark.parametrize("length", [0, 5, sealing.NONCE_BYTES, 20])
def test_what_is_cut_off_does_not_open(length):
    with pytest.raises(CredentialsUnreadable):
        unseal(seal(VALUES, row_id=7)[:length], row_id=7)


def test_the_error_names_the_row_and_no_secret():
    with pytest.raises(CredentialsUnreadable, match=r"^connection 8$"):
        unseal(seal(VALUES, row_id=7), row_id=8)


def test_a_connection_reads_its_own(db):
    one, two = (
        BrokerConnection.objects.create(name=name, broker="paper", environment="paper")
        for name in ("one", "two")
    )
    assert one.read_credentials() == {}
    sealed = seal(VALUES, row_id=one.pk)
    BrokerConnection.objects.update(credentials_sealed=sealed)

    one.refresh_from_db()
    two.refresh_from_db()
    assert one.read_credentials() == VALUES
    with pytest.raises(CredentialsUnreadable):
        two.read_credentials()
