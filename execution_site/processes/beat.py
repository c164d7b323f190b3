"""Beat's scheduler: Celery's own, which also tells when Redis is back."""

from typing import Any

from celery import beat

from execution_site.floor import outages
from execution_site.floor.hearts import Beating


class Scheduler(beat.Scheduler):
    """Sends what is due; what cannot be sent is sent at its next time."""

    heart: Beating

    def tick(self, *args: Any, **kwargs: Any) -> Any:
        """Send what is due; the heart of the process beats while this goes on."""
        self.heart.moved()
        return super().tick(*args, **kwargs)

    def apply_async(self, *args: Any, **kwargs: Any) -> Any:
        """Send one message.

        :raises celery.beat.SchedulingError: Redis is away
        """
        sent = super().apply_async(*args, **kwargs)
        outages.services.end(outages.REDIS)
        return sent
