"""A tool watches a run, answers questions, and can change nothing: python examples/extension.py [URL]

A client of the type "extension" observes streams and answers requests. The gateway refuses it everything else, so a
tool that somebody else has written can be let in.
"""

import asyncio
import sys

import numpy as np

from gateway.client import Client, RequestRefused, connect

URL = sys.argv[1] if len(sys.argv) > 1 else "ws://127.0.0.1:8765"
STEPS = 50
LOSS = "example-run/loss"


async def watch(tool: Client, losses: list[float], ready: asyncio.Event) -> None:
    async with tool.subscribe(LOSS) as messages:
        ready.set()
        async for message in messages:
            losses.append(float(message.tensor))
            if len(losses) == STEPS:
                break


async def answer(tool: Client, losses: list[float], ready: asyncio.Event) -> None:
    async with tool.inbox(group="statistics") as questions:
        ready.set()
        async for question in questions:
            last = losses[-int(question.tensor) :]
            await question.reply(np.array([np.mean(last), np.min(last)]))


async def main() -> None:
    losses: list[float] = []
    async with connect(URL, client_type="extension") as tool, connect(URL, client_id="trainer") as trainer:
        watches, answers = asyncio.Event(), asyncio.Event()
        watching = asyncio.create_task(watch(tool, losses, watches))
        answering = asyncio.create_task(answer(tool, losses, answers))
        await asyncio.gather(watches.wait(), answers.wait())
        for step in range(STEPS):
            await trainer.publish(LOSS, np.exp(-step / 10), kind="event")
        await watching
        reply = await trainer.request("group:statistics", 10)
        print("mean and least of the last 10 losses:", reply.tensor.round(4))
        try:
            await tool.publish(LOSS, 0.0)
        except RequestRefused as refusal:
            print("the gateway refuses:", refusal)
        answering.cancel()


asyncio.run(main())
