"""Server ``python -m benchmarks.peers.hub``: the hub that one writes oneself, with ``websockets`` on uvloop.

A connection that says "subscribe" gets all binary messages of the others. Each is answered by "ok" when it was sent on.
"""

from __future__ import annotations

import uvloop
from websockets.asyncio.server import ServerConnection, serve

subscribers: set[ServerConnection] = set()


async def handle(connection: ServerConnection) -> None:
    """Send each message of this connection to all subscribers, and answer."""
    try:
        async for message in connection:
            if message == "subscribe":
                subscribers.add(connection)
            else:
                for subscriber in tuple(subscribers):
                    await subscriber.send(message)
            await connection.send("ok")
    finally:
        subscribers.discard(connection)


async def main() -> None:
    """Serve until the process is ended."""
    async with serve(handle, "127.0.0.1", 0, compression=None, ping_interval=None, max_size=None) as server:
        print("listening on {}:{}".format(*next(iter(server.sockets)).getsockname()), flush=True)
        await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main())
