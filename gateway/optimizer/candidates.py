"""Candidates: chains among which one is worth choosing, for a dtype and the codecs that receivers know.

Filters, codecs and levels make some sixty chains. These are the ones that were the best of any payload at any rate of
link (images, walks, token ids, timestamps, activations, embeddings and smooth fields; November 2026).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final

from gateway.protocol.codecs import SHUFFLE, XOR
from gateway.protocol.dtypes import DTypeLike
from gateway.protocol.encoding import PLAIN, Chain

MAX_CANDIDATES: Final = 12
"""Most candidates of one payload: to try so many on 128 KB takes some 10 ms."""

PROBE_BYTES: Final = 32 * 1024
"""Size of a sample that is only probed."""

_NUMBERS: Final = (("pco", 4), ("pco", 8))
"""Codec of numbers: level 8 is the best for links up to 20 Mbit/s, 4 encodes in half the time."""
_THOROUGH: Final = ("zstd", 9)
"""Level for receivers without the codec of numbers, and for single bytes. Higher levels of zstd take
more time than a link of 2 Mbit/s does."""


def candidates(element: DTypeLike, names: Collection[str], *, integers: bool, based: bool) -> tuple[Chain, ...]:
    """Return the candidates, plain first and at most :data:`MAX_CANDIDATES`.

    Args:
        element: dtype of the elements; single bytes for mixed tensors.
        names: codecs and filters that the receivers know.
        integers: whether all elements are integers of the size of ``element``.
        based: whether there is a previous version, to which deltas can be made.
    """
    shuffles = [False, True] if SHUFFLE.name in names and element.itemsize in SHUFFLE.parameters else [False]
    fast = next((name for name in ("lz4", "snappy") if name in names), None)
    chains = [PLAIN]
    if fast is not None:
        chains += [Chain(shuffle, fast) for shuffle in shuffles]
    if "zstd" in names:
        chains += [Chain(shuffle, "zstd", level) for level in (1, 3) for shuffle in shuffles]
    if "pco" in names and element.itemsize > 1:
        chains += [Chain(False, codec, level) for codec, level in _NUMBERS]
    elif "zstd" in names:
        chains += [Chain(shuffle, *_THOROUGH) for shuffle in shuffles]
    difference = f"diff{8 * element.itemsize}"
    delta = difference if integers and difference in names else XOR.name
    if based and delta in names:
        if fast is not None:
            chains.append(Chain(shuffles[-1], fast, None, delta, 1))
        if "zstd" in names:
            chains += [Chain(shuffle, "zstd", 1, delta, 1) for shuffle in shuffles]
    return tuple(chains)


def probes(chains: Iterable[Chain]) -> tuple[Chain, ...]:
    """Return those of some candidates by whose outcomes a model can tell those of the others.

    A trial of probes alone, on :data:`PROBE_BYTES`, takes a tenth of the time of a whole one.
    """
    listed = tuple(chains)
    slow = {(codec, level) for codec, level in (*_NUMBERS[1:], _THOROUGH, ("zstd", 3))}
    whole = [each for each in listed if not each.delta and (each.codec, each.level) not in slow]
    deltas = [each for each in listed if each.delta and each.codec == "zstd"]
    return (*whole, *sorted(deltas, key=lambda each: each.shuffle)[-1:])
