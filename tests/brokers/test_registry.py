"""Which adapter speaks for which account."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from brokers.contract import BrokerUnavailable
from brokers.models import BrokerConnection
from brokers.paper.venue import PaperVenue
from brokers.registry import NoAdapter, adapter_for


def test_a_paper_account_has_the_paper_venue(account):
    adapter = adapter_for("paper")

    assert isinstance(adapter.venue, PaperVenue)
    assert (adapter.account, adapter.timeout_seconds) == ("paper", 3.0)


def test_a_second_look_costs_nothing(account):
    first = adapter_for("paper")
    with CaptureQueriesContext(connection) as queries:
        assert adapter_for("paper") is first

    assert not queries.captured_queries


def test_an_account_that_is_not_there_has_none_until_it_is(db):
    with pytest.raises(NoAdapter, match="there is no account paper"):
        adapter_for("paper")

    BrokerConnection.objects.create(name="paper", broker="paper", environment="paper")
    assert adapter_for("paper").account == "paper"


def test_a_broker_nobody_speaks_to_has_none(db):
    BrokerConnection.objects.create(name="far", broker="elsewhere", environment="live")

    with pytest.raises(NoAdapter, match="elsewhere, the broker of far"):
        adapter_for("far")


def test_to_a_sender_it_means_that_nothing_was_sent():
    assert issubclass(NoAdapter, BrokerUnavailable)
