"""Recorded days through the whole site: real processes, signals over REST, twice the same fills."""

import json
from pathlib import Path

import pytest

from tests.chaos.ticks import made_up_ticks

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
TICKS = SHARED / "forex" / "eurusd_tick_oanda_2014-05-08.csv"
ROWS = 6_000  # of 87,833: the whole day is a figure of docs/benchmarks.md
FILLS = """
SELECT f.side, f.quantity, f.price, f.commission, f.liquidity, f.traded_at
FROM orders_fill f JOIN brokers_brokerconnection c ON c.id = f.connection_id
WHERE c.name = %s ORDER BY f.traded_at
"""


@pytest.fixture
def replay(site, tmp_path):
    """Replay files with the strategy and return the summary."""

    def run(*files, quantity, **options):
        report = tmp_path / "report.json"
        extra = [part for name, value in options.items() for part in (f"--{name}", value)]
        site.manage(
            "replay_market", *files, "--strategy", f"cross:{quantity}", "--report", report, *extra
        )
        return json.loads(report.read_text())

    return run


def compare(site, first, second):
    fills = [site.sql(FILLS, [summary["account"]]) for summary in (first, second)]
    assert len(fills[0]) == first["fills"] > 0
    assert fills[0] == fills[1]
    for summary in (first, second):
        signals = summary["strategy"]["signals"]
        assert summary["strategy"]["answers"] == {"202": signals}
        assert summary["orders"] == signals
        assert summary["differences"] == []


def test_a_made_up_morning_twice(site, replay, tmp_path):
    file = made_up_ticks(tmp_path / "eurusd_tick_2020-01-06.csv")

    compare(site, replay(file, quantity=1000), replay(file, quantity=1000))


@pytest.mark.skipif(not SHARED.exists(), reason="needs the recorded data beside the project")
def test_the_first_hours_of_a_recorded_day_twice(site, replay, tmp_path):
    part = tmp_path / TICKS.name
    with TICKS.open() as lines:
        part.write_text("".join(next(lines) for _ in range(ROWS + 1)))

    compare(site, replay(part, quantity=10_000), replay(part, quantity=10_000))


@pytest.mark.skipif(not SHARED.exists(), reason="needs the recorded data beside the project")
def test_four_days_of_bars_twice(site, replay):
    days = sorted((SHARED / "india").glob("nifty50_index_1m_2019-01-0*.csv"))

    runs = [replay(*days, quantity=75, like="NIFTY") for _ in range(2)]

    compare(site, *runs)
    assert runs[0]["quotes"] == 4 * 1_509


def test_bad_rows_stop_a_replay_before_it_begins(site, tmp_path):
    file = tmp_path / "eurusd_tick_2020-01-06.csv"
    file.write_text("ms_since_midnight_utc,bid,ask\n5,1.1,1.2\n4,1.1,1.2\n6,x,1.2\n")

    refused = site.manage("replay_market", file, check=False)

    assert refused.returncode == 1
    assert "line 3: 2020-01-06 00:00:00.004000+00:00 is before" in refused.stderr
    assert "line 4: not readable" in refused.stderr
    assert "2 rows cannot be used" in refused.stderr


def test_replay_check_passes_on_the_running_site(site):
    assert "everything agrees" in site.manage("replay", "--check").stdout
