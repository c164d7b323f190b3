"""`manage.py run_web`: the web process."""

from typing import Any

import uvicorn
from django.conf import settings
from django.core.management.base import BaseCommand


class Command(BaseCommand):
    """Serves HTTP and sockets on one port."""

    help = "Serve HTTP and web sockets on HOST and PORT."

    def handle(self, *_: Any, **__: Any) -> None:
        """Serve until told to stop."""
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
