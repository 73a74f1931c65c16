"""Program ``python -m benchmarks.chunks.receiver URL COUNT BYTES``: takes large messages and urgent ones beside them.

Tells the publisher of each large message that it is there. Prints the times of both, from their publish to the program,
in seconds, as JSON; of urgent messages those that came while a large one was under way.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Final

import uvloop

from benchmarks.processes import VerificationFailed
from gateway.client import connect

LARGE: Final = "lab/large"
URGENT: Final = "lab/urgent"
TAKEN: Final = "lab/taken"


async def main(url: str, count: int, nbytes: int) -> None:
    """Take all messages, and print their times."""
    large_s: list[float] = []
    urgent_s: list[float] = []
    under_way = False

    def progress(*_: object) -> None:
        nonlocal under_way
        under_way = True

    async with (
        connect(url, client_type="agent", client_id="receiver") as client,
        client.subscribe(LARGE, progress=progress) as large,
        client.subscribe(URGENT) as urgent,
    ):
        await client.publish(TAKEN, [0], kind="event")

        async def take_urgent() -> None:
            async for message in urgent:
                if under_way:
                    urgent_s.append(time.monotonic() - float(message.tensor[0]) / 1e9)

        task = asyncio.create_task(take_urgent())
        async for message in large:
            large_s.append(time.monotonic() - message.headers["sent_ns"] / 1e9)
            under_way = False
            if message.tensor.nbytes != nbytes:
                raise VerificationFailed(f"a message of {message.tensor.nbytes} bytes came in place of {nbytes}")
            await client.publish(TAKEN, [len(large_s)], kind="event")
            if len(large_s) == count:
                break
        task.cancel()
    print(json.dumps({"large_s": large_s, "urgent_s": urgent_s}))


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
