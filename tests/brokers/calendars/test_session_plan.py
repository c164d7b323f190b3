"""Sessions: trading days of the kept calendar x hours in force, and special sessions."""

import itertools
from datetime import UTC, date

import pytest

from brokers.calendars.session_plan import UnreadableCalendar, sessions


def times(exchange, day):
    """Return the UTC opening and closing times of an exchange on a date."""
    found = [s for s in sessions(day, day) if s.exchange == exchange]
    return [
        tuple(f"{at.astimezone(UTC):%d %H:%M}" for at in (s.opens_at, s.closes_at)) for s in found
    ]


@pytest.mark.parametrize(
    ("_case", "exchange", "day", "expected"),
    [
        ("F&O closed at 15:30 Kolkata", "NFO", date(2026, 7, 31), [("31 03:45", "31 10:00")]),
        (
            "and closes at 15:40 from 2026-08-03",
            "NFO",
            date(2026, 8, 3),
            [("03 03:45", "03 10:10")],
        ),
        ("cash closes with its auction", "NSE", date(2026, 8, 3), [("03 03:45", "03 10:05")]),
        ("a holiday", "NSE", date(2026, 1, 26), []),
        ("a Saturday", "NSE", date(2026, 8, 8), []),
        ("a special Saturday", "NFO", date(2025, 2, 1), [("01 03:45", "01 10:00")]),
        ("Muhurat trading alone", "NSE", date(2025, 10, 21), [("21 08:15", "21 09:15")]),
        ("New York in winter", "XNYS", date(2026, 11, 20), [("20 14:30", "20 21:00")]),
        ("New York in summer", "XNYS", date(2026, 7, 2), [("02 13:30", "02 20:00")]),
        ("an early close", "NASDAQ", date(2026, 11, 27), [("27 14:30", "27 18:00")]),
        ("FX from the evening before", "FX", date(2026, 11, 23), [("22 22:00", "23 22:00")]),
        ("FX on Saturday", "FX", date(2026, 11, 21), []),
        ("commodities until late", "MCX", date(2026, 11, 20), [("20 03:30", "20 18:25")]),
        ("crypto has no calendar", "CRYPTO", date(2026, 11, 20), []),
    ],
)
def test_a_date_has_its_sessions(_case, exchange, day, expected):
    assert times(exchange, day) == expected


def test_fx_never_closes_within_the_week():
    week = sorted(
        (s.opens_at, s.closes_at)
        for s in sessions(date(2026, 11, 23), date(2026, 11, 27))
        if s.exchange == "FX"
    )

    assert all(end == start for (_, end), (start, _) in itertools.pairwise(week))


def test_a_line_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "trading_days.csv").write_text("days,date,early_close\nXBOM,2026-13-01,\n")

    with pytest.raises(UnreadableCalendar, match=r"trading_days\.csv, line 2"):
        list(sessions(date(2026, 1, 1), date(2026, 1, 1), folder=tmp_path))
