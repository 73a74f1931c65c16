"""Invariant: whatever the buffers, ``websockets``' server reads their concatenation as one binary message."""

from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.server import ServerProtocol

from gateway.protocol.wire import Buffer
from gateway.websocket.masking import JOINED_BELOW, masked_frame
from gateway.websocket.spare_memory import SpareMemory


def unmasked(parts: list[Buffer]) -> bytes:
    """What a server makes of the bytes."""
    server = ServerProtocol(state=State.OPEN, max_size=None)
    server.parser = super(ServerProtocol, server).parse()  # the handshake is done
    next(server.parser)
    server.receive_data(b"".join(parts))
    (frame,) = server.events_received()
    assert isinstance(frame, Frame)
    assert frame.opcode is Opcode.BINARY
    assert frame.fin
    return bytes(frame.data)


sizes = st.one_of(
    st.integers(0, 300),
    st.sampled_from([125, 126, 65535, 65536, 65537, 65539, JOINED_BELOW - 1, JOINED_BELOW, JOINED_BELOW + 3, 100_001]),
)


@given(st.lists(sizes, min_size=1, max_size=6))
def test_a_server_reads_what_was_given(lengths: list[int]) -> None:
    buffers = [bytes((n + i) % 251 for n in range(length)) for i, length in enumerate(lengths)]
    parts = masked_frame([memoryview(buffer) for buffer in buffers], sum(lengths), SpareMemory())
    assert unmasked(parts) == b"".join(buffers)


def test_large_buffers_are_not_joined() -> None:
    parts = masked_frame([b"h" * 8, bytes(100_000), bytes(50_000)], 150_008, SpareMemory())
    assert [len(part) for part in parts] == [14, 8, 100_000, 50_000]


def test_every_frame_has_a_key_of_its_own() -> None:
    assert len({masked_frame([b"same"], 4, SpareMemory())[0] for _ in range(20)}) > 1


def test_the_buffers_may_change_afterwards() -> None:
    array = bytearray(200_000)
    parts = masked_frame([b"x", array], 200_001, SpareMemory())
    array[:] = b"\xff" * len(array)
    assert unmasked(parts) == b"x" + bytes(200_000)
