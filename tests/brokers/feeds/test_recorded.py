"""Reading recorded market data: what each kind of file becomes, and what is wrong with a row."""

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from brokers.feeds.recorded import RecordedFile, symbol_of
from execution_site.floor.text_files import UnreadableFile

SHARED = Path(__file__).resolve().parents[4] / "shared" / "data"
TICKS = "ms_since_midnight_utc,bid,ask\n"
QUOTE_BARS = (
    "ms_since_midnight_utc,bid_open,bid_high,bid_low,bid_close,bid_size,"
    "ask_open,ask_high,ask_low,ask_close,ask_size\n"
)
TRADE_BARS = "ms_since_midnight_ist,open,high,low,close,volume\n"


@pytest.fixture
def read(tmp_path):
    """Read text as a file of that name; return arrivals and problems."""

    def go(name, text):
        path = tmp_path / name
        path.write_text(text)
        problems = []
        arrivals = list(RecordedFile(path, symbol="X").arrivals(problems))
        return arrivals, [str(problem) for problem in problems]

    return go


def prices(arrival):
    return [(u.bid, u.ask, u.last) for u in arrival.updates]


def test_ticks(read):
    (first, second), problems = read(
        "eurusd_tick_2014-05-08.csv", TICKS + "8715,1.39101,1.39114\n8715,1.39102,1.39114\n"
    )

    assert not problems
    assert first.at == second.at == datetime(2014, 5, 8, 0, 0, 8, 715_000, tzinfo=UTC)
    assert prices(first) == [(Decimal("1.39101"), Decimal("1.39114"), None)]


def test_a_quote_bar_arrives_at_its_end_the_nearer_extreme_first(read):
    row = "60000,10,12,9.5,11,500,11,13,10.5,12,0\n"
    ((bar,), _) = read("ada_1m_quote_2022-12-13.csv", QUOTE_BARS + row)

    assert bar.at == datetime(2022, 12, 13, 0, 2, tzinfo=UTC)
    bids = [Decimal(text) for text in ("10", "9.5", "12", "11")]
    assert [u.bid for u in bar.updates] == bids
    assert [u.ask for u in bar.updates] == [bid + 1 for bid in bids]
    assert {(u.bid_size, u.ask_size) for u in bar.updates} == {(500, None)}


def test_an_empty_bid_is_an_empty_side(read):
    row = "60000,,,,,0,11,13,10.5,12,7\n"
    ((bar,), problems) = read("spx_1m_quote_2021-01-04.csv", QUOTE_BARS + row)

    assert not problems
    assert {(u.bid, u.bid_size, u.ask_size) for u in bar.updates} == {(None, None, 7)}


def test_a_trade_bar_is_in_its_exchange_s_time_and_spreads_its_volume(read):
    ((bar,), _) = read("yes_1m_trade_2019-07-09.csv", TRADE_BARS + "33300000,95,96,93.9,94,400\n")

    assert bar.at == datetime(2019, 7, 9, 3, 46, tzinfo=UTC)
    assert [u.last for u in bar.updates] == [95, 96, Decimal("93.9"), 94]
    assert {u.last_size for u in bar.updates} == {100}


@pytest.mark.parametrize(
    ("_case", "name", "text", "problem"),
    [
        ("not a number", "x_2014-01-01.csv", TICKS + "1,a,2\n", "line 2: not readable"),
        ("a crossed quote", "x_2014-01-01.csv", TICKS + "1,3,2\n", "line 2: bid 3 is above ask 2"),
        ("a row too short", "x_2014-01-01.csv", TICKS + "1,3\n", "line 2: not readable"),
        ("a negative price", "x_2014-01-01.csv", TICKS + "1,-3,2\n", "bid -3 is no price"),
        (
            "time runs backwards",
            "x_2014-01-01.csv",
            TICKS + "5,1,2\n4,1,2\n",
            "line 3: 2014-01-01 00:00:00.004000+00:00 is before the row above it",
        ),
        (
            "a bar that cannot be",
            "x_1m_2014-01-01.csv",
            TRADE_BARS + "1,10,9,8,8.5,0\n",
            "line 2: open 10 or close 8.5 is not within low 8 and high 9",
        ),
        (
            "a bar with a hole",
            "x_1m_2014-01-01.csv",
            TRADE_BARS + "1,10,,8,8.5,0\n",
            "some of a bar's prices are missing",
        ),
        (
            "a time before its day",
            "x_2014-01-01.csv",
            TICKS + "-1,1,2\n",
            "-1 lies outside its day",
        ),
        ("its day's end", "x_2014-01-01.csv", TICKS + "86400000,1,2\n", "lies outside its day"),
        ("a time without end", "x_2014-01-01.csv", TICKS + "9" * 40 + ",1,2\n", "outside its day"),
        ("values too many", "x_2014-01-01.csv", TICKS + "1,1,2,3\n", "line 2: more values than"),
        ("a price without end", "x_2014-01-01.csv", TICKS + "1,1e400,\n", "bid 1e400 is no price"),
        (
            "no such date",
            "x.csv",
            "date," + TICKS + "2014-02-30,1,1,2\n",
            "line 2: 2014-02-30 is no date",
        ),
    ],
)
def test_a_row_that_cannot_be_used_is_told_by_its_line(read, _case, name, text, problem):
    _, problems = read(name, text)

    assert len(problems) == 1
    assert problem in problems[0]


@pytest.mark.parametrize(
    ("_case", "stamps", "bad"),
    [
        ("one outside its day", ["1", "99999999999", "2", "3"], {3}),
        ("one that runs ahead within it", ["1", "86399999", "2", "3"], {3}),
        ("one that runs back", ["5", "6", "1", "7"], {4}),
        ("two that run ahead, apart", ["1", "900", "2", "800", "3"], {3, 5}),
        ("the last ones", ["1", "2", "99999999999"], {4}),
        ("equal ones are in order", ["1", "1", "1"], set()),
    ],
)
def test_the_bad_row_is_the_one_out_of_order_not_the_good_ones_after_it(read, _case, stamps, bad):
    text = TICKS + "".join(f"{stamp},1,2\n" for stamp in stamps)

    arrivals, problems = read("x_2014-01-01.csv", text)

    assert {int(problem.split(":")[0].removeprefix("line ")) for problem in problems} == bad
    assert len(arrivals) == len(stamps) - len(bad)
    assert [one.at for one in arrivals] == sorted(one.at for one in arrivals)


@pytest.mark.parametrize(
    ("_case", "day", "hours"),
    [("summer begins", "2021-03-14", 23), ("winter begins", "2021-11-07", 25)],
)
def test_a_day_is_as_long_as_its_zone_has_it(read, _case, day, hours):
    end = hours * 3_600_000
    text = f"ms_since_midnight_ny,bid,ask\n{end - 1},1,2\n{end},1,2\n"

    arrivals, problems = read(f"x_{day}.csv", text)

    assert (len(arrivals), len(problems)) == (1, 1)


@pytest.mark.parametrize(
    ("_case", "name", "text", "message"),
    [
        ("no header we know", "x_2014-01-01.csv", "a,b\n", "neither ticks"),
        ("no date", "x.csv", TICKS, "gives the date"),
        ("no period", "x_2014-01-01.csv", TRADE_BARS, "period"),
        ("no such date", "x_2014-02-30.csv", TICKS, "2014-02-30 is no date"),
        ("a period of nothing", "x_0m_2014-01-01.csv", TRADE_BARS, "0m is no bars' period"),
        ("a period of ages", f"x_{'9' * 30}h_2014-01-01.csv", TRADE_BARS, "is no bars' period"),
        ("no time", "x_1m_2014-01-01.csv", "open,high,low,close\n", "no time column"),
        ("several contracts", "x_1m_2014-01-01.csv", "strike,bid,ask\n", "more than one"),
    ],
)
def test_a_file_that_does_not_say_what_it_holds(read, _case, name, text, message):
    with pytest.raises(UnreadableFile, match=message):
        read(name, text)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(UnreadableFile, match="No such file"):
        RecordedFile(tmp_path / "none.csv", symbol="X")


@pytest.mark.skipif(not SHARED.exists(), reason="needs the recorded data beside the project")
@pytest.mark.parametrize(
    ("name", "rows", "bad"),
    [
        ("forex/eurusd_tick_oanda_2014-05-08.csv", 87_833, 0),
        ("crypto/adausdt_perp_1m_quote_binance_usdm_2022-12-13.csv", 1_100, 0),
        ("crypto/btcusdt_1h_trade_binance_spot_2018-05.csv", 120, 0),
        ("india/nifty50_index_1m_2019-01-01.csv", 378, 0),
        ("india/yesbank_1m_trade_nse_2019-07-09.csv", 377, 0),
    ],
)
def test_every_row_of_the_recorded_days_is_read(name, rows, bad):
    problems = []
    read = sum(1 for _ in RecordedFile(SHARED / name, symbol="X").arrivals(problems))

    assert (read, len(problems)) == (rows, bad)
    assert symbol_of(SHARED / name) == name.split("/")[1].split("_")[0].upper()
