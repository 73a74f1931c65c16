"""Recorder: one record a stream, delivery class and interval, with what was chosen and how it did."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from gateway.optimizer.history import recorder as module
from gateway.optimizer.history.record import AS_PUBLISHED, UNKNOWN_FEATURES
from gateway.optimizer.history.recorder import (
    FEATURES_S,
    MAX_COMPUTING,
    MAX_FEATURES,
    MAX_OPEN,
)
from gateway.protocol.encoding import PLAIN, Chain
from gateway.protocol.messages import Kind
from gateway.protocol.views import View
from tests.connections.memory import EVERY_CODEC, FixedPolicy, TextPeer
from tests.connections.text_messages import HELLO
from tests.optimizer.history.recorded_world import INTERVAL_S, RecordedWorld

LZ4 = Chain(codec="lz4")
ZSTD = Chain(codec="zstd")
XOR = Chain(codec="zstd", delta="xor", distance=1)
TOKENS = np.arange(8192, dtype=np.int64)
NOISE = np.random.default_rng(1).standard_normal(8192)


def test_a_decision_and_its_outcome_are_recorded() -> None:
    world = RecordedWorld(FixedPolicy(LZ4))
    publisher = world.publisher("wf/ids", codecs=())
    for number in range(3):
        world.subscriber("wf/ids", f"knowing-{number}", EVERY_CODEC)
    for _ in range(4):
        publisher.publish_array(0, TOKENS.reshape(64, 128))
        world.settle()
        world.clock.advance(0.25)
    (found,) = world.records()
    assert (found.stream, found.view, found.format, found.chain) == ("wf/ids", "", "frys.v1", "lz4")
    assert found.codecs == tuple(sorted(EVERY_CODEC))
    assert (found.dtype, found.shape, found.tensors) == ("int64", (64, 128), 1)
    assert (found.payload_bytes, found.published_bytes, found.published_encoding) == (TOKENS.nbytes, TOKENS.nbytes, "")
    assert found.ratio is not None
    assert 0 < found.ratio < 0.9
    assert found.encode_s is not None
    assert (found.receivers, found.client) == (3, "agent")
    assert found.messages in (3, 4)
    assert found.arrival_interval_s == pytest.approx(1.0 / found.messages, rel=0.01)
    assert found.features.zero_share == pytest.approx(1 / 512, rel=0.1)
    assert len(found.features.plane_entropy_bits) == 8
    assert found.time_ns == pytest.approx(world.clock.now_ns, abs=1000)


def test_figures_that_are_not_known_are_stated_as_such() -> None:
    world = RecordedWorld(FixedPolicy(LZ4))
    publisher = world.publisher("wf/ids", codecs=())
    world.subscriber("wf/ids", codecs=EVERY_CODEC)
    publisher.publish_array(0, np.tile(TOKENS, 2))
    (found,) = world.records()  # before the threads have done anything
    assert (found.published_bytes, found.sent_bytes, found.encode_s, found.ratio) == (None, None, None, None)
    assert found.features == UNKNOWN_FEATURES
    assert (found.goodput_bytes_per_s, found.queue_delay_s, found.decode_s_per_byte) == (None, None, None)


def test_what_goes_out_plain_is_a_decision_too() -> None:
    world = RecordedWorld()
    publisher = world.publisher("wf/noise", codecs=())
    world.subscriber("wf/noise", codecs=EVERY_CODEC)
    publisher.publish_array(0, NOISE)
    world.settle()
    (found,) = world.records()
    assert (found.chain, found.published_bytes, found.sent_bytes, found.encode_s) == ("none", 65536, 65536, 0.0)


def test_a_stream_is_recorded_once_an_interval_however_many_messages_it_has() -> None:
    world = RecordedWorld()
    publisher = world.publisher("wf/noise", codecs=())
    world.subscriber("wf/noise", codecs=EVERY_CODEC)
    found = []
    for _ in range(4):
        for _ in range(10):
            publisher.publish_array(0, NOISE)
            world.settle()
            world.clock.advance(INTERVAL_S / 10)
        found += world.records(INTERVAL_S / 2)
    assert len(found) == 4
    assert sum(each.messages for each in found) in range(36, 41)


def test_a_record_that_has_just_been_opened_waits_for_the_next_sweep() -> None:
    world = RecordedWorld()
    publisher = world.publisher("wf/noise", codecs=())
    world.subscriber("wf/noise", codecs=EVERY_CODEC)
    publisher.publish_array(0, NOISE)
    world.settle()
    assert world.records(0.5) == []
    world.clock.advance(0.6)
    assert len(world.records(0.5)) == 1
    assert world.records(0.0) == []


def test_each_delivery_class_has_a_record() -> None:
    world = RecordedWorld(FixedPolicy(LZ4))
    publisher = world.publisher("wf/ids", codecs=())
    world.subscriber("wf/ids", "knowing", EVERY_CODEC)
    world.subscriber("wf/ids", "plain", ())
    publisher.publish_array(0, TOKENS)
    world.settle()
    assert [(each.chain, each.codecs != ()) for each in world.records()] == [("lz4", True), ("none", False)]


@pytest.mark.parametrize("kind", [Kind.EVENT, Kind.STATE])
@pytest.mark.parametrize("chain", [PLAIN, ZSTD])
def test_small_messages_are_no_decision(kind: Kind, chain: Chain) -> None:
    world = RecordedWorld(FixedPolicy(LZ4))
    publisher = world.publisher("wf/small", kind=kind, codecs=EVERY_CODEC)
    world.subscriber("wf/small", codecs=EVERY_CODEC)
    publisher.publish(0, bytes(16383), chain=chain)
    assert world.records() == []
    publisher.publish(0, bytes(16384), chain=chain)
    assert len(world.records()) == 1


def test_deltas_of_a_state_and_their_features_are_recorded() -> None:
    world = RecordedWorld(FixedPolicy(delta=XOR))
    publisher = world.publisher("wf/state", kind=Kind.STATE, codecs=())
    world.subscriber("wf/state", codecs=EVERY_CODEC)
    state = NOISE.copy()
    for number in range(3):
        state[number] = 0
        publisher.publish_array(0, state)
        world.settle()
        world.clock.advance(FEATURES_S)
        found = world.records()
    (last,) = found
    assert last.chain == "xor:1+zstd"
    assert last.ratio is not None
    assert last.ratio < 0.1
    assert last.features.unchanged_share == pytest.approx(1.0, abs=0.01)
    assert last.features.repeated_share == pytest.approx(15 / 16)


def test_a_complete_state_that_was_encoded_beside_a_delta_has_a_record_as_well() -> None:
    world = RecordedWorld(FixedPolicy(LZ4, delta=XOR))
    publisher = world.publisher("wf/state", kind=Kind.STATE, codecs=())
    world.subscriber("wf/state", codecs=EVERY_CODEC)
    publisher.publish_array(0, TOKENS)
    world.settle()
    world.subscriber("wf/state", "late", EVERY_CODEC)
    publisher.publish_array(0, TOKENS + 1)
    world.settle()
    assert [(each.chain, each.ratio is not None) for each in world.records()] == [("xor:1+zstd", True), ("lz4", True)]


def test_receivers_of_text_have_no_record() -> None:
    world = RecordedWorld(FixedPolicy(LZ4))
    publisher = world.publisher("wf/ids", codecs=())
    reader = TextPeer(world)
    reader.send(HELLO)
    reader.send('{"id":1,"message_type":"subscribe","payload":{"pattern":"wf/ids"}}')
    publisher.publish_array(0, TOKENS)
    world.settle()
    assert any(b"wf/ids" in text for text in reader.texts())
    assert world.records() == []


def test_a_stream_that_ends_while_records_are_closed_has_none() -> None:
    world = RecordedWorld()
    publisher = world.publisher("wf/a", "wf/b", codecs=())
    for alias in range(2):
        world.subscriber(f"wf/{'ab'[alias]}", codecs=EVERY_CODEC)
        publisher.publish_array(alias, NOISE)
    world.settle()
    closing = world.recorder.close_records(world.fanout_of)
    next(closing)
    (opened,) = world.recorder._open.values()
    world.recorder.forget(opened.stream)
    assert list(closing) == []
    assert len(world.packed) == 1


def test_a_payload_that_its_publisher_has_encoded_is_recorded_as_published() -> None:
    world = RecordedWorld()
    publisher = world.publisher("wf/a", codecs=EVERY_CODEC)
    world.subscriber("wf/a", "knowing", EVERY_CODEC)
    world.subscriber("wf/a", "plain", ())
    payload = TOKENS.tobytes()
    publisher.publish(0, payload, chain=ZSTD)
    world.settle()
    as_published, decoded = world.records()
    assert (as_published.chain, as_published.published_encoding) == (AS_PUBLISHED, "zstd")
    assert as_published.sent_bytes == as_published.published_bytes
    assert as_published.sent_bytes is not None
    assert as_published.sent_bytes < as_published.payload_bytes == len(payload)
    assert (decoded.chain, decoded.sent_bytes) == ("none", None)
    assert len(as_published.features.plane_entropy_bits) == 1


def test_a_payload_that_is_encoded_anew_is_recorded_with_both_encodings() -> None:
    policy = FixedPolicy()
    policy.anew = ZSTD
    world = RecordedWorld(policy)
    publisher = world.publisher("wf/a", codecs=EVERY_CODEC)
    world.subscriber("wf/a", "knowing", EVERY_CODEC)
    world.subscriber("wf/a", "fast", ("lz4",))
    publisher.publish(0, TOKENS.tobytes(), chain=LZ4)
    world.settle()
    anew, as_published = world.records()
    assert (anew.chain, anew.published_encoding) == (str(ZSTD), "lz4")
    assert anew.sent_bytes is not None
    assert anew.published_bytes is not None
    assert anew.sent_bytes < anew.published_bytes < anew.payload_bytes
    assert (as_published.chain, as_published.published_encoding) == (AS_PUBLISHED, "lz4")


def test_large_messages_are_recorded() -> None:
    world = RecordedWorld(FixedPolicy(LZ4))
    publisher = world.publisher("wf/large", codecs=())
    world.subscriber("wf/large", codecs=EVERY_CODEC)
    publisher.large(0, bytes(100_000)).end()
    world.settle()
    (found,) = world.records()
    assert (found.chain, found.payload_bytes, found.published_bytes) == ("lz4", 100_000, 100_000)
    assert (found.shape, found.features.zero_share) == ((100_000,), 1.0)


def test_a_view_is_recorded_as_such() -> None:
    world = RecordedWorld(FixedPolicy(LZ4))
    publisher = world.publisher("wf/state", kind=Kind.STATE, codecs=())
    viewer = world.peer("viewer", EVERY_CODEC)
    viewer.subscribe("wf/state", view=View(dtype="float32"))
    publisher.publish_array(0, NOISE)
    world.settle()
    (found,) = [each for each in world.records() if each.view]
    assert (found.stream, found.dtype, found.chain) == ("wf/state", "float32", "lz4")
    assert "float32" in found.view


def test_a_stream_that_ends_is_forgotten() -> None:
    world = RecordedWorld()
    publisher = world.publisher("wf/noise", codecs=())
    world.subscriber("wf/noise", codecs=EVERY_CODEC)
    publisher.publish_array(0, NOISE)
    world.settle()
    (opened,) = world.recorder._open.values()
    world.recorder.forget(opened.stream)
    assert world.records() == []
    assert not world.recorder._features


def test_so_many_records_are_open_and_further_streams_are_counted() -> None:
    world = RecordedWorld()
    names = [f"wf/{number}" for number in range(MAX_OPEN + 5)]
    for begin in range(0, len(names), 64):
        publisher = world.publisher(*names[begin : begin + 64], codecs=())
        for alias in range(len(names[begin : begin + 64])):
            publisher.publish_array(alias, NOISE[:2048])
    assert len(world.recorder._open) == MAX_OPEN
    assert world.recorder.unsampled_messages == 5


def test_the_features_of_so_many_streams_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    assert MAX_FEATURES > MAX_OPEN
    monkeypatch.setattr("gateway.optimizer.history.recorder.MAX_FEATURES", 3)
    world = RecordedWorld()
    publisher = world.publisher(*[f"wf/{number}" for number in range(5)], codecs=())
    for alias in range(5):
        publisher.publish_array(alias, NOISE)
        world.settle()
    assert len(world.recorder._features) == 3


def test_features_are_computed_again_when_they_are_old_or_the_shape_is_another() -> None:
    world = RecordedWorld(FixedPolicy())
    publisher = world.publisher("wf/a", codecs=())
    world.subscriber("wf/a", codecs=EVERY_CODEC)
    works = []
    for array, pause_s in ((NOISE, FEATURES_S / 2), (NOISE, FEATURES_S), (NOISE, FEATURES_S / 2), (TOKENS, 1.0)):
        publisher.publish_array(0, array)
        works.append(len(world.workers))
        world.settle()
        world.clock.advance(pause_s)
        world.records()
    assert works == [1, 0, 1, 1]


def test_so_many_payloads_wait_for_their_features_and_the_others_are_let_go() -> None:
    world = RecordedWorld(FixedPolicy())
    names = [f"wf/{number}" for number in range(MAX_COMPUTING + 5)]
    publisher = world.publisher(*names, codecs=())
    for _ in range(3):
        for alias in range(len(names)):
            publisher.publish_array(alias, NOISE)
        world.clock.advance(FEATURES_S)
        world.records()
    assert len(world.workers) == MAX_COMPUTING
    world.settle()
    publisher.publish_array(len(names) - 1, NOISE)
    world.settle()
    assert world.recorder._features[max(world.recorder._features)].features != UNKNOWN_FEATURES


@pytest.mark.parametrize(("payload_bytes", "known"), [(100_000, True), (100_001, False)])
def test_an_encoded_payload_is_not_decoded_for_its_features_if_that_is_large(
    monkeypatch: pytest.MonkeyPatch, payload_bytes: int, known: bool
) -> None:
    monkeypatch.setattr("gateway.connections.ports.MAX_SAMPLE_BYTES", 100_000)
    world = RecordedWorld()
    publisher = world.publisher("wf/a", codecs=EVERY_CODEC)
    world.subscriber("wf/a", codecs=EVERY_CODEC)
    publisher.publish(0, bytes(payload_bytes), chain=ZSTD)
    assert len(world.workers) == known
    world.settle()
    (found,) = world.records()
    assert found.payload_bytes == payload_bytes
    assert (found.features.zero_share == 1.0) == known


def test_features_that_cannot_be_computed_stay_unknown(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*arguments: object) -> None:
        raise ZeroDivisionError("no element")

    monkeypatch.setattr("gateway.optimizer.history.recorder.features_of", fail)
    world = RecordedWorld()
    publisher = world.publisher("wf/a", codecs=())
    world.subscriber("wf/a", codecs=EVERY_CODEC)
    publisher.publish_array(0, NOISE)
    with caplog.at_level(logging.ERROR):
        world.settle()
    assert "features of wf/a cannot be computed" in caplog.text
    (found,) = world.records()
    assert found.features == UNKNOWN_FEATURES


def test_features_of_many_streams_are_computed_less_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.optimizer.history.recorder.MOST_FEATURES_PER_S", 1 / FEATURES_S)
    world = RecordedWorld(FixedPolicy())
    publisher = world.publisher("wf/a", "wf/b", "wf/c", codecs=())
    works = []
    for _ in range(4):
        for alias in range(3):
            publisher.publish_array(alias, NOISE)
        works.append(len(world.workers))
        world.settle()
        world.clock.advance(FEATURES_S)
        world.records()
    assert works == [3, 0, 0, 3]


def test_messages_are_counted_while_a_record_is_open_for_their_burstiness() -> None:
    world = RecordedWorld(FixedPolicy(LZ4))
    steady, bursty = world.publisher("wf/steady", codecs=()), world.publisher("wf/bursty", "bursty", codecs=())
    world.subscriber("wf/*", codecs=EVERY_CODEC)
    found = []
    for number in range(80):
        steady.publish_array(0, TOKENS)
        for _ in range(8 if number % 8 == 7 else 0):
            bursty.publish_array(0, TOKENS)
        world.settle()
        world.clock.advance(INTERVAL_S / 20)
        world.recorder.count_messages()
        if number % 20 == 19:
            found += world.records()
    by = {record.stream: record.burstiness for record in found}
    assert by["wf/steady"] is not None
    assert by["wf/bursty"] is not None
    assert by["wf/steady"] < 0.1 < 3 < by["wf/bursty"]


def test_of_very_many_open_records_the_oldest_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_COUNTED", 1)
    world = RecordedWorld(FixedPolicy(LZ4))
    publisher = world.publisher("wf/0", codecs=())
    publisher.open(1, "wf/1")
    world.subscriber("wf/*", codecs=EVERY_CODEC)
    for _ in range(20):
        publisher.publish_array(0, TOKENS)
        publisher.publish_array(1, TOKENS)
        world.settle()
        world.recorder.count_messages()
    assert [record.burstiness is None for record in world.records()] == [False, True]
