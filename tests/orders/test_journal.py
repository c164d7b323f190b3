"""The trading journal."""

import csv
import io
from decimal import Decimal

import pytest
from django.core.management import CommandError, call_command

from brokers.contract import OrderType
from orders import journal


@pytest.fixture
def export(capsys):
    """Export and read back."""

    def go(*arguments):
        capsys.readouterr()
        call_command("export_journal", *arguments)
        return list(csv.reader(io.StringIO(capsys.readouterr().out)))

    return go


def test_one_line_per_order(send, export):
    send(product="NRML", timeframe="5m", exchange="NSE")
    send("SELL", 3, order_type=OrderType.LIMIT, limit_price=Decimal(105), strategy="-1+2")

    header, first, second = export()

    assert " ".join(header) == (
        "timestamp order_id symbol side quantity price status exchange product strategy timeframe"
        " mode underlying"
    )
    assert " ".join(first[2:]) == "AAPL BUY 10 101 FILLED NSE NRML alpha 5m AUTONOMOUS AAPL"
    assert second[2:7] == ["AAPL", "SELL", "3", "105", "ACCEPTED"]
    assert second[9] == "'-1+2"


@pytest.mark.parametrize(
    ("value", "safe"),
    [("=1+1", "'=1+1"), ("@x", "'@x"), ("-5", "-5"), ("+1.5", "+1.5"), ("-a", "'-a"), ("a", "a")],
)
def test_no_cell_is_run_as_a_formula(value, safe):
    assert journal._safe(value) == safe


def test_it_can_be_narrowed(send, export):
    send()

    assert len(export("--until", "2020-01-01T00:00:00Z")) == 1
    assert len(export("--since", "2020-01-01T00:00:00Z", "--account", "paper")) == 2
    with pytest.raises(CommandError, match="--account"):
        export("--account", "nobody")
    with pytest.raises(CommandError, match="--since"):
        export("--since", "yesterday")
