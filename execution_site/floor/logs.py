"""What is worth a line in the log: one a cause, and none for what a client got wrong."""

import logging
from collections.abc import Iterator

from execution_site.floor import outages

SERVED_AS_MEANT = 503  # whoever answers it has logged the cause, or is health itself
#: uvicorn's words for requests that are no HTTP, or ask for what is not spoken here.
UNREADABLE = {
    "Invalid HTTP request received.",
    "Unsupported upgrade request.",
}


class OneLineACause(logging.Filter):
    """Logs once that a service is away, whoever finds it, and without a traceback."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Return False for what is logged already."""
        for error in _errors(record):
            if (service := outages.service_of(error)) is not None:
                outages.services.begin(service, error)
                return False
        return True


class NoClientErrors(logging.Filter):
    """Leaves out what is no trouble of ours: requests that were refused, and 503 as an answer.

    What looks like an attack stays, as information.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Return False for what is left out."""
        if record.name.startswith("django.security"):
            record.levelno, record.levelname = logging.INFO, "INFO"
            record.exc_info = record.exc_text = None
            return True
        if record.name == "django.request":
            status = getattr(record, "status_code", 500)
            return status >= 500 and status != SERVED_AS_MEANT
        return record.getMessage() not in UNREADABLE


def _errors(record: logging.LogRecord) -> Iterator[BaseException]:
    if record.exc_info and record.exc_info[1] is not None:
        yield record.exc_info[1]
    arguments = record.args if isinstance(record.args, tuple) else ()
    yield from (argument for argument in arguments if isinstance(argument, BaseException))
