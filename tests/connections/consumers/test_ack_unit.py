"""How runs become units."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.connections.consumers.ack_unit import OVERHEAD_BYTES, units_of
from gateway.connections.fanout.recode import frame_of
from gateway.protocol.data import write_data
from gateway.protocol.encoding import Chain
from gateway.protocol.extensions import Extensions, Identity
from gateway.protocol.messages import Kind
from gateway.protocol.meta import write_meta
from gateway.protocol.tensors import TensorSpec
from gateway.protocol.transfers import ChunkPlan
from gateway.protocol.wire import Buffer, Opcode
from gateway.streams.large import LargeMessage, StoredChunk
from gateway.streams.run import Run
from gateway.streams.stream import Stream
from tests.connections.frames import BYTE, START_NS, encoded
from tests.connections.memory import World

STREAM: Stream = World().core.hub.open("wf/tasks", Kind.COLLABORATION)[0]  # type: ignore[arg-type]


def frame(
    payload: bytes, *, count: int | None = None, headers: dict[str, object] | None = None, **fields: object
) -> list[Buffer]:
    record_bytes = len(payload) // (count or 1)
    return write_data(
        Opcode.MESSAGE if count is None else Opcode.BATCH,
        stream=STREAM.id,
        publisher=9,
        offset=0,
        timestamp_ns=START_NS,
        meta=write_meta([TensorSpec("", BYTE, (record_bytes,))], headers),
        count=count,
        payload=(payload,),
        **fields,  # type: ignore[arg-type]
    )


def run_of(*frames: list[Buffer], counts: tuple[int, ...] | None = None, first: int = 100) -> Run:
    parts = [b"".join(each) for each in frames]
    counts = counts or (1,) * len(parts)
    data = b"".join(parts)
    last_at = len(data) - len(parts[-1])
    return Run(STREAM, first, sum(counts), (data,), len(data), last_at, counts[-1])


@given(st.lists(st.binary(max_size=40), min_size=1, max_size=8))
def test_every_frame_is_a_unit_with_its_own_bytes(payloads: list[bytes]) -> None:
    units = units_of(run_of(*map(frame, payloads)))
    assert [(unit.first, unit.last, unit.nbytes) for unit in units] == [
        (100 + index, 100 + index, len(payload)) for index, payload in enumerate(payloads)
    ]
    for unit, payload in zip(units, payloads, strict=True):
        assert isinstance(unit.content, Run)
        assert bytes(frame_of(unit.content).payload) == payload
        assert unit.size == OVERHEAD_BYTES + unit.content.size
        assert unit.publisher == 9


def test_a_record_batch_is_one_unit() -> None:
    first, second = units_of(run_of(frame(b"abcdef", count=3), frame(b"xy"), counts=(3, 1)))
    assert (first.first, first.last, first.count, first.nbytes) == (100, 102, 3, 6)
    assert (second.first, second.count) == (103, 1)


def test_an_encoded_payload_counts_as_decoded() -> None:
    encoding, data = encoded(Chain(codec="lz4"), bytes(1000))
    meta = write_meta([TensorSpec("", BYTE, (1000,))], None)
    buffers = write_data(
        Opcode.MESSAGE, stream=1, offset=0, timestamp_ns=0, meta=meta, encoding=encoding, payload=(data,)
    )
    (unit,) = units_of(Run.of_frame(STREAM, 0, buffers))
    assert unit.nbytes == 1000


def test_a_deadline_is_kept_here_and_an_identity_goes_out() -> None:
    run = run_of(frame(b"later", extensions=Extensions(deadline_ns=77)))
    run.identity = Identity(5, 30)
    (unit,) = units_of(run)
    assert unit.deadline_ns == 77
    assert isinstance(unit.content, Run)
    parsed = frame_of(unit.content)
    assert (parsed.extensions, bytes(parsed.payload)) == (Extensions(identity=Identity(5, 30)), b"later")


def test_messages_of_a_run_have_identities_that_follow_one_another() -> None:
    run = run_of(frame(b"a"), frame(b"b"))
    run.identity = Identity(5, 30)
    found = [frame_of(unit.content).extensions for unit in units_of(run) if isinstance(unit.content, Run)]
    assert found == [Extensions(identity=Identity(5, 30)), Extensions(identity=Identity(5, 31))]


def test_a_large_message_is_one_unit() -> None:
    message = LargeMessage(STREAM, Opcode.MESSAGE, 9, START_NS, 0, b"", ChunkPlan(1, 4096, 5000))
    message.chunks = [StoredChunk(None, bytes(4096)), StoredChunk(None, bytes(904))]
    message.offset, message.deadline_ns = 7, 70
    [unit] = units_of(message)
    assert (unit.first, unit.last, unit.nbytes, unit.deadline_ns) == (7, 7, 5000, 70)
    assert unit.size == OVERHEAD_BYTES + 5000
