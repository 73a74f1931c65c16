"""Trying: encodes and decodes a sample by each of some chains, and takes the time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final, TypeVar

from gateway.optimizer.history.record import TriedChain
from gateway.protocol.dtypes import DTypeLike
from gateway.protocol.encoding import PLAIN, Chain, decode, encode
from gateway.protocol.wire import Buffer

SHORT_S: Final = 1e-3
"""Work that takes less is done twice, and the shorter time counts: a cold cache is a large part of it."""

T = TypeVar("T")


def try_chains(
    chains: Iterable[Chain], sample: Buffer, element: DTypeLike, base: Buffer | None, clock_s: Callable[[], float]
) -> Iterator[TriedChain]:
    """Yield the outcome of each chain.

    Args:
        chains: the chains; those that make a delta are left out if there is no base.
        sample: flat bytes, decoded.
        element: dtype of the elements.
        base: the same bytes of the previous version.
        clock_s: CPU time of this thread.
    """
    for chain in chains:
        if chain == PLAIN:
            yield TriedChain(str(chain), len(sample), 0.0, 0.0)
        elif base is not None or not chain.delta:
            yield _try_chain(chain, sample, element, base, clock_s)


def _try_chain(
    chain: Chain, sample: Buffer, element: DTypeLike, base: Buffer | None, clock_s: Callable[[], float]
) -> TriedChain:
    encoded, encode_s = _timed(lambda: encode(chain, sample, element, base=base), clock_s)
    if encoded is None:  # it would be sent plain
        return TriedChain(str(chain), len(sample), encode_s, 0.0)
    encoding, data = encoded
    _, decode_s = _timed(lambda: decode(encoding, data, base=base), clock_s)
    return TriedChain(str(chain), len(data), encode_s, decode_s)


def _timed(work: Callable[[], T], clock_s: Callable[[], float]) -> tuple[T, float]:
    begin_s = clock_s()
    result = work()
    took_s = clock_s() - begin_s
    if took_s >= SHORT_S:
        return result, took_s
    begin_s = clock_s()
    work()
    return result, min(took_s, clock_s() - begin_s)
