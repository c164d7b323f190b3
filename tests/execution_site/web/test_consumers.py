"""A socket tells everything, or it is closed so that its client comes again."""

import asyncio

from django.db import OperationalError

from execution_site.web import hub as stream
from execution_site.web.consumers import INTERNAL_ERROR, StreamConsumer


def test_a_socket_that_can_tell_no_more_is_closed_and_not_silent(monkeypatch):
    closed = []

    class Socket(StreamConsumer):
        async def close(self, code=None, reason=None):
            closed.append(code)

    def away(_seq, *, now):
        raise OperationalError("the database is away")

    monkeypatch.setattr(stream, "resumable", away)
    asyncio.run(Socket()._follow(7))

    assert closed == [INTERNAL_ERROR]
