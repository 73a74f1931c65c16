"""Server ``python -m benchmarks.peers.broadcast``: ``broadcast()`` of ``websockets`` to all connections.

No compression, no keepalive, and uvloop, as in the gateway. Subscribers send nothing, and receive all messages.
"""

from __future__ import annotations

import uvloop
from websockets.asyncio.server import ServerConnection, broadcast, serve

connections: set[ServerConnection] = set()


async def handle(connection: ServerConnection) -> None:
    """Send each message of this connection to all others."""
    connections.add(connection)
    others: set[ServerConnection] | None = None
    try:
        async for message in connection:
            if others is None:  # the publisher is the last one to connect, so this holds from its first message on
                others = connections - {connection}
            broadcast(others, message)
    finally:
        connections.discard(connection)


async def main() -> None:
    """Serve until the process is ended."""
    async with serve(handle, "127.0.0.1", 0, compression=None, ping_interval=None) as server:
        print("listening on {}:{}".format(*next(iter(server.sockets)).getsockname()), flush=True)
        await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main())
