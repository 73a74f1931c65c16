"""Outcomes: images that were encoded in Python by some chains, and decoded in JavaScript."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeVar

import numpy.typing as npt

from benchmarks.bit_shuffle.bits import bits_shuffled, bits_unshuffled
from benchmarks.bit_shuffle.node import Node
from benchmarks.processes import VerificationFailed
from gateway.protocol.dtypes import BYTE
from gateway.protocol.encoding import PLAIN, Chain, encode

CHAINS: Final = tuple([Chain.parse(chain) for chain in ("lz4", "zstd:1", "zstd:3", "zstd:9")])
"""Chains behind each of the filters."""
T = TypeVar("T")

LEAST_S: Final = 0.1
"""Time for which each work is repeated; the shortest time counts."""

NO_FILTER: Final = ""
BYTES: Final = "shuffle"
BITS: Final = "bits"
FILTERS: Final = (NO_FILTER, BYTES, BITS)


@dataclass(frozen=True, slots=True)
class Outcome:
    """Image that was encoded by a chain behind a filter."""

    chain: str
    filter: str
    sent_bytes: int
    encode_s: float
    shuffle_s: float
    """Part of the time of encoding in which bits are shuffled."""
    decode_s: float
    unshuffle_s: float
    """Time in which JavaScript puts the bits back, beside that of decoding."""

    def usable_s(self, bytes_per_s: float) -> float:
        """Return the time from the beginning of encoding until a receiver in JavaScript has the image."""
        return self.encode_s + self.sent_bytes / bytes_per_s + self.decode_s + self.unshuffle_s

    @property
    def name(self) -> str:
        """Name of filter and chain."""
        return f"{self.filter}+{self.chain}" if self.filter else self.chain


def outcomes(node: Node, image: npt.NDArray[Any]) -> Iterator[Outcome]:
    """Yield the outcome of each chain behind each filter, plain first."""
    payload = image.tobytes()
    yield Outcome(str(PLAIN), NO_FILTER, len(payload), 0.0, 0.0, 0.0, 0.0)
    itemsize = image.dtype.itemsize
    shuffle_s, shuffled = _shortest(partial(bits_shuffled, payload, itemsize))
    if bits_unshuffled(shuffled, itemsize) != payload:
        raise VerificationFailed("a bit shuffle has lost bits")
    for kind in FILTERS:
        if kind == BYTES and itemsize == 1:
            continue
        data, element = (shuffled, BYTE) if kind == BITS else (payload, image.dtype)
        for each in CHAINS:
            chain = Chain(kind == BYTES, each.codec, each.level)
            encode_s, encoded = _shortest(partial(encode, chain, data, element))
            if encoded is None:
                continue
            encoding, sent = encoded
            decode_s, unshuffle_s = node.decode(bytes(sent), payload, encoding.steps, itemsize if kind == BITS else 0)
            before_s = shuffle_s if kind == BITS else 0.0
            yield Outcome(str(each), kind, len(sent), before_s + encode_s, before_s, decode_s, unshuffle_s)


def _shortest(work: Callable[[], T]) -> tuple[float, T]:
    """Return the shortest time of some calls, and what they return."""
    result, least_s, until_s = work(), float("inf"), time.perf_counter() + LEAST_S
    while time.perf_counter() < until_s:
        begin_s = time.thread_time()
        result = work()
        least_s = min(least_s, time.thread_time() - begin_s)
    return least_s, result
