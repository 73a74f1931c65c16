"""Cutting proxy as a command, for tests in other languages: it reads orders line by line, and answers each by a line.

``python -m tests.integration.proxy_command ws://127.0.0.1:8765`` prints its port first. It ends with its input.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Final

from tests.integration.proxy import CuttingProxy, Way, cutting_proxy

DONE: Final = "done"


def carry_out(proxy: CuttingProxy, order: str) -> str:
    """Carry out one order, and return the answer."""
    match order.split():
        case ["cut"]:
            proxy.cut()
        case ["cut_after", way, size]:
            proxy.cut_after(Way[way], int(size))
        case ["hold", way]:
            proxy.hold(Way[way])
        case ["release", way]:
            proxy.release(Way[way])
        case ["pace", way, bytes_per_s]:
            proxy.pace(Way[way], float(bytes_per_s))
        case ["swallow", way]:
            proxy.swallow(Way[way])
        case ["accept", accepting]:
            proxy.accepting = accepting == "1"
        case ["lead_to", url]:
            proxy.lead_to(url)
        case ["connected"]:
            return str(proxy.connected)
        case _:
            return f"no such order: {order}"
    return DONE


async def main(gateway_url: str) -> None:
    """Serve until the input ends."""
    loop = asyncio.get_running_loop()
    orders = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    async with cutting_proxy(gateway_url) as proxy:
        print(proxy.port, flush=True)
        while order := await orders.readline():
            print(carry_out(proxy, order.decode().strip()), flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
