"""Measuring: what each candidate makes of each payload, as a traffic history tells it of samples, and of all bytes."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from benchmarks.optimizer.array_streams import Array, ArrayStream
from gateway.optimizer.candidates import PROBE_BYTES, candidates, probes
from gateway.optimizer.history.features import features_of
from gateway.optimizer.history.record import ShadowTrial, TriedChain
from gateway.optimizer.shadow.sample_memory import SampleMemory
from gateway.optimizer.shadow.trying import try_chains
from gateway.protocol.codecs import CODEC_NAMES, FILTER_NAMES
from gateway.protocol.dtypes import dtype_name
from gateway.protocol.encoding import Chain
from gateway.protocol.sampling import choose_chain, choose_delta
from gateway.protocol.wire import Buffer

ALL: Final = frozenset((*CODEC_NAMES, *FILTER_NAMES))
"""Codecs and filters of the Python SDK."""
WITHOUT_PCO: Final = ALL - {"pco"}
"""Those that other clients know as well."""
PROBE_PIECES: Final = 4
"""Pieces of a short sample."""
REPEATS: Final = 3
"""Times that each payload is encoded and decoded; the shortest time of each counts."""


@dataclass(frozen=True, slots=True)
class Measured:
    """Payload that was encoded by all candidates."""

    data_set: str
    """Data set of its stream."""
    truth: ShadowTrial
    """Outcomes on all of its bytes."""
    sampled: ShadowTrial
    """Outcomes on a sample of it, as the gateway takes one."""
    probed: ShadowTrial
    """Outcomes of probes on a short sample of it."""
    sampled_rule: dict[frozenset[str], str]
    """Chain that the sampled policy chooses by it, by the codecs that receivers know."""


def measured_payloads(streams: Iterable[ArrayStream]) -> Iterator[Measured]:
    """Yield the payloads of all streams, the first ones of all first, as they would come."""
    memory, made = SampleMemory(), list(streams)
    try:
        for number in range(1, max([len(stream.payloads) for stream in made])):
            for stream in made:
                before = stream.payloads[number - 1] if stream.is_state else None
                yield _measured(stream, stream.payloads[number], before, memory, number)
    finally:
        memory.close()


def _measured(stream: ArrayStream, array: Array, before: Array | None, memory: SampleMemory, number: int) -> Measured:
    payload, base = flat(array), None if before is None else flat(before)
    integers = array.dtype.kind in "iu"
    options = {
        names: candidates(array.dtype, names, integers=integers, based=base is not None) for names in (ALL, WITHOUT_PCO)
    }
    chains = tuple(dict.fromkeys([chain for each in options.values() for chain in each]))
    sample_bytes, base_bytes = memory.fill(0, payload, base)
    sample = memory.slot(0)[:sample_bytes]
    sample_base = memory.slot(0)[sample_bytes:][:base_bytes] if base_bytes else None
    trial = ShadowTrial(
        time_ns=time.time_ns(),
        stream=f"benchmark/{stream.name}",
        dtype=dtype_name(array.dtype),
        shape=array.shape,
        sample_bytes=len(payload),
        based=base is not None,
        tried=_outcomes(chains, payload, array, base, REPEATS),
        features=features_of(payload, array.dtype.itemsize, base),
    )
    # What a gateway tries: the receivers of a stream know pco, or they do not.
    begin_s = time.thread_time()
    tried = _outcomes(options[ALL], sample, array, sample_base, 1)
    cpu_s = time.thread_time() - begin_s
    more = _outcomes([each for each in chains if each not in options[ALL]], sample, array, sample_base, 1)
    sampled = replace(trial, sample_bytes=sample_bytes, tried=(*tried, *more), cpu_s=cpu_s)
    short = _pieces(sample)
    begin_s = time.thread_time()
    tried = _outcomes(probes(options[ALL]), short, array, None if sample_base is None else _pieces(sample_base), 1)
    probed = replace(trial, sample_bytes=len(short), tried=tried, cpu_s=time.thread_time() - begin_s)
    rules = {names: _rule(payload, array, base, names, integers) for names in options}
    return Measured(stream.data_set, trial, sampled, probed, rules)


def _pieces(sample: memoryview) -> Buffer:
    """Return a short sample of a sample."""
    piece = PROBE_BYTES // PROBE_PIECES
    last = len(sample) - piece
    begins = [last * number // (PROBE_PIECES - 1) // 16 * 16 for number in range(PROBE_PIECES)]
    return b"".join([sample[begin : begin + piece] for begin in begins])


def _outcomes(
    chains: Iterable[Chain], sample: Buffer, array: Array, base: Buffer | None, repeats: int
) -> tuple[TriedChain, ...]:
    """Return the outcome of each chain, with the shortest of its times."""
    runs = [list(try_chains(chains, sample, array.dtype, base, time.thread_time)) for _ in range(repeats)]
    return tuple(
        [
            replace(
                outcomes[0],
                encode_s=min(each.encode_s for each in outcomes),
                decode_s=min(each.decode_s for each in outcomes),
            )
            for outcomes in zip(*runs, strict=True)
        ]
    )


def _rule(payload: Buffer, array: Array, base: Buffer | None, names: frozenset[str], integers: bool) -> str:
    chain = choose_chain(payload, array.dtype, names, names)
    if base is not None:
        delta = choose_delta(payload, base, array.dtype, names, names, integers=integers)
        chain = delta if delta.delta else chain
    return str(chain)


def flat(array: Array) -> memoryview:
    """Return the bytes of a contiguous array."""
    return array.reshape(-1).view(np.uint8).data
