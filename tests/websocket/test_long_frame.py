"""Invariant: the fragments of a long frame are, for the WebSocket library, the message of that frame."""

from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.server import ServerProtocol

from gateway.websocket.headers import FINAL
from gateway.websocket.long_frame import LongFrame
from gateway.websocket.masking import apply_mask

MASK = b"\x01\x80\xff\x10"


def received(frames: bytes) -> list[Frame]:
    """Return the frames that the library finds in bytes of a client."""
    protocol = ServerProtocol(state=State.OPEN)
    protocol.receive_data(frames)
    return [event for event in protocol.events_received() if isinstance(event, Frame)]


@given(st.lists(st.binary(max_size=9), min_size=1, max_size=5), st.sampled_from([Opcode.TEXT, Opcode.BINARY]))
def test_fragments_are_the_message(parts: list[bytes], opcode: Opcode) -> None:
    payload = b"".join(parts)
    masked = apply_mask(payload, MASK)
    long = LongFrame(FINAL | opcode, MASK)
    sent, at = b"", 0
    for index, part in enumerate(parts):
        sent += bytes(long.header(len(part), last=index == len(parts) - 1)) + masked[at : at + len(part)]
        at += len(part)
    frames = received(sent)
    assert [frame.opcode for frame in frames] == [opcode, *[Opcode.CONT] * (len(parts) - 1)]
    assert [frame.fin for frame in frames] == [*[False] * (len(parts) - 1), True]
    assert b"".join(bytes(frame.data) for frame in frames) == payload


def test_the_last_fragment_of_a_frame_that_is_not_final_is_not_final() -> None:
    long = LongFrame(Opcode.BINARY, MASK)
    header = bytes(long.header(0, last=True))
    assert not header[0] & FINAL
