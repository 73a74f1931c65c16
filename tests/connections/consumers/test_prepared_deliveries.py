"""What is made of messages for receivers that cannot have them as they came."""

from __future__ import annotations

import logging

import pytest

from gateway.connections.consumers import prepared_deliveries
from gateway.connections.consumers.ack_unit import AckUnit, units_of
from gateway.connections.consumers.prepared_deliveries import KeptForms, PreparedDeliveries
from gateway.connections.fanout.recode import THREAD_BYTES, frame_of
from gateway.connections.outbound.backfill import LargeForm
from gateway.connections.outbound.connection import Connection
from gateway.errors import Code
from gateway.ids import Epoch, StreamId, StreamName
from gateway.protocol.encoding import PLAIN, Chain
from gateway.protocol.messages import Kind
from gateway.protocol.signals import Gap
from gateway.streams.large import LargeMessage, StoredChunk
from gateway.streams.run import Run
from gateway.streams.stream import Stream
from tests.connections.frames import CHUNK_BYTES, encoded, message_frame
from tests.connections.memory import EVERY_CODEC, StepWorkers, World
from tests.connections.text_messages import person
from tests.streams.frames import large_of

STREAM = Stream(StreamId(1), StreamName("wf/tasks"), Kind.COLLABORATION, Epoch(1))
LZ4 = Chain(codec="lz4")


def unit_of(content: Run | LargeMessage) -> AckUnit:
    (unit,) = units_of(content)
    return unit


def small(payload: bytes, chain: Chain = PLAIN) -> AckUnit:
    frame = b"".join(message_frame(1, 0, payload, chain=chain))
    return unit_of(Run.of_frame(STREAM, 0, (frame,)))


def large(chain: Chain = PLAIN) -> AckUnit:
    message = large_of(0, 2 * CHUNK_BYTES, STREAM)
    message.chunks[:] = [StoredChunk(*encoded(chain, bytes(CHUNK_BYTES))) for _ in range(2)]
    return unit_of(message)


class Bench:
    """A stream's forms, made when the test says so, and receivers of every sort."""

    def __init__(self) -> None:
        world = World()
        self.workers = StepWorkers()
        self.made = 0
        self.forms = PreparedDeliveries(STREAM, self.workers, KeptForms(), self._count)
        self.plain: Connection = world.peer("plain").session.connection
        self.knowing: Connection = world.peer("knowing", EVERY_CODEC).session.connection
        self.text: Connection = person(world).session.connection

    def _count(self) -> None:
        self.made += 1


@pytest.mark.parametrize("unit", [small(b"a"), small(bytes(1000), LZ4), large(), large(LZ4)])
def test_who_can_take_it_gets_what_came(unit: AckUnit) -> None:
    bench = Bench()
    form = bench.forms.of(unit, bench.knowing)
    assert (form.message if isinstance(form, LargeForm) else form) is unit.content
    assert not bench.workers


@pytest.mark.parametrize("unit", [small(bytes(1000), LZ4), large(LZ4)])
def test_what_is_decoded_is_decoded_once_for_all(unit: AckUnit) -> None:
    bench = Bench()
    assert bench.forms.of(unit, bench.plain) is None
    assert bench.forms.of(unit, bench.plain) is None
    assert (len(bench.workers), bench.forms.idle, bench.made) == (1, False, 0)
    bench.workers.step()
    assert (bench.forms.idle, bench.made) == (True, 1)
    form = bench.forms.of(unit, bench.plain)
    assert form is bench.forms.of(unit, bench.plain)
    if isinstance(form, LargeForm):
        assert [(chunk.encoding, bytes(chunk.data)) for chunk in form.form] == [(None, bytes(CHUNK_BYTES))] * 2
    else:
        assert isinstance(form, Run)
        assert frame_of(form).encoding is None
        assert bytes(frame_of(form).payload) == bytes(1000)


@pytest.mark.parametrize(
    ("unit", "in_thread"), [(small(b"a"), False), (small(bytes(THREAD_BYTES)), True), (large(), True)]
)
def test_text_of_much_is_made_in_a_thread(unit: AckUnit, in_thread: bool) -> None:
    bench = Bench()
    form = bench.forms.of(unit, bench.text)
    assert len(bench.workers) == int(in_thread)
    if in_thread:
        assert form is None
        bench.workers.step()
        form = bench.forms.of(unit, bench.text)
    assert isinstance(form, Run)


@pytest.mark.parametrize("unit", [small(bytes(5000)), large()])
def test_what_is_larger_than_a_receiver_takes_is_a_gap(unit: AckUnit) -> None:
    bench = Bench()
    bench.plain.max_message_bytes = 4000
    assert bench.forms.of(unit, bench.plain) == Gap(STREAM.id, Code.MESSAGE_TOO_BIG, 0, 0)


def test_what_cannot_be_decoded_is_a_gap_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    bench, unit = Bench(), large(LZ4)
    assert isinstance(unit.content, LargeMessage)
    unit.content.chunks[1] = unit.content.chunks[1]._replace(data=b"\xff" * 30)
    bench.forms.of(unit, bench.plain)
    with caplog.at_level(logging.WARNING):
        bench.workers.step()
    assert bench.forms.of(unit, bench.plain) == Gap(STREAM.id, Code.CORRUPT_PAYLOAD, 0, 0)
    assert "message 0 of wf/tasks cannot be decoded" in caplog.text


def test_what_nobody_needs_any_more_is_forgotten() -> None:
    bench, unit, other = Bench(), small(bytes(1000), LZ4), small(bytes(2000), LZ4)
    for wanted in (unit, other):
        bench.forms.of(wanted, bench.plain)
    bench.forms.forget(unit)
    for _ in range(2):
        bench.workers.step()
    assert (bench.made, bench.forms.idle) == (1, True)
    assert bench.forms.of(other, bench.plain) is not None
    assert bench.forms.of(unit, bench.plain) is None


def test_what_was_delivered_is_kept_for_others_within_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prepared_deliveries, "KEPT_BYTES", 5 * CHUNK_BYTES)
    bench = Bench()
    units = [large(LZ4) for _ in range(4)]
    for unit in units:
        assert bench.forms.of(unit, bench.plain) is None
        bench.workers.step()
    # However much is made: nobody would ever get what is dropped before it was delivered.
    assert all(bench.forms.of(unit, bench.plain) is not None for unit in units)
    assert [bench.forms.of(unit, bench.plain) is not None for unit in reversed(units)] == [True, True, False, False]
    for _ in range(2):
        bench.workers.step()
    for unit in units:
        bench.forms.forget(unit)
    other = large(LZ4)
    bench.forms.of(other, bench.plain)
    bench.workers.step()
    assert bench.forms.of(other, bench.plain) is bench.forms.of(other, bench.plain)


def test_one_that_is_larger_than_the_bound_is_made_for_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prepared_deliveries, "KEPT_BYTES", CHUNK_BYTES)
    bench, unit = Bench(), large(LZ4)
    for _ in range(2):
        assert bench.forms.of(unit, bench.plain) is None
        bench.workers.step()
        assert bench.forms.of(unit, bench.plain) is not None
