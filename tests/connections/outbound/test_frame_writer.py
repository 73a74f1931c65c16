"""FrameWriter: what is written at once, what is booked, and when it says stop."""

from __future__ import annotations

from gateway.connections.outbound.bulk_window import FIRST_WINDOW_BYTES, PINGS_A_WINDOW
from gateway.connections.outbound.delivery_accounts import DeliveryAccounts, SubscribedStreams, SubscribeOptions
from gateway.connections.outbound.formats import BinaryFormat
from gateway.connections.outbound.frame_writer import DeliverySettings, FrameWriter
from gateway.errors import Code
from gateway.protocol.frames import iter_frames
from gateway.protocol.limits import Limits
from gateway.protocol.messages import Kind
from gateway.protocol.wire import SUBPROTOCOL_BINARY, Opcode
from gateway.streams.stream import Stream
from tests.connections.memory import ManualClock, counts_in
from tests.connections.outbound.test_outbox import large, run, stream
from tests.connections.transport import MemoryTransport

SUBSCRIPTION = 1


class Scene:
    """A writer on a memory transport, to a client that subscribes to one stream."""

    def __init__(self, *, answers_pings: bool = True, urgent_limit_bytes: int = 1000) -> None:
        self.transport = MemoryTransport()
        form = BinaryFormat(SUBPROTOCOL_BINARY, lambda size: b"", answers_pings=answers_pings)
        settings = DeliverySettings(urgent_limit_bytes=urgent_limit_bytes)
        self.writer = FrameWriter(
            self.transport, form, settings, ManualClock(), DeliveryAccounts(SubscribedStreams(Limits()))
        )
        self.stream: Stream = stream(1, Kind.EVENT)
        self.writer.accounts.open(self.stream, SUBSCRIPTION, SubscribeOptions(), 0)

    def is_reading(self) -> bool:
        """Whether the gateway reads from the client."""
        return self.transport.reading

    def takes_bulk(self) -> bool:
        """Whether the link takes another chunk."""
        return self.writer.bulk_open

    @property
    def booked(self) -> int:
        """Messages that the account of the subscription says were sent."""
        ((_, counts),) = counts_in(self.writer.accounts, SUBSCRIPTION).items()
        return counts.delivered

    @property
    def opcodes(self) -> list[int]:
        """Opcodes of the frames that were written."""
        return [frame.opcode for frame in iter_frames(memoryview(b"".join(self.transport.writes)))]


def test_runs_leave_in_one_write_and_are_booked() -> None:
    scene = Scene()
    runs = [run(scene.stream, 0), run(scene.stream, 1, count=2)]
    scene.writer.write_runs(runs)
    assert scene.transport.writes == [b"".join(buffer for one in runs for buffer in one.buffers)]
    assert scene.booked == 3


def test_a_large_message_is_booked_with_its_end() -> None:
    scene = Scene()
    message = large(scene.stream, transfer=7, chunks=2, offset=0)
    scene.writer.write_head(message)
    for index, chunk in enumerate(message.chunks):
        scene.writer.write_chunk(message, chunk, index)
    assert scene.booked == 0
    scene.writer.write_end(message)
    assert scene.booked == 1
    assert scene.opcodes == [Opcode.MESSAGE, Opcode.CHUNK, Opcode.CHUNK, Opcode.END]


def test_the_end_of_a_message_without_an_offset_is_not_booked() -> None:
    scene = Scene()
    scene.writer.write_end(large(scene.stream, transfer=7, chunks=1))
    assert scene.opcodes == [Opcode.END]
    assert scene.booked == 0


def test_bulk_is_followed_by_a_ping_a_quarter_of_the_window_and_stopped_at_all_of_it() -> None:
    scene = Scene()
    quarter = FIRST_WINDOW_BYTES // PINGS_A_WINDOW
    chunk = run(scene.stream, 0, size=quarter).buffers
    assert scene.takes_bulk()
    goes_on = [scene.writer.write_bulk(chunk, quarter) for _ in range(PINGS_A_WINDOW)]
    assert goes_on == [True] * (PINGS_A_WINDOW - 1) + [False]
    assert not scene.takes_bulk()
    pings = [data for data in scene.transport.writes if len(data) > quarter]
    assert len(pings) == PINGS_A_WINDOW


def test_a_format_that_answers_no_pings_has_no_window() -> None:
    scene = Scene(answers_pings=False)
    assert scene.writer.write_bulk((b"chunk",), 2 * FIRST_WINDOW_BYTES)
    assert scene.writer.bulk_window is None
    assert scene.transport.writes == [b"chunk"]


def test_urgent_bytes_are_bounded_only_while_the_transport_is_full() -> None:
    scene = Scene(urgent_limit_bytes=1000)
    scene.writer.send_urgent(bytes(5000))
    assert not scene.writer.closed
    scene.writer.paused = True
    scene.writer.send_urgent(bytes(250))
    assert scene.is_reading()
    scene.writer.send_urgent(bytes(1))
    assert not scene.is_reading()
    scene.writer.send_urgent(bytes(5000))
    # Whatever its size, one that finds room is taken.
    assert not scene.writer.closed
    scene.writer.send_urgent(bytes(1))
    assert scene.transport.closed is not None
    assert scene.transport.closed[0] == Code.SLOW_CONSUMER
    assert scene.is_reading()


def test_nothing_is_written_after_a_close() -> None:
    scene = Scene()
    scene.writer.close(Code.NORMAL, "done")
    scene.writer.close(Code.INTERNAL_ERROR, "again")
    scene.writer.write_runs([run(scene.stream, 0)])
    assert scene.transport.closed == (Code.NORMAL, "done")
    assert not scene.transport.late
    assert not scene.transport.writes
