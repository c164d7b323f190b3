"""An account's trading day."""

from datetime import UTC, date, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brokers.calendars.trading_days import day_end, trading_date

MIDNIGHT, FIVE = time.min, time(17)
UTC_DAY = (MIDNIGHT, "UTC")
KOLKATA = (MIDNIGHT, "Asia/Kolkata")
NEW_YORK = (FIVE, "America/New_York")


def utc(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("_case", "account", "now", "expected"),
    [
        ("UTC, just before midnight", UTC_DAY, "2026-11-20 23:59:59.999999", "2026-11-20"),
        ("UTC, at midnight", UTC_DAY, "2026-11-21 00:00", "2026-11-21"),
        ("Kolkata, just before midnight", KOLKATA, "2026-11-20 18:29:59.999999", "2026-11-20"),
        ("Kolkata, at midnight", KOLKATA, "2026-11-20 18:30", "2026-11-21"),
        ("New York winter, before 17:00", NEW_YORK, "2026-11-20 21:59:59.999999", "2026-11-20"),
        ("New York winter, at 17:00", NEW_YORK, "2026-11-20 22:00", "2026-11-21"),
        ("New York summer, before 17:00", NEW_YORK, "2026-07-10 20:59:59.999999", "2026-07-10"),
        ("New York summer, at 17:00", NEW_YORK, "2026-07-10 21:00", "2026-07-11"),
        ("the eve of summer time, at 17:00", NEW_YORK, "2026-03-07 22:00", "2026-03-08"),
        ("summer time has begun, before", NEW_YORK, "2026-03-08 20:59:59", "2026-03-08"),
        ("summer time has begun, at 17:00", NEW_YORK, "2026-03-08 21:00", "2026-03-09"),
        ("the eve of winter time, at 17:00", NEW_YORK, "2026-10-31 21:00", "2026-11-01"),
        ("winter time has begun, before", NEW_YORK, "2026-11-01 21:59:59", "2026-11-01"),
        ("winter time has begun, at 17:00", NEW_YORK, "2026-11-01 22:00", "2026-11-02"),
        ("over the year's end", NEW_YORK, "2026-12-31 22:00", "2027-01-01"),
    ],
)
def test_trading_date(_case, account, now, expected):
    roll, zone = account

    assert trading_date(utc(now), roll=roll, zone=zone) == date.fromisoformat(expected)


@pytest.mark.parametrize(
    ("_case", "account", "day", "expected"),
    [
        ("UTC", UTC_DAY, "2026-11-20", "2026-11-21 00:00"),
        ("Kolkata", KOLKATA, "2026-11-20", "2026-11-20 18:30"),
        ("New York winter", NEW_YORK, "2026-11-20", "2026-11-20 22:00"),
        ("New York summer", NEW_YORK, "2026-07-10", "2026-07-10 21:00"),
        ("the day summer time begins has 23 hours", NEW_YORK, "2026-03-08", "2026-03-08 21:00"),
        ("the day winter time begins has 25 hours", NEW_YORK, "2026-11-01", "2026-11-01 22:00"),
        ("over the year's end", UTC_DAY, "2026-12-31", "2027-01-01 00:00"),
    ],
)
def test_day_end(_case, account, day, expected):
    roll, zone = account

    assert day_end(date.fromisoformat(day), roll=roll, zone=zone) == utc(expected)


instants = st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1))  # noqa: DTZ001 made aware below


@given(instants, st.sampled_from([UTC_DAY, KOLKATA, NEW_YORK]))
def test_a_day_ends_where_the_next_begins(at, account):
    roll, zone = account
    now = at.replace(tzinfo=UTC)
    day = trading_date(now, roll=roll, zone=zone)
    end = day_end(day, roll=roll, zone=zone)

    assert now < end <= now + timedelta(hours=25)
    assert trading_date(end - timedelta(microseconds=1), roll=roll, zone=zone) == day
    assert trading_date(end, roll=roll, zone=zone) == day + timedelta(days=1)
