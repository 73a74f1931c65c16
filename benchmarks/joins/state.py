"""State that is joined: activations of a layer over handwritten digits, while its weights change."""

from __future__ import annotations

from functools import cache
from typing import Any, Final

import numpy as np

from benchmarks.processes import VerificationFailed

STREAM: Final = "lab/activations"
SHAPE: Final = (1797, 512)

Array = np.ndarray[Any, np.dtype[np.float32]]


@cache
def _digits() -> Array:
    from sklearn.datasets import load_digits  # noqa: PLC0415 - 2 s, and not in the processes of a wave

    digits: Array = load_digits().data.astype(np.float32) / 16
    return digits


def version(number: int) -> Array:
    """Return one version, 3.7 MB of which some half are zeros."""
    weights = np.random.default_rng(number).standard_normal((64, SHAPE[1]), np.float32)
    activations: Array = np.maximum(_digits() @ weights, 0)
    return activations


def check(tensor: Array) -> None:
    """Check that a tensor is some version, whole.

    Raises:
        VerificationFailed: it is not.
    """
    zeros = float((tensor == 0).mean()) if tensor.shape == SHAPE else 0.0
    if tensor.dtype != np.float32 or not 0.3 < zeros < 0.7 or tensor.min() < 0:
        raise VerificationFailed(f"a receiver got {tensor.dtype} {tensor.shape}, {zeros:.0%} zeros: no version")
