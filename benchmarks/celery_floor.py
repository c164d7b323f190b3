"""The floor of G8: Celery's bare hop, with our worker's options. The task notes when it starts."""

import os
import time

import redis
from celery import Celery

app = Celery("floor", broker=os.environ["REDIS_URL"])
app.conf.task_ignore_result = True
app.conf.task_acks_late = True
app.conf.worker_prefetch_multiplier = 1
app.conf.task_default_queue = "floor"
_redis = redis.Redis.from_url(os.environ["REDIS_URL"])


@app.task(name="floor.started")
def started(n: int) -> None:
    """Note the time."""
    _redis.rpush("floor:started", f"{n} {time.time()}")
