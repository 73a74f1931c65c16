"""Trainer: agent that trains the model in a plain loop, without asyncio, and publishes the tensors of every step."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from itertools import count
from typing import Final

import numpy as np
import numpy.typing as npt
from sklearn.datasets import load_digits

from gateway.client.sync import Client, connect
from gateway.demo import streams
from gateway.demo.lifeline import Lifeline
from gateway.demo.model import Descent, Floats, Labels, confusion, forward_backward, initial_parameters

BATCH_SIZE: Final = 128
HIDDEN: Final = 256
HELD_OUT_PART: Final = 5
"""One of so many images is held out for evaluation."""
ACTIVATIONS_CODEC: Final = "zstd:1"
"""Half of the activations are zeros: 1.6 times smaller, too small a gain for ``auto`` to compress them."""
RUN_STEPS: Final = 500
"""Steps of a run. The model learns little more after them, and the next run starts from other weights."""
CONFUSION_BATCHES: Final = 12
"""Batches of a confusion matrix: about one pass over the training set."""


class StepPublisher:
    """Publisher of the tensors of a step, with the result of the previous publish to the same stream in the headers.

    Args:
        client: connected.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._sent: dict[str, dict[str, float]] = {}

    def publish(self, stream: str, value: object, run: int, step: int, codec: str = "auto") -> None:
        """Publish a state, and wait for its acknowledgement.

        Args:
            stream: name of the stream.
            value: array, or arrays by name.
            run: number of the training run, for the headers.
            step: number of the step, for the headers.
            codec: as of ``Client.publish``.
        """
        headers = {"run": run, "step": step, **self._sent.get(stream, {})}
        result = self._client.publish(stream, value, kind="state", headers=headers, codec=codec)
        self._sent[stream] = {"ratio": round(result.compression_ratio, 3), "quality": round(result.quality_score, 3)}

    def publish_loss(self, loss: float) -> None:
        """Publish a loss as one record, without waiting."""
        self._client.publish_nowait(streams.LOSS, np.float32(loss), kind="event")


def run(line: Lifeline, url: str, steps_per_s: float) -> None:
    """Train until the lifeline ends.

    Args:
        line: lifeline to the parent process.
        url: URL of the gateway.
        steps_per_s: most steps a second; without a limit a step takes a millisecond.

    Raises:
        FrysError: no gateway listens at the URL, or the gateway refuses.
    """
    (images, labels), held_out = split_digits()
    random = np.random.default_rng(0)
    with connect(url, client_id="trainer") as client:
        publisher = StepPublisher(client)
        client.publish(streams.HELD_OUT, held_out, kind="state")
        line.ready()
        due_s = time.monotonic()
        for number in count(1):
            for _ in training_run(publisher, images, labels, random, number):
                due_s = max(due_s + 1 / steps_per_s, time.monotonic())
                if line.let_go(due_s - time.monotonic()):
                    return


def training_run(
    publisher: StepPublisher, images: Floats, labels: Labels, random: np.random.Generator, number: int
) -> Iterator[int]:
    """Train one model from random weights; yield the number of each step once it is published.

    Args:
        publisher: publishes the tensors of each step.
        images: the training set, (n, 64).
        labels: its classes, (n,).
        random: chooses weights and batches.
        number: number of the run, from 1.
    """
    parameters = initial_parameters(images.shape[1], HIDDEN, random)
    descent = Descent(parameters)
    recent: deque[Labels] = deque(maxlen=CONFUSION_BATCHES)
    for step in range(1, RUN_STEPS + 1):
        chosen = random.choice(len(labels), BATCH_SIZE, replace=False)
        result = forward_backward(parameters, images[chosen], labels[chosen])
        recent.append(confusion(labels[chosen], result.predicted))
        publisher.publish_loss(result.loss)
        publisher.publish(streams.BATCH, {"images": images[chosen], "labels": labels[chosen]}, number, step)
        publisher.publish(streams.GRADIENTS, result.gradients, number, step)
        publisher.publish(streams.ACTIVATIONS, result.activations, number, step, ACTIVATIONS_CODEC)
        publisher.publish(streams.CONFUSION, sum(recent), number, step)
        descent.step(result.gradients)
        publisher.publish(streams.WEIGHTS, parameters, number, step)
        yield step


def split_digits() -> tuple[tuple[Floats, Labels], dict[str, npt.NDArray[np.float32] | npt.NDArray[np.int64]]]:
    """Return scikit-learn's digits, 8 by 8 pixels from 0 to 1: the training set and the held-out set."""
    data, target = load_digits(return_X_y=True)
    images, labels = (data / 16).astype(np.float32), target.astype(np.int64)
    held_out = np.arange(len(labels)) % HELD_OUT_PART == 0
    return (images[~held_out], labels[~held_out]), {"images": images[held_out], "labels": labels[held_out]}
