"""Payload store: samples of the streams that may be stored, and of no others."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from gateway.optimizer.history.traffic_history import TrafficHistory
from gateway.optimizer.payloads import payload_store as module
from gateway.optimizer.payloads.payload_files import DIRECTORY, stored_payloads
from gateway.optimizer.payloads.payload_store import STORE_INTERVAL_S, PayloadStore
from gateway.optimizer.payloads.stored_payload import MAX_SAMPLE_BYTES, StoredPayload
from gateway.optimizer.settings import OptimizerSettings
from gateway.protocol.encoding import Chain
from gateway.protocol.messages import Kind
from gateway.protocol.views import View
from gateway.streams.rules import StreamConfig
from tests.connections.memory import EVERY_CODEC, FixedPolicy, ManualClock, StepWorkers, World

TOKENS = np.arange(8192, dtype=np.int64)
TIMEOUT_S = 30.0


class StoringWorld(World):
    """A world whose streams ``kept/*`` may be stored; their payloads open a record at once."""

    def __init__(self, directory: Path) -> None:
        clock, workers = ManualClock(), StepWorkers()
        settings = OptimizerSettings(history_dir=str(directory))
        self.directory = directory / DIRECTORY
        self.store = PayloadStore(directory, settings, clock, workers)
        self.history = TrafficHistory(directory, settings, FixedPolicy(), clock, workers, self.store)
        rules = [("kept/*", StreamConfig(store_payloads=True))]
        super().__init__(self.history.policy, clock=clock, workers=workers, rules=rules)
        self.history.begin(self.core)

    def close_records(self) -> None:
        for _ in self.history.close_records():
            pass

    def stored(self) -> list[StoredPayload]:
        """End, and return what is in files."""
        self.history.close(TIMEOUT_S)
        return list(stored_payloads(self.directory, 100))


@pytest.fixture
def world(tmp_path: Path) -> Iterator[StoringWorld]:
    storing = StoringWorld(tmp_path)
    yield storing
    storing.history.close(TIMEOUT_S)


def test_a_sample_is_stored_with_dtype_and_shape(world: StoringWorld) -> None:
    publisher = world.publisher("kept/ids", codecs=())
    world.subscriber("kept/ids", codecs=EVERY_CODEC)
    publisher.publish_array(0, TOKENS.reshape(64, 128))
    world.settle()
    (found,) = world.stored()
    described = found.description
    assert (described.stream, described.view, described.dtype, described.shape) == ("kept/ids", "", "int64", (64, 128))
    assert (described.element, described.payload_bytes) == ("int64", TOKENS.nbytes)
    assert described.time_ns == pytest.approx(world.clock.now_ns, abs=1000)
    assert found.sample == TOKENS.tobytes()
    assert found.base == b""
    stats = world.history.payload_stats()
    assert stats is not None
    assert (stats.taken, stats.written, stats.unwritten, stats.unreadable, stats.failure) == (1, 1, 0, 0, "")
    assert stats.held_bytes == sum(path.stat().st_size for path in world.directory.iterdir())


def test_other_streams_are_not_copied(world: StoringWorld) -> None:
    publisher = world.publisher("other/ids", codecs=())
    world.subscriber("other/ids", codecs=EVERY_CODEC)
    publisher.publish_array(0, TOKENS)
    world.settle()
    assert world.store.stats().taken == 0
    assert world.stored() == []


def test_of_a_state_the_version_before_is_stored_as_well_and_of_a_view_what_it_shows(world: StoringWorld) -> None:
    publisher = world.publisher("kept/state", kind=Kind.STATE, codecs=())
    world.subscriber("kept/state", codecs=EVERY_CODEC)
    world.peer("viewer", EVERY_CODEC).subscribe("kept/state", view=View(dtype="float32"))
    values = TOKENS.astype(np.float64)
    publisher.publish_array(0, values)
    world.settle()
    world.close_records()
    world.clock.advance(STORE_INTERVAL_S)
    publisher.publish_array(0, values + 1)
    world.settle()
    found = [each for each in world.stored() if each.base]
    by_view = {each.description.view != "": each for each in found}
    assert by_view[False].sample == (values + 1).tobytes()
    assert by_view[False].base == values.tobytes()
    assert by_view[True].description.element == "float32"
    assert by_view[True].sample == (values + 1).astype(np.float32).tobytes()


def test_one_payload_of_a_stream_is_stored_in_an_interval(world: StoringWorld) -> None:
    publisher = world.publisher("kept/ids", codecs=())
    world.subscriber("kept/ids", codecs=EVERY_CODEC)
    for number in range(8):
        publisher.publish_array(0, TOKENS + number)
        world.settle()
        world.close_records()
        world.clock.advance(STORE_INTERVAL_S / 4)
    assert [np.frombuffer(each.sample, np.int64)[0] for each in world.stored()] == [0, 4]


def test_payloads_that_were_published_encoded_are_stored_decoded(world: StoringWorld) -> None:
    publisher = world.publisher("kept/ids")
    world.subscriber("kept/ids", codecs=EVERY_CODEC)
    publisher.publish(0, TOKENS.tobytes(), chain=Chain(codec="lz4"))
    world.settle()
    (found,) = world.stored()
    assert found.sample == TOKENS.tobytes()


def test_a_long_payload_is_stored_in_pieces(world: StoringWorld) -> None:
    publisher = world.publisher("kept/ids", codecs=())
    world.subscriber("kept/ids", codecs=EVERY_CODEC)
    publisher.publish_array(0, np.arange(50_000, dtype=np.int64))
    world.settle()
    (found,) = world.stored()
    assert (len(found.sample), found.description.payload_bytes) == (MAX_SAMPLE_BYTES, 400_000)


def test_what_is_known_of_streams_is_bounded(world: StoringWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_STREAMS", 2)
    publisher = world.publisher("kept/0", codecs=())
    world.subscriber("kept/*", codecs=EVERY_CODEC)
    publisher.publish_array(0, TOKENS)
    for number in range(1, 4):
        publisher.open(number, f"kept/{number}")
        publisher.publish_array(number, TOKENS)
        world.settle()
    assert len(world.store._stored_s) == 2
    stream = next(each for each in world.core.streams if each.name == "kept/3")
    world.store.forgotten(stream)
    assert len(world.store._stored_s) == 1


def test_no_more_are_copied_at_once_than_may_be(world: StoringWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_COPYING", 1)
    publisher = world.publisher("kept/0", codecs=())
    publisher.open(1, "kept/1")
    world.subscriber("kept/*", codecs=EVERY_CODEC)
    publisher.publish_array(0, TOKENS)
    publisher.publish_array(1, TOKENS)
    world.settle()
    assert world.store.stats().taken == 1


def test_a_payload_that_cannot_be_stored_is_counted_and_logged(
    world: StoringWorld, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "copy_pieces", lambda payload, out: 1 / 0)
    publisher = world.publisher("kept/ids", codecs=())
    world.subscriber("kept/ids", codecs=EVERY_CODEC)
    publisher.publish_array(0, TOKENS)
    with caplog.at_level(logging.ERROR):
        world.settle()
    assert "a payload of kept/ids cannot be stored" in caplog.text
    assert (world.store.stats().unreadable, world.stored()) == (1, [])


def test_past_a_bound_the_oldest_payloads_are_dropped_and_counted(world: StoringWorld) -> None:
    count = module.PAYLOADS.max_waiting + 3
    publisher = world.publisher("kept/0", codecs=())
    world.subscriber("kept/*", codecs=EVERY_CODEC)
    for number in range(count):
        if number:
            publisher.open(number, f"kept/{number}")
        publisher.publish_array(number, TOKENS)
        world.settle()
    stats = world.store.stats()
    assert (stats.taken, stats.unwritten) == (count, 3)
    assert len(world.stored()) == count - 3
