"""SampledPolicy: learns from a sample, in a thread."""

from __future__ import annotations

import numpy as np
import pytest

from gateway.connections.ports import MAX_SAMPLE_BYTES, EncodingOutcome, Sample
from gateway.connections.receiver_profile import ReceiverProfile
from gateway.ids import Epoch, StreamId, StreamName
from gateway.optimizer.sampled_policy import FIRST_RESAMPLE_MESSAGES, LAST_RESAMPLE_MESSAGES, SampledPolicy
from gateway.protocol.dtypes import BYTE, DTypeLike
from gateway.protocol.encoding import PLAIN, Chain, encode
from gateway.protocol.messages import Kind
from gateway.streams.stream import Stream
from tests.connections.memory import StepWorkers

CODECS = ReceiverProfile(frozenset({"lz4", "zstd", "shuffle"}))
DELTAS = ReceiverProfile(CODECS.codecs | {"xor", "diff64"})
NO_CODECS = ReceiverProfile(frozenset())
TOKENS = np.arange(50_000, dtype=np.int64).tobytes()
NOISE = np.random.default_rng(5).bytes(400_000)


def stream(number: int = 1) -> Stream:
    return Stream(StreamId(number), StreamName(f"wf/{number}"), Kind.EVENT, Epoch(1))


def show(policy: SampledPolicy, source: Stream, sample: Sample) -> None:
    """Give it a payload as a fan-out does."""
    if policy.wants_sample(source, based=sample.base is not None):
        policy.observe(source, sample)


def learned(policy: SampledPolicy, workers: StepWorkers, source: Stream, payload: bytes, element: DTypeLike) -> None:
    policy.chain_for(source, CODECS)
    show(policy, source, Sample(payload, element))
    while len(workers):
        workers.step()


def test_before_it_has_seen_anything_it_says_plain() -> None:
    assert SampledPolicy(StepWorkers()).chain_for(stream(), CODECS) == PLAIN


def test_it_encodes_what_compresses_for_those_who_can_decode() -> None:
    workers = StepWorkers()
    policy = SampledPolicy(workers)
    source = stream()
    policy.chain_for(source, NO_CODECS)
    learned(policy, workers, source, TOKENS, np.dtype("<u8"))
    chain = policy.chain_for(source, CODECS)
    assert chain != PLAIN
    assert chain.names <= CODECS.codecs
    assert policy.chain_for(source, NO_CODECS) == PLAIN
    assert policy.chain_for(stream(2), CODECS) == PLAIN


def test_it_leaves_noise_alone() -> None:
    workers = StepWorkers()
    policy = SampledPolicy(workers)
    learned(policy, workers, stream(), NOISE, BYTE)
    assert policy.chain_for(stream(), CODECS) == PLAIN


def test_it_looks_again_after_a_while() -> None:
    workers = StepWorkers()
    policy = SampledPolicy(workers)
    source = stream()
    learned(policy, workers, source, TOKENS, np.dtype("<u8"))
    for _ in range(FIRST_RESAMPLE_MESSAGES):
        show(policy, source, Sample(NOISE, BYTE))
        assert not len(workers)
    show(policy, source, Sample(NOISE, BYTE))
    workers.step()
    assert policy.chain_for(source, CODECS) == PLAIN


def test_it_looks_less_often_while_nothing_changes() -> None:
    workers = StepWorkers()
    policy = SampledPolicy(workers)
    source = stream()
    policy.chain_for(source, CODECS)
    samples = 0
    for _ in range(20 * FIRST_RESAMPLE_MESSAGES):
        show(policy, source, Sample(NOISE, BYTE))
        if len(workers):
            samples += 1
            workers.step()
    assert 2 <= samples <= 6


def test_a_sample_that_fails_changes_nothing() -> None:
    workers = StepWorkers()
    policy = SampledPolicy(workers)
    source = stream()
    learned(policy, workers, source, TOKENS, np.dtype("<u8"))
    chain = policy.chain_for(source, CODECS)
    policy._choices[source.id].countdown = 0
    show(policy, source, Sample(None, np.dtype("<u8")))  # type: ignore[arg-type]
    workers.step()
    assert policy.chain_for(source, CODECS) == chain


def changed(payload: bytes) -> bytes:
    """The same with a few bytes changed."""
    return payload[:1000] + b"changed" + payload[1007:]


def test_it_makes_deltas_of_what_changes_little_for_those_who_can_undo_them() -> None:
    workers = StepWorkers()
    policy = SampledPolicy(workers)
    source = stream()
    policy.chain_for(source, CODECS)
    policy.chain_for(source, DELTAS)
    show(policy, source, Sample(NOISE, np.dtype("<u8"), base=lambda: changed(NOISE)))
    workers.step()
    assert policy.delta_for(source, CODECS) == PLAIN
    assert policy.delta_for(source, DELTAS).delta == "xor"
    assert policy.chain_for(source, DELTAS) == PLAIN


def test_it_compares_with_the_version_before_as_soon_as_there_is_one() -> None:
    workers = StepWorkers()
    policy = SampledPolicy(workers)
    source = stream()
    learned(policy, workers, source, TOKENS, np.dtype("<u8"))
    assert policy.delta_for(source, CODECS) == PLAIN
    policy.chain_for(source, DELTAS)
    show(policy, source, Sample(TOKENS, np.dtype("<u8"), integers=True, base=lambda: changed(TOKENS)))
    workers.step()
    assert policy.delta_for(source, DELTAS).delta == "diff64"


def test_without_a_version_before_it_keeps_what_it_knows_of_deltas() -> None:
    workers = StepWorkers()
    policy = SampledPolicy(workers)
    source = stream()
    policy.chain_for(source, DELTAS)
    show(policy, source, Sample(NOISE, np.dtype("<u8"), base=lambda: changed(NOISE)))
    workers.step()
    policy.chain_for(source, CODECS)  # somebody else comes: it looks again
    show(policy, source, Sample(NOISE, np.dtype("<u8")))
    workers.step()
    assert policy.delta_for(source, DELTAS).delta == "xor"


def test_an_encoded_sample_is_decoded_and_a_broken_one_skipped() -> None:
    workers = StepWorkers()
    policy = SampledPolicy(workers)
    source = stream()
    policy.chain_for(source, DELTAS)
    encoded = encode(Chain(codec="lz4"), TOKENS, np.dtype("<u8"))
    assert encoded is not None
    encoding, data = encoded
    show(policy, source, Sample(data, np.dtype("<u8"), encoding, integers=True, base=lambda: TOKENS))
    workers.step()
    chosen = policy.delta_for(source, DELTAS)
    assert chosen.delta == "diff64"
    policy.chain_for(source, CODECS)
    show(policy, source, Sample(data[:-9], np.dtype("<u8"), encoding, integers=True, base=lambda: TOKENS))
    workers.step()
    assert policy.delta_for(source, DELTAS) == chosen


def test_a_payload_that_declares_much_is_not_decoded() -> None:
    workers = StepWorkers()
    policy = SampledPolicy(workers)
    source = stream()
    policy.chain_for(source, CODECS)
    for payload_bytes, works in ((MAX_SAMPLE_BYTES + 1, 0), (MAX_SAMPLE_BYTES, 1)):
        encoded = encode(Chain(codec="zstd"), bytes(payload_bytes), BYTE)
        assert encoded is not None
        policy.observe(source, Sample(encoded[1], BYTE, encoded[0]))
        assert len(workers) == works
    workers.step()
    assert policy.chain_for(source, CODECS) != PLAIN


def test_what_is_forgotten_is_as_if_it_had_never_been() -> None:
    workers = StepWorkers()
    policy = SampledPolicy(workers)
    source = stream()
    policy.forget(source)  # which it does not know
    learned(policy, workers, source, TOKENS, np.dtype("<u8"))
    policy.forget(source)
    assert not policy.wants_sample(source, based=False)
    assert policy.chain_for(source, CODECS) == PLAIN


def test_who_gets_everything_as_it_came_may_still_get_deltas() -> None:
    """Of what is published encoded nobody asks for a chain."""
    workers = StepWorkers()
    policy = SampledPolicy(workers)
    source = stream()
    assert policy.delta_for(source, DELTAS) == PLAIN
    show(policy, source, Sample(NOISE, np.dtype("<u8"), base=lambda: changed(NOISE)))
    workers.step()
    assert policy.delta_for(source, DELTAS) != PLAIN


def futile(chain: Chain) -> EncodingOutcome:
    return EncodingOutcome(chain, 400_000, 400_000, 0.01)


def compressing(workers: StepWorkers) -> tuple[SampledPolicy, Stream, Chain]:
    """A policy that encodes a stream."""
    policy, source = SampledPolicy(workers), stream()
    learned(policy, workers, source, TOKENS, np.dtype("<u8"))
    return policy, source, policy.chain_for(source, CODECS)


def test_a_chain_that_makes_messages_no_smaller_is_dropped_before_the_next_sample() -> None:
    workers = StepWorkers()
    policy, source, chain = compressing(workers)
    for _ in range(8):
        policy.report(source, futile(chain))
        assert policy.chain_for(source, CODECS) == chain
    policy.report(source, futile(chain))
    assert policy.chain_for(source, CODECS) == PLAIN


def test_a_chain_that_was_dropped_is_tried_again_after_the_next_sample() -> None:
    workers = StepWorkers()
    policy, source, chain = compressing(workers)
    choice = policy._choices[source.id]
    choice.countdown = choice.interval = LAST_RESAMPLE_MESSAGES
    for _ in range(20):
        policy.report(source, futile(chain))
    for _ in range(FIRST_RESAMPLE_MESSAGES):
        show(policy, source, Sample(TOKENS, np.dtype("<u8")))
        assert not len(workers)
    show(policy, source, Sample(TOKENS, np.dtype("<u8")))
    workers.step()
    assert policy.chain_for(source, CODECS) == chain
    policy.report(source, futile(chain))
    assert policy.chain_for(source, CODECS) == chain, "the average starts anew with the sample"


def test_now_and_then_a_message_may_not_compress() -> None:
    workers = StepWorkers()
    policy, source, chain = compressing(workers)
    for number in range(1000):
        policy.report(source, futile(chain) if number % 2 else EncodingOutcome(chain, 400_000, 200_000, 0.01))
    assert policy.chain_for(source, CODECS) == chain


def test_deltas_are_dropped_by_themselves() -> None:
    workers = StepWorkers()
    policy, source = SampledPolicy(workers), stream()
    policy.chain_for(source, DELTAS)
    show(policy, source, Sample(TOKENS, np.dtype("<u8"), integers=True, base=lambda: changed(TOKENS)))
    workers.step()
    chain, delta = policy.chain_for(source, DELTAS), policy.delta_for(source, DELTAS)
    for _ in range(20):
        policy.report(source, futile(delta))
    assert policy.delta_for(source, DELTAS) == PLAIN
    assert policy.chain_for(source, DELTAS) == chain != PLAIN


def test_the_outcome_of_a_stream_that_is_forgotten_is_of_no_use() -> None:
    workers = StepWorkers()
    policy, source, chain = compressing(workers)
    policy.forget(source)
    policy.report(source, futile(chain))
    assert policy.chain_for(source, CODECS) == PLAIN


def test_streams_whose_chains_have_changed_are_told_once() -> None:
    workers = StepWorkers()
    policy = SampledPolicy(workers)
    source = stream()
    learned(policy, workers, source, TOKENS, np.dtype("<u8"))
    assert list(policy.take_changed()) == [source]
    learned(policy, workers, source, TOKENS, np.dtype("<u8"))
    assert not policy.take_changed()
    other = stream(2)
    learned(policy, workers, other, TOKENS, np.dtype("<u8"))
    policy.forget(other)
    assert not policy.take_changed()


def test_it_tells_the_chains_in_use_and_changes_nothing() -> None:
    workers = StepWorkers()
    policy, source, chain = compressing(workers)
    assert policy.in_use(source, CODECS) == {chain: None}
    policy.report(source, EncodingOutcome(chain, 400_000, 280_000, 0.01))
    assert policy.in_use(source, CODECS) == {chain: pytest.approx(0.7)}
    assert policy.in_use(source, NO_CODECS) == policy.in_use(stream(2), CODECS) == {}
    assert not policy.wants_sample(stream(2), based=False), "it knows nothing of it"
