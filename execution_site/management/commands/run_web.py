"""`manage.py run_web`: the web process."""

import sys
from typing import Any

import uvicorn
from django.conf import settings
from django.core.management.base import BaseCommand

#: How long a thread may hold the interpreter while others wait for it (Python's own is 5 ms): with
#: eight busy threads a kill would wait for each of them at every turn. It costs no throughput.
SWITCH_SECONDS = 0.0005


class Command(BaseCommand):
    """Serves HTTP and sockets on one port."""

    help = "Serve HTTP and web sockets on HOST and PORT."

    def handle(self, *_: Any, **__: Any) -> None:
        """Serve until told to stop."""
        sys.setswitchinterval(SWITCH_SECONDS)
        uvicorn.run(
            "execution_site.asgi:application",
            host=settings.HOST,
            port=settings.PORT,
            ws="websockets",
            lifespan="on",
            proxy_headers=False,  # anybody on this machine could claim to come from elsewhere
            server_header=False,
            access_log=False,
            log_config=None,  # Django has set the logging up
            timeout_graceful_shutdown=5,
        )
