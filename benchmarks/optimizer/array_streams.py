"""Array streams: successive payloads of some kinds, of real data where there is some. Deterministic."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from pydoc_data import topics
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import sklearn.datasets

from benchmarks.optimizer.photograph import photograph
from benchmarks.optimizer.training import training_arrays

Array = npt.NDArray[Any]

PAYLOAD_BYTES: Final = 256 * 1024
"""About the size of a payload."""
PAYLOADS: Final = 7
"""Payloads of a stream. The first one is there as the version before the second."""


@dataclass(frozen=True, slots=True, eq=False)
class ArrayStream:
    """Stream of arrays of one shape and dtype."""

    name: str
    """Name of the stream."""
    data_set: str
    """Data set, all streams of which are kept out of training together."""
    payloads: tuple[Array, ...]
    """The payloads, in their order."""
    is_state: bool = False
    """Whether a payload can be sent as the difference to the one before."""


def array_streams(seed: int = 0) -> tuple[ArrayStream, ...]:
    """Return all streams."""
    made = (*_photographs(), *_tables(seed), *_digits(seed), *_tokens(), *_signals(seed), *_network(seed))
    return (*made, *_masks(seed), *_embeddings(seed))


def _stream(name: str, data_set: str, payloads: Iterator[Array], *, is_state: bool = False) -> ArrayStream:
    return ArrayStream(name, data_set, tuple([np.ascontiguousarray(each) for each in payloads]), is_state)


def _photographs() -> Iterator[ArrayStream]:
    """Yield pieces of scikit-learn's two photographs, over which a camera moves."""
    directory = Path(sklearn.datasets.__file__).parent / "images"
    for name in ("china", "flower"):
        pixels = photograph((directory / f"{name}.jpg").read_bytes())
        pieces = [pixels[8 * step : 8 * step + 288, 40 * step : 40 * step + 300] for step in range(PAYLOADS)]
        data_set = f"photograph {name}"
        yield _stream(f"{name}/bytes", data_set, iter(pieces))
        scaled = [each[::2, ::2].astype(np.float32) / 255 for each in pieces]
        yield _stream(f"{name}/scaled", data_set, iter(scaled))
        mean, deviation = np.float32(0.45), np.float32(0.225)
        yield _stream(f"{name}/normalized", data_set, ((each - mean) / deviation for each in scaled))


def _tables(seed: int) -> Iterator[ArrayStream]:
    """Yield rows of scikit-learn's tables, drawn as batches of training are."""
    draw = np.random.default_rng(seed)
    for name in ("breast_cancer", "diabetes", "wine"):
        rows = getattr(sklearn.datasets, f"load_{name}")().data
        count = PAYLOAD_BYTES // rows[0].nbytes
        yield _stream(f"table/{name}", f"table {name}", (draw.choice(rows, count) for _ in range(PAYLOADS)))
    rows = sklearn.datasets.load_breast_cancer().data.astype(np.float32)
    scaled = (rows - rows.mean(0)) / rows.std(0)
    count = PAYLOAD_BYTES // scaled[0].nbytes
    yield _stream("table/scaled", "table scaled", (draw.choice(scaled, count) for _ in range(PAYLOADS)))


def _digits(seed: int) -> Iterator[ArrayStream]:
    """Yield batches of scikit-learn's digits."""
    draw = np.random.default_rng(seed)
    images = sklearn.datasets.load_digits().images
    for dtype in (np.uint8, np.float32):
        count = PAYLOAD_BYTES // (64 * np.dtype(dtype).itemsize)
        batches = (draw.choice(images, count).astype(dtype) for _ in range(PAYLOADS))
        yield _stream(f"digits/{np.dtype(dtype).name}", "digits", batches)


def _tokens() -> Iterator[ArrayStream]:
    """Yield the words of Python's help texts, as numbers by their frequency, and the offsets of the words."""
    words = re.findall(r"\w+|[^\w\s]", " ".join(topics.topics.values()))
    numbers = {word: number for number, (word, _) in enumerate(Counter(words).most_common())}
    ids = np.array([numbers[word] for word in words])
    for dtype in (np.int64, np.int32):
        count = min(PAYLOAD_BYTES // np.dtype(dtype).itemsize, len(ids) // 2)
        step = (len(ids) - count) // PAYLOADS
        pieces = (ids[number * step :][:count].astype(dtype) for number in range(PAYLOADS))
        yield _stream(f"tokens/{np.dtype(dtype).name}", "tokens", pieces)


def _signals(seed: int) -> Iterator[ArrayStream]:
    """Yield what sensors send: walks, tones with noise, smooth fields, and times of events."""
    draw = np.random.default_rng(seed)
    doubles, singles = PAYLOAD_BYTES // 8, PAYLOAD_BYTES // 4
    walks = (draw.normal(0, 0.01, doubles).cumsum().round(3) for _ in range(PAYLOADS))
    yield _stream("signal/walk", "walks", walks)
    turns = np.arange(singles) / 48_000
    tones = [
        sum(np.sin(2 * np.pi * 110 * harmonic * turns + draw.uniform(0, 6)) / harmonic for harmonic in range(1, 6))
        + draw.normal(0, 0.02, singles)
        for _ in range(PAYLOADS)
    ]
    yield _stream("signal/tones", "tones", (each.astype(np.float32) for each in tones))
    yield _stream("signal/samples", "tones", ((each * 2**13).astype(np.int16) for each in tones))
    x, y = np.meshgrid(np.linspace(0, 4, 256), np.linspace(0, 4, 256))
    waves = [draw.uniform(0.5, 3, 4) for _ in range(6)]
    fields = [
        sum(np.sin(a * x + b * y + step * c / 50 + 6 * d) for a, b, c, d in waves).astype(np.float32)
        for step in range(PAYLOADS)
    ]
    yield _stream("field/smooth", "fields", iter(fields), is_state=True)
    noisy = (each + draw.normal(0, 0.05, each.shape).astype(np.float32) for each in fields)
    yield _stream("field/noisy", "fields", noisy, is_state=True)
    times = (1_700_000_000_000_000 + draw.exponential(900, doubles).cumsum().astype(np.int64) for _ in range(PAYLOADS))
    yield _stream("events/times", "times", times)


def _network(seed: int) -> Iterator[ArrayStream]:
    """Yield what the training of a network publishes."""
    for name, is_state, payloads in training_arrays(seed, PAYLOADS, PAYLOAD_BYTES):
        yield _stream(f"network/{name}", f"network {name.split('/')[0]}", iter(payloads), is_state=is_state)


def _masks(seed: int) -> Iterator[ArrayStream]:
    """Yield sparse masks, and values that few cells have."""
    draw = np.random.default_rng(seed)
    shape = (512, 512)
    masks = [draw.random(shape) < 0.02 for _ in range(PAYLOADS)]
    yield _stream("mask/bytes", "masks", (each.astype(np.uint8) for each in masks))
    values = (np.where(each, draw.normal(size=shape), 0)[:256, :256].astype(np.float32) for each in masks)
    yield _stream("mask/values", "masks", values)
    grid = draw.integers(0, 20, shape).astype(np.uint8)
    grids = []
    for _ in range(PAYLOADS):
        grid = np.where(draw.random(shape) < 0.01, draw.integers(0, 20, shape), grid).astype(np.uint8)
        grids.append(grid)
    yield _stream("mask/grid", "grids", iter(grids), is_state=True)


def _embeddings(seed: int) -> Iterator[ArrayStream]:
    """Yield embeddings of which each number is random."""
    draw = np.random.default_rng(seed)
    for dtype in (np.float32, np.float16):
        count = PAYLOAD_BYTES // np.dtype(dtype).itemsize
        payloads = (draw.normal(0, 0.1, count).astype(dtype).reshape(-1, 256) for _ in range(PAYLOADS))
        yield _stream(f"embeddings/{np.dtype(dtype).name}", "embeddings", payloads)
