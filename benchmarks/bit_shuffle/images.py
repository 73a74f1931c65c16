"""Images of scikit-learn, by the dtypes in which they are published."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import sklearn.datasets

from benchmarks.optimizer.photograph import photograph

DIGITS: Final = 1792
"""Digits of a batch: 112 KB as bytes."""


def images() -> Iterator[tuple[str, npt.NDArray[Any]]]:
    """Yield each image with its name."""
    directory = Path(sklearn.datasets.__file__).parent / "images"
    for name in ("china", "flower"):
        pixels = photograph((directory / f"{name}.jpg").read_bytes())[:424]
        yield f"{name} uint8", pixels
        # Sums of four pixels have ten bits, as many cameras give.
        binned = pixels.reshape(212, 2, -1, 2, 3).sum(axis=(1, 3), dtype=np.uint16)
        yield f"{name} uint16", binned
        scaled = pixels[::2, ::2].astype(np.float32) / 255
        yield f"{name} float32", scaled
        yield f"{name} float32, normalized", (scaled - np.float32(0.45)) / np.float32(0.225)
        yield f"{name} float32, grey", scaled.mean(axis=2)
    digits = sklearn.datasets.load_digits().images[:DIGITS]
    for dtype in (np.uint8, np.uint16, np.float32):
        yield f"digits {np.dtype(dtype).name}", digits.astype(dtype)


def pixel_differences(image: npt.NDArray[Any]) -> bytes:
    """Return the elements of an image less those of the pixel before, as integers: what PNG calls Sub, over lines."""
    words = np.ascontiguousarray(image).view(f"u{image.dtype.itemsize}").ravel()
    pixel = image.shape[-1] if image.ndim == 3 and image.shape[-1] == 3 else 1
    return np.concatenate([words[:pixel], words[pixel:] - words[:-pixel]]).tobytes()
