"""A bare `websockets` server that broadcasts what one Redis subscription brings."""

import asyncio
import os
import sys

import redis.asyncio
from websockets.asyncio.server import ServerConnection, broadcast, serve

clients: set[ServerConnection] = set()


async def keep(client: ServerConnection) -> None:
    """Hold a socket open."""
    clients.add(client)
    await client.send("hello")
    await client.wait_closed()
    clients.discard(client)


async def main() -> None:
    """Serve."""
    async with serve(keep, "127.0.0.1", int(sys.argv[1]), compression=None):
        channel = redis.asyncio.Redis.from_url(os.environ["REDIS_URL"]).pubsub()
        await channel.subscribe("bench:push")
        async for message in channel.listen():
            if message["type"] == "message":
                broadcast(clients, message["data"].decode())


asyncio.run(main())
