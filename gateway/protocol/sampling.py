"""Simple rule that chooses a codec chain: compress a sample and keep a chain that pays.

Baseline and fallback of every cleverer policy. Deterministic: the same payload gives the same chain.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Final

from gateway.protocol.codecs import SHUFFLE, XOR
from gateway.protocol.dtypes import DTypeLike
from gateway.protocol.encoding import PLAIN, Chain, encode
from gateway.protocol.wire import Buffer

RatioOf = Callable[[Chain], float]
"""Function that returns the ratio of a chain, encoded over plain, 1.0 at most."""

MIN_BYTES: Final = 16 * 1024
"""Payload size below which decoding and the encoding block cost more than the saved bytes; no delta is made either
(spec section 10)."""

_SLICES_AT: Final = (0, 211, 467, 743, 1009)
"""Places of the slices, in parts of the last one: a prime, and no distance twice. A payload may repeat itself, as a
batch of pictures does: slices that were spread evenly would all be of the same place of it, and compress each other."""
_SLICE_BYTES: Final = 8 * 1024
_SLICE_MULTIPLE: Final = 16
"""Slices start on multiples of every element size, so that the sample shuffles like the payload."""

_WORTH_IT: Final = 0.7
_MUCH_BETTER: Final = 0.75

_FAST_CODECS: Final = ("lz4", "snappy")
_THOROUGH_CODEC: Final = "zstd"
_THOROUGH_LEVEL: Final = 1


def choose_chain(payload: Buffer, element: DTypeLike, codecs: Collection[str], filters: Collection[str]) -> Chain:
    """Choose the chain for a payload by compressing at most 40 KiB of it; under 1 ms.

    1. Below 16 KiB, or if the receivers know no codec: plain.
    2. Sample: five slices of 8 KiB, from the first byte to the last; all of it up to 40 KiB.
    3. Compress the sample with the fast codec, lz4 (snappy if the receivers do not know lz4), plain and shuffled. Keep
       the smaller result.
    4. Do the same with zstd level 1. It is much slower, so it replaces the fast codec only if its result is at most
       0.75 of the other. ``pco`` is not tried: only a slow link makes up for its time, and nobody knows the link here.
    5. Use the kept chain if its ratio, encoded over plain, is at most 0.7; otherwise plain.

    Args:
        payload: flat bytes.
        element: dtype of the elements; single bytes (nothing to shuffle) for mixed tensors.
        codecs: names of the codecs that all receivers know.
        filters: names of the filters that all receivers know.
    """
    if len(payload) < MIN_BYTES:
        return PLAIN
    return chosen_chain(_ratio_of(_sample(memoryview(payload)), None, element), element, codecs, filters)


def chosen_chain(ratio_of: RatioOf, element: DTypeLike, codecs: Collection[str], filters: Collection[str]) -> Chain:
    """Choose as :func:`choose_chain` does, by ratios: steps 3 to 5."""
    best, ratio = _best(ratio_of, element, codecs, filters, "")
    return best if ratio <= _WORTH_IT else PLAIN


def choose_delta(
    payload: Buffer,
    base: Buffer,
    element: DTypeLike,
    codecs: Collection[str],
    filters: Collection[str],
    *,
    integers: bool,
) -> Chain:
    """Choose the chain for a delta to the version before, from a sample like :func:`choose_chain`; under 2 ms.

    The delta is a difference (``diff8`` to ``diff64``) for integers, if the receivers know it, and ``xor`` otherwise.
    It is used if its ratio is at most 0.7, and at most 0.75 of that of the best other chain: a delta costs a copy of
    the version before, at both ends.

    Args:
        payload: flat bytes.
        base: the version before, of the same size.
        element: dtype of the elements.
        codecs: names of the codecs that all receivers know.
        filters: names of the filters that all receivers know.
        integers: whether all elements are integers of ``element`` bytes.

    Returns:
        The chain, with distance 1; plain if no delta pays.
    """
    if len(payload) < MIN_BYTES or len(base) != len(payload):
        return PLAIN
    ratio_of = _ratio_of(_sample(memoryview(payload)), _sample(memoryview(base)), element)
    return chosen_delta(ratio_of, element, codecs, filters, integers=integers)


def chosen_delta(
    ratio_of: RatioOf, element: DTypeLike, codecs: Collection[str], filters: Collection[str], *, integers: bool
) -> Chain:
    """Choose as :func:`choose_delta` does, by ratios."""
    difference = f"diff{8 * element.itemsize}"
    delta = difference if integers and difference in filters else XOR.name
    if delta not in filters:
        return PLAIN
    best, ratio = _best(ratio_of, element, codecs, filters, delta)
    if ratio > _WORTH_IT:
        return PLAIN
    _, other = _best(ratio_of, element, codecs, filters, "")
    return best if ratio <= _MUCH_BETTER * other else PLAIN


def _best(
    ratio_of: RatioOf, element: DTypeLike, codecs: Collection[str], filters: Collection[str], delta: str
) -> tuple[Chain, float]:
    """Return the chain for a sample, by the steps of :func:`choose_chain`, and the ratio; plain and 1.0 at worst."""
    shuffles = [False, True] if SHUFFLE.name in filters and element.itemsize in SHUFFLE.parameters else [False]
    distance = 1 if delta else 0
    best, best_ratio = PLAIN, 1.0
    fast = next((name for name in _FAST_CODECS if name in codecs), None)
    if fast is not None:
        chains = [Chain(shuffle, fast, None, delta, distance) for shuffle in shuffles]
        best, best_ratio = _smallest(chains, ratio_of)
    if _THOROUGH_CODEC in codecs:
        chains = [Chain(shuffle, _THOROUGH_CODEC, _THOROUGH_LEVEL, delta, distance) for shuffle in shuffles]
        thorough, ratio = _smallest(chains, ratio_of)
        if ratio <= _MUCH_BETTER * best_ratio:
            best, best_ratio = thorough, ratio
    return best, best_ratio


def _sample(payload: memoryview) -> Buffer:
    if len(payload) <= len(_SLICES_AT) * _SLICE_BYTES:
        return payload
    last = len(payload) - _SLICE_BYTES
    starts = [last * at // _SLICES_AT[-1] // _SLICE_MULTIPLE * _SLICE_MULTIPLE for at in _SLICES_AT]
    return b"".join([payload[start : start + _SLICE_BYTES] for start in starts])


def _ratio_of(sample: Buffer, base: Buffer | None, element: DTypeLike) -> RatioOf:
    """Return the function that compresses a sample; deltas are to ``base``."""

    def ratio_of(chain: Chain) -> float:
        encoded = encode(chain, sample, element, base=base)
        return 1.0 if encoded is None else len(encoded[1]) / len(sample)

    return ratio_of


def _smallest(chains: list[Chain], ratio_of: RatioOf) -> tuple[Chain, float]:
    """Return the chain that makes the sample smallest, the first of equals, and its ratio, 1.0 at most."""
    ratios = [ratio_of(chain) for chain in chains]
    best = min(ratios)
    return chains[ratios.index(best)], best
