"""Channels consumers in one group of the RedisPubSubChannelLayer, on uvicorn."""

import os
from typing import Any

from django.conf import settings

settings.configure(
    SECRET_KEY="floor",  # noqa: S106 it guards nothing
    CHANNEL_LAYERS={
        "default": {
            "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
            "CONFIG": {"hosts": [os.environ["REDIS_URL"]]},
        }
    },
)

import django  # noqa: E402

django.setup()

from channels.generic.websocket import AsyncWebsocketConsumer  # noqa: E402
from channels.routing import URLRouter  # noqa: E402
from django.urls import path  # noqa: E402

GROUP = "bench"


class Consumer(AsyncWebsocketConsumer):
    """Passes a group's messages on."""

    async def connect(self) -> None:
        """Join the group."""
        await self.channel_layer.group_add(GROUP, self.channel_name)
        await self.accept()
        await self.send("hello")

    async def told(self, event: dict[str, Any]) -> None:
        """Pass on."""
        await self.send(event["text"])


application = URLRouter([path("", Consumer.as_asgi())])
