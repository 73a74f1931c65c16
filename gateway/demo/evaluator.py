"""Evaluator: agent that receives the weights, and publishes their accuracy on the held-out images.

All its inputs come through the gateway, the held-out images included.
"""

from __future__ import annotations

import numpy as np

from gateway.client import Message, connect
from gateway.demo import streams
from gateway.demo.lifeline import Lifeline
from gateway.demo.model import predict
from gateway.protocol.tensors import Array


def run(line: Lifeline, url: str) -> None:
    """Evaluate until the lifeline ends.

    Raises:
        FrysError: no gateway listens at the URL, or the gateway refuses.
    """
    line.run(_evaluate(line, url))


def accuracy(weights: Message, held_out: dict[str, Array]) -> np.float64:
    """Return the share of the held-out images that these weights classify right."""
    right: np.float64 = (predict(weights.tensors, held_out["images"]) == held_out["labels"]).mean()
    return right


async def _evaluate(line: Lifeline, url: str) -> None:
    async with connect(url, client_id="evaluator") as client:
        async with client.subscribe(streams.HELD_OUT) as messages:
            line.ready()
            held_out = (await anext(messages)).tensors
        async with client.subscribe(streams.WEIGHTS) as messages:
            async for weights in messages:
                headers = {"run": weights.headers["run"], "step": weights.headers["step"]}
                await client.publish(streams.ACCURACY, accuracy(weights, held_out), kind="event", headers=headers)
