"""Connections and streams for a benchmark of the page: ``crowd.py URL CONNECTIONS STREAMS`` prints a line then."""

import asyncio
import sys

import numpy as np

from gateway.client import connect

URL, CONNECTIONS, STREAMS = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
PUBLISHERS = 10


async def main() -> None:
    """Connect clients that each receive a stream, and publish to all streams once a second."""
    clients = []
    for first in range(0, CONNECTIONS, 50):
        names = [f"client-{number}" for number in range(first, min(first + 50, CONNECTIONS))]
        clients += await asyncio.gather(*(connect(URL, client_id=name).__aenter__() for name in names))
    for number, client in enumerate(clients):
        await client.subscribe(f"crowd/s{number % STREAMS}").__aenter__()
    for number in range(1_000_000):
        for stream in range(STREAMS):
            client = clients[stream % PUBLISHERS]
            await client.publish(f"crowd/s{stream}", np.full((16, 16), number, np.float32), kind="state")
        if not number:
            print("there", flush=True)
        await asyncio.sleep(1)


asyncio.run(main())
