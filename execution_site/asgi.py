"""One port: sockets by Channels, everything else by Django's WSGI application on threads."""

import asyncio
import os
from typing import Any

from channels.routing import URLRouter
from channels.sessions import SessionMiddlewareStack
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.urls import path, re_path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "execution_site.settings")
wsgi = get_wsgi_application()

from execution_site.celery import app as celery_app  # noqa: E402
from execution_site.floor.hearts import BEAT_SECONDS, Beating  # noqa: E402
from execution_site.floor.release import Mismatch  # noqa: E402
from execution_site.web import proxies  # noqa: E402
from execution_site.web.admissions import admissions  # noqa: E402
from execution_site.web.consumers import StreamConsumer, refuse_socket  # noqa: E402 Django is up
from execution_site.web.hub import hub  # noqa: E402
from execution_site.web.threads import Threads  # noqa: E402
from execution_site.web.waiting import HttpFront, Pools  # noqa: E402
from orders.reports.selectors import ended_execution  # noqa: E402

WRITE_THREADS, READ_THREADS, URGENT_THREADS = 8, 4, 4
MOST_GREEDY, MOST_PASSWORDS = 64, 16  # that run or wait
HINT_SECONDS = 0.1  # a Redis that hangs may cost an answer this much, once a second

celery_app.conf.broker_transport_options |= {
    "socket_timeout": HINT_SECONDS,
    "socket_connect_timeout": HINT_SECONDS,
    "max_retries": 1,
    "interval_start": 0,
    "interval_step": 0,
    "interval_max": 0,
}


http = HttpFront(
    Pools(
        urgent=Threads(wsgi, URGENT_THREADS),
        writes=Threads(wsgi, WRITE_THREADS),
        reads=Threads(wsgi, READ_THREADS),
        greedy=Threads(wsgi, 1, most=MOST_GREEDY),
        passwords=Threads(wsgi, 1, most=MOST_PASSWORDS),
    ),
    hub,
    execution=ended_execution,
)
nowhere: Any = refuse_socket
websocket = SessionMiddlewareStack(
    URLRouter([path("ws/stream", StreamConsumer.as_asgi()), re_path("", nowhere)])
)


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Route a connection by its kind."""
    if scope["type"] == "lifespan":
        await _lifespan(receive, send)
        return
    scope = proxies.as_seen_outside(scope, hops=settings.TRUSTED_HOPS)
    if scope["type"] == "websocket":
        await websocket(scope, receive, send)
    else:
        await http(scope, receive, send)


async def _lifespan(receive: Any, send: Any) -> None:
    """Run the hub, and beat, for as long as the process serves."""
    heart = Beating("web")
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            try:
                await asyncio.to_thread(heart.start)
            except Mismatch as e:
                why = f"web refuses to work: {e}"
                await send({"type": "lifespan.startup.failed", "message": why})
                return
            moving = asyncio.create_task(_move(heart))
            await hub.start()
            admissions.start()
            await send({"type": "lifespan.startup.complete"})
        elif message["type"] == "lifespan.shutdown":
            moving.cancel()
            await admissions.stop()
            await hub.stop()
            await send({"type": "lifespan.shutdown.complete"})
            return


async def _move(heart: Beating) -> None:
    """Let the heart beat while the event loop turns."""
    while True:
        heart.moved()
        await asyncio.sleep(BEAT_SECONDS)
