"""An agent offers a service to others: python examples/request_reply.py [URL]

The inbox of a client has the address `agent:<client_id>`. With `client.inbox(group="planners")` the client is one of
several members behind the address `group:planners`. Requests and replies carry tensors of any size.
"""

import asyncio
import sys

import numpy as np

from gateway.client import RequestFailed, connect

URL = sys.argv[1] if len(sys.argv) > 1 else "ws://127.0.0.1:8765"


async def plan(ready: asyncio.Event) -> None:
    async with connect(URL, client_id="planner") as client, client.inbox() as requests:
        ready.set()
        async for request in requests:
            costs = request.tensor
            if costs.ndim != 2:
                await request.fail(f"a matrix of costs is wanted, not shape {costs.shape}")
                continue
            await request.reply(costs.argmin(axis=1), headers={"total": float(costs.min(axis=1).sum())})


async def main() -> None:
    ready = asyncio.Event()
    planner = asyncio.create_task(plan(ready))
    await ready.wait()
    costs = np.random.default_rng(0).random((4, 1000))
    async with connect(URL, client_id="worker") as client:
        reply = await client.request("agent:planner", costs, timeout_s=5)
        assert (reply.tensor == costs.argmin(axis=1)).all()
        print(f"plan {reply.tensor.tolist()} for {reply.headers['total']:.4f}")
        try:
            await client.request("agent:planner", costs[0])
        except RequestFailed as error:
            print(error)
    planner.cancel()


asyncio.run(main())
