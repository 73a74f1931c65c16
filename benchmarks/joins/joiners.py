"""Program ``python -m benchmarks.joins.joiners URL WAVES JOINS PERIOD``: receivers that join a state in waves.

Each connects, and subscribes when the wave is due; the time runs from there to its first version, which is checked.
Prints the times of each wave, in seconds, as JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from contextlib import suppress

import uvloop

from benchmarks.joins.state import STREAM, check
from gateway.client import connect


async def join(url: str, client_id: str, due_s: float, stay_s: float) -> float:
    """Return the time of one receiver from SUBSCRIBE to its first version; it stays for some more.

    Args:
        url: URL of the gateway.
        client_id: name of the receiver.
        due_s: time at which it subscribes.
        stay_s: time from there for which it stays.
    """
    async with connect(url, client_id=client_id) as client:
        await asyncio.sleep(max(0.0, due_s - time.monotonic()))
        begin_s = time.monotonic()
        async with client.subscribe(STREAM) as messages:
            message = await anext(aiter(messages))
            took_s = time.monotonic() - begin_s
            check(message.tensor)
            leaves_s = due_s + stay_s
            while time.monotonic() < leaves_s:
                with suppress(TimeoutError):
                    async with asyncio.timeout_at(asyncio.get_running_loop().time() + leaves_s - time.monotonic()):
                        check((await anext(aiter(messages))).tensor)
    return took_s


async def main(url: str, waves: int, joins: int, period_s: float) -> None:
    """Let all waves come."""
    begin_s = time.monotonic() + 1.0
    took_s = []
    for wave in range(waves):
        due_s = begin_s + wave * period_s
        await asyncio.sleep(max(0.0, due_s - 1.0 - time.monotonic()))
        joining = [join(url, f"joiner-{wave}-{index}", due_s, period_s / 2) for index in range(joins)]
        took_s.append(await asyncio.gather(*joining))
    print(json.dumps(took_s))


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])))
