"""SampledPolicy: learns from a sample, in a thread."""

from __future__ import annotations

import numpy as np

from gateway.connections.sampled_policy import FIRST_RESAMPLE_MESSAGES, SampledPolicy
from gateway.ids import Epoch, StreamId, StreamName
from gateway.protocol.encoding import PLAIN
from gateway.protocol.messages import Kind
from gateway.streams.stream import Stream
from tests.connections.memory import StepWorkers

CODECS = frozenset({"lz4", "zstd", "shuffle"})
TOKENS = np.arange(50_000, dtype=np.int64).tobytes()
NOISE = np.random.default_rng(5).bytes(400_000)


def stream(number: int = 1) -> Stream:
    return Stream(StreamId(number), StreamName(f"wf/{number}"), Kind.EVENT, Epoch(1))


def learned(policy: SampledPolicy, workers: StepWorkers, source: Stream, payload: bytes, itemsize: int) -> None:
    policy.chain_for(source, CODECS)
    policy.observe(source, payload, itemsize)
    while len(workers):
        workers.step()


def test_before_it_has_seen_anything_it_says_plain() -> None:
    assert SampledPolicy(StepWorkers()).chain_for(stream(), CODECS) == PLAIN


def test_it_encodes_what_compresses_for_those_who_can_decode() -> None:
    workers = StepWorkers()
    policy = SampledPolicy(workers)
    source = stream()
    policy.chain_for(source, frozenset())
    learned(policy, workers, source, TOKENS, 8)
    chain = policy.chain_for(source, CODECS)
    assert chain != PLAIN
    assert chain.names <= CODECS
    assert policy.chain_for(source, frozenset()) == PLAIN
    assert policy.chain_for(stream(2), CODECS) == PLAIN


def test_it_leaves_noise_alone() -> None:
    workers = StepWorkers()
    policy = SampledPolicy(workers)
    learned(policy, workers, stream(), NOISE, 1)
    assert policy.chain_for(stream(), CODECS) == PLAIN


def test_it_looks_again_after_a_while() -> None:
    workers = StepWorkers()
    policy = SampledPolicy(workers)
    source = stream()
    learned(policy, workers, source, TOKENS, 8)
    for _ in range(FIRST_RESAMPLE_MESSAGES):
        policy.observe(source, NOISE, 1)
        assert not len(workers)
    policy.observe(source, NOISE, 1)
    workers.step()
    assert policy.chain_for(source, CODECS) == PLAIN


def test_it_looks_less_often_while_nothing_changes() -> None:
    workers = StepWorkers()
    policy = SampledPolicy(workers)
    source = stream()
    policy.chain_for(source, CODECS)
    samples = 0
    for _ in range(20 * FIRST_RESAMPLE_MESSAGES):
        policy.observe(source, NOISE, 1)
        if len(workers):
            samples += 1
            workers.step()
    assert 2 <= samples <= 6


def test_a_sample_that_fails_changes_nothing() -> None:
    workers = StepWorkers()
    policy = SampledPolicy(workers)
    source = stream()
    learned(policy, workers, source, TOKENS, 8)
    chain = policy.chain_for(source, CODECS)
    policy._choices[source.id].countdown = 0
    policy.observe(source, None, 8)  # type: ignore[arg-type]
    workers.step()
    assert policy.chain_for(source, CODECS) == chain
