"""`manage.py run_web`: the web process."""

import resource
import sys
from typing import Any

import uvicorn
from django.conf import settings
from django.core.management.base import BaseCommand

from execution_site.web import web_server
from execution_site.web.bounded_sockets import MESSAGE_BYTES, BoundedSocket
from execution_site.web.slow_clients import BoundedProtocol

#: How long a thread may hold the interpreter while others wait for it (Python's own is 5 ms): with
#: eight busy threads a kill would wait for each of them at every turn. It costs no throughput.
SWITCH_SECONDS = 0.0005


class Command(BaseCommand):
    """Serves HTTP and sockets on one port."""

    help = "Serve HTTP and web sockets on HOST and PORT."

    def handle(self, *_: Any, **__: Any) -> None:
        """Serve until told to stop."""
        sys.setswitchinterval(SWITCH_SECONDS)
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # a file each connection
        config = uvicorn.Config(
            "execution_site.asgi:application",
            host=settings.HOST,
            port=settings.PORT,
            ws=BoundedSocket,
            lifespan="on",
            proxy_headers=False,  # anybody on this machine could claim to come from elsewhere
            server_header=False,
            http=BoundedProtocol,
            ws_max_size=MESSAGE_BYTES,
            ws_per_message_deflate=False,  # its windows are most of the memory of a socket
            access_log=False,
            log_config=None,  # Django has set the logging up
            timeout_graceful_shutdown=5,
        )
        web_server.WebServer(config).run(web_server.inherited())
