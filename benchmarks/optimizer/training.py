"""Training: a small network learns scikit-learn's digits, and its arrays are the payloads of a benchmark."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from sklearn.datasets import load_digits

Array = npt.NDArray[Any]

HIDDEN: Final = 256
BATCH: Final = 256
LEARNING_RATE: Final = 0.1
PRUNED_BELOW: Final = 0.05
"""Weights that are taken for zero in a stream of their own."""
STEPS_BEFORE: Final = 100
STEPS_BETWEEN: Final = 5
"""Steps from one payload to the next, and before the first one."""


def training_arrays(seed: int, count: int, payload_bytes: int) -> Iterator[tuple[str, bool, list[Array]]]:
    """Yield the payloads of each stream of a training: its name, whether it is a state, and ``count`` payloads.

    Args:
        seed: of the weights and batches.
        count: number of payloads.
        payload_bytes: about the size of each.
    """
    draw = np.random.default_rng(seed)
    images, labels = load_digits(return_X_y=True)
    images = (images / 16).astype(np.float32)
    sizes = (images.shape[1], HIDDEN, HIDDEN, 10)
    weights = [
        draw.normal(0, np.sqrt(2 / inputs), (inputs, outputs)).astype(np.float32)
        for inputs, outputs in itertools.pairwise(sizes)
    ]
    found: defaultdict[str, list[Array]] = defaultdict(list)
    for step in range(STEPS_BEFORE + STEPS_BETWEEN * count):
        chosen = draw.choice(len(images), BATCH)
        activations = [images[chosen]]
        for layer in weights[:-1]:
            activations.append(np.maximum(activations[-1] @ layer, 0))
        scores = activations[-1] @ weights[-1]
        shares = np.exp(scores - scores.max(1, keepdims=True))
        shares /= shares.sum(1, keepdims=True)
        errors = shares - np.eye(10, dtype=np.float32)[labels[chosen]]
        gradients: list[Array] = []
        for layer, inputs in zip(reversed(weights), reversed(activations), strict=True):
            gradients.insert(0, inputs.T @ errors / BATCH)
            errors = (errors @ layer.T) * (inputs > 0)
        for layer, gradient in zip(weights, gradients, strict=True):
            layer -= LEARNING_RATE * gradient
        if step >= STEPS_BEFORE and step % STEPS_BETWEEN == 0:
            found["activations"].append(activations[1])
            found["gradients"].append(gradients[1].copy())
            found["weights/all"].append(weights[1].copy())
            found["weights/half"].append(weights[1].astype(np.float16))
            pruned = weights[1].copy()
            pruned[np.abs(pruned) < PRUNED_BELOW] = 0
            found["weights/pruned"].append(pruned)
    for name, payloads in found.items():
        yield name, name.startswith("weights"), [each.ravel()[: payload_bytes // each.itemsize] for each in payloads]
