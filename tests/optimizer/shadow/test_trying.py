"""Trying: sizes are those of the codecs, and times those of the clock."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from gateway.optimizer.shadow.trying import SHORT_S, try_chains
from gateway.protocol.dtypes import dtype_named
from gateway.protocol.encoding import PLAIN, Chain, encode

INT64 = dtype_named("int64")
LZ4, DELTA = Chain(codec="lz4"), Chain(codec="lz4", delta="diff64", distance=1)
TOKENS = np.arange(4096, dtype=np.int64).data.cast("B")
NOISE = np.random.default_rng(1).bytes(32_768)


class StepClock:
    """A clock that moves by the given steps whenever it is read."""

    def __init__(self, *steps_s: float) -> None:
        self._steps: Iterator[float] = iter(steps_s)
        self._now_s = 0.0

    def __call__(self) -> float:
        self._now_s += next(self._steps)
        return self._now_s


def test_the_size_is_that_of_the_encoded_sample_and_of_short_work_the_shorter_time_counts() -> None:
    encoded = encode(LZ4, TOKENS, INT64)
    assert encoded is not None
    long_s = 2 * SHORT_S
    clock = StepClock(0, long_s, 0, SHORT_S / 2, 0, SHORT_S / 4)
    (tried,) = try_chains([LZ4], TOKENS, INT64, None, clock)
    assert (tried.chain, tried.encoded_bytes) == ("lz4", len(encoded[1]))
    assert abs(tried.encode_s - long_s) < 1e-9
    assert abs(tried.decode_s - SHORT_S / 4) < 1e-9


def test_plain_payloads_cost_nothing() -> None:
    (tried,) = try_chains([PLAIN], TOKENS, INT64, None, StepClock())
    assert (tried.chain, tried.encoded_bytes, tried.encode_s, tried.decode_s) == ("none", len(TOKENS), 0.0, 0.0)


def test_a_sample_that_does_not_get_smaller_costs_the_attempt_and_is_sent_plain() -> None:
    (tried,) = try_chains([LZ4], NOISE, INT64, None, StepClock(0, SHORT_S))
    assert (tried.encoded_bytes, tried.encode_s, tried.decode_s) == (len(NOISE), SHORT_S, 0.0)


def test_deltas_are_tried_if_there_is_a_base() -> None:
    base = (np.arange(4096, dtype=np.int64) + 7).data.cast("B")
    steps = [SHORT_S] * 20
    (plain,) = try_chains([LZ4, DELTA], TOKENS, INT64, None, StepClock(*steps))
    both = list(try_chains([LZ4, DELTA], TOKENS, INT64, base, StepClock(*steps)))
    assert plain == both[0]
    assert both[1].chain == "diff64:1+lz4"
    assert both[1].encoded_bytes < both[0].encoded_bytes / 10
