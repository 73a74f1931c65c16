"""The trainer publishes every tensor of every step, and learns."""

import asyncio
from collections import defaultdict

import numpy as np

from gateway.client import Message, connect
from gateway.demo import streams, trainer
from gateway.protocol.messages import Kind
from gateway.testing import running_gateway
from tests.demo.ends import lifeline

SEEN = {streams.BATCH, streams.GRADIENTS, streams.ACTIVATIONS, streams.CONFUSION, streams.WEIGHTS, streams.LOSS}
STEPS = 60


async def test_it_publishes_what_it_computes() -> None:
    received: defaultdict[str, list[Message]] = defaultdict(list)
    async with running_gateway() as gateway, connect(gateway.url) as client:
        with lifeline() as ends:
            async with client.subscribe(f"{streams.WORKFLOW}/**") as messages:
                training = asyncio.create_task(asyncio.to_thread(trainer.run, ends.line, gateway.url, 10_000.0))
                async for message in messages:
                    received[message.stream].append(message)
                    if len(received[streams.WEIGHTS]) == STEPS:
                        break
            assert ends.hear() == {"ready": {}}
            ends.let_go()
            await training
    assert set(received) == SEEN | {streams.HELD_OUT}
    assert {stream: messages[0].kind for stream, messages in received.items() if stream != streams.LOSS} == {
        stream: Kind.STATE for stream in received if stream != streams.LOSS
    }
    losses = [float(message.tensor) for message in received[streams.LOSS]]
    assert received[streams.LOSS][0].kind is Kind.EVENT
    assert np.mean(losses[-10:]) < np.mean(losses[:10]) / 2
    weights = received[streams.WEIGHTS][-1]
    assert {name: array.shape for name, array in weights.tensors.items()} == {
        "w1": (64, trainer.HIDDEN),
        "b1": (trainer.HIDDEN,),
        "w2": (trainer.HIDDEN, 10),
        "b2": (10,),
    }
    assert weights.headers["run"] == 1
    assert weights.headers["ratio"] >= 1
    assert received[streams.CONFUSION][-1].tensor.sum() == trainer.BATCH_SIZE * trainer.CONFUSION_BATCHES


def test_what_is_held_out_is_not_trained_on() -> None:
    (images, labels), held_out = trainer.split_digits()
    assert len(images) == len(labels) == 1437
    assert held_out["images"].shape == (360, 64)
    assert held_out["labels"].shape == (360,)
    assert (images.min(), images.max()) == (0, 1)
