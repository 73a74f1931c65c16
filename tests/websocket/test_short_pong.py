"""A pong that is taken without the library is one that the library would have taken as the same."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.http11 import Request

from gateway.server.library import Library, WebSocketPong
from gateway.websocket.frame_reader import Foreign, FrameReader
from gateway.websocket.read_memory import ReadMemory
from gateway.websocket.short_pong import short_pong
from tests.server.memory import masked

MAX_BYTES = 1 << 20
HANDSHAKE = (
    b"GET / HTTP/1.1\r\nHost: gateway\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Protocol: frys.v1\r\n\r\n"
)


def parts_of(data: bytes, cut: int | None = None) -> list[Foreign]:
    """The parts for the library that a reader makes of some bytes, in one read or two; their bytes stay."""
    reader = FrameReader(MAX_BYTES, ReadMemory(), masked=True)
    parts = []
    for piece in (data[:cut], data[cut:]) if cut else (data,):
        buffer = reader.buffer()
        buffer[: len(piece)] = piece
        for part in reader.receive(len(piece)):
            assert isinstance(part, Foreign)
            parts.append(part._replace(data=memoryview(bytes(part.data))))
    return parts


@given(payload=st.binary(max_size=125), mask=st.binary(min_size=4, max_size=4))
def test_the_payload_of_any_pong_is_that_of_the_library(payload: bytes, mask: bytes) -> None:
    frame = masked(10, payload, mask=mask)
    (part,) = parts_of(frame)
    library = Library(MAX_BYTES)
    library.receive_data(HANDSHAKE)
    (request,) = library.received()
    assert isinstance(request, Request)
    library.send_response(library.accept(request))
    library.receive_data(frame)
    assert library.received() == [WebSocketPong(payload)]
    assert short_pong(part) == payload


@pytest.mark.parametrize(
    "data",
    [
        masked(9, b"a ping"),
        masked(8, b"\x03\xe8"),
        masked(1, b"a text"),
        masked(2, b"begun", final=False),
        masked(10, b"one") + masked(10, b"two"),
        masked(10, b"one") + masked(9, b"two"),
        masked(10, b"final", final=False),
        masked(10, bytes(200)),
    ],
)
def test_anything_else_is_left_to_the_library(data: bytes) -> None:
    assert [short_pong(part) for part in parts_of(data)] == [None] * len(parts_of(data))


@pytest.mark.parametrize("cut", range(1, 14))
def test_one_that_is_cut_is_left_to_the_library(cut: int) -> None:
    parts = parts_of(masked(10, bytes(8)), cut)
    assert [short_pong(part) for part in parts] in ([None, None], [b"\0" * 8])


def test_the_end_of_a_long_frame_that_looks_like_one_is_left_to_the_library() -> None:
    lookalike = masked(10, bytes(8))
    frame = masked(1, bytes(1000) + lookalike, mask=bytes(4))
    parts = parts_of(frame, len(frame) - len(lookalike))
    assert bytes(parts[-1].data) == lookalike
    assert [short_pong(part) for part in parts] == [None] * len(parts)
