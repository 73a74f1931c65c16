"""The evaluator follows the weights and publishes how well they do."""

import asyncio

import numpy as np

from gateway.client import connect
from gateway.demo import evaluator, streams
from gateway.demo.model import initial_parameters, predict
from gateway.testing import running_gateway
from tests.demo.ends import lifeline


async def test_it_evaluates_what_is_published() -> None:
    random = np.random.default_rng(0)
    weights = initial_parameters(64, 16, random)
    images = random.random((50, 64)).astype(np.float32)
    labels = predict(weights, images)
    labels[:10] = (labels[:10] + 1) % 10
    async with running_gateway() as gateway, connect(gateway.url) as client:
        with lifeline() as ends:
            evaluating = asyncio.create_task(asyncio.to_thread(evaluator.run, ends.line, gateway.url))
            async with client.subscribe(streams.ACCURACY) as accuracies:
                await client.publish(streams.HELD_OUT, {"images": images, "labels": labels}, kind="state")
                await client.publish(streams.WEIGHTS, weights, kind="state", headers={"run": 1, "step": 5})
                message = await anext(accuracies)
            assert await asyncio.to_thread(ends.hear) == {"ready": {}}
            ends.let_go()
            await evaluating
    assert float(message.tensor) == 0.8
    assert message.headers == {"run": 1, "step": 5}
