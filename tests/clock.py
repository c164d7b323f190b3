"""The wall's time, as tests hand it to what takes `now`."""

from datetime import UTC, datetime


def now():
    """Return the time of now, aware."""
    return datetime.now(UTC)
