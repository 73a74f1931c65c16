"""The WebSocket library behind the gateway: fragments become messages, and a Close may come between them."""

from __future__ import annotations

import tracemalloc
import weakref

import pytest
from websockets.http11 import Request
from websockets.protocol import State

from gateway.server.library import Library, WebSocketMessage
from tests.collector import collector_off
from tests.server.memory import masked

BINARY, TEXT, CONTINUATION, CLOSE, PING = 2, 1, 0, 8, 9
MAX_FRAME_BYTES = 1000


def opened(subprotocol: str = "frys.v1") -> Library:
    library = Library(MAX_FRAME_BYTES)
    library.receive_data(
        b"GET / HTTP/1.1\r\nHost: gateway\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Protocol: " + subprotocol.encode() + b"\r\n\r\n"
    )
    (request,) = library.received()
    assert isinstance(request, Request)
    library.send_response(library.accept(request))
    library.data_to_send()
    return library


def test_fragments_become_one_message() -> None:
    library = opened()
    library.receive_data(
        masked(TEXT, b"a", final=False)
        + masked(CONTINUATION, b"", final=False)
        + masked(PING, b"between")
        + masked(CONTINUATION, b"bc")
        + masked(BINARY, b"whole")
        + masked(BINARY, b"d", final=False)
    )
    assert library.received() == [WebSocketMessage(b"abc", text=True), WebSocketMessage(b"whole", text=False)]
    library.receive_data(masked(CONTINUATION, b"e"))
    assert library.received() == [WebSocketMessage(b"de", text=False)]


@pytest.mark.parametrize(
    ("subprotocol", "advice"), [("frys.v1", "send it in chunks"), ("frys.v1.json", "PUT it on the admin port")]
)
def test_a_message_that_is_too_large_closes_with_advice(subprotocol: str, advice: str) -> None:
    library = opened(subprotocol)
    library.receive_data(masked(BINARY, bytes(MAX_FRAME_BYTES + 1)))
    assert library.close_sent is not None
    assert library.close_sent.code == 1009
    assert library.close_sent.reason == f"a message exceeds max_frame_bytes, {MAX_FRAME_BYTES} bytes: {advice}"


def test_a_close_inside_a_fragmented_message_is_answered() -> None:
    library = opened()
    library.receive_data(masked(BINARY, b"begun", final=False) + masked(CLOSE, b"\x03\xe9bye"))
    assert library.received() == []
    assert library.close_sent is not None
    assert (library.close_sent.code, library.close_sent.reason) == (1001, "bye")
    assert library.state is State.CLOSING


def test_fragments_are_kept_in_their_bytes_only() -> None:
    library = opened()
    library.receive_data(masked(BINARY, b"x", final=False))
    library.received()
    empty = masked(CONTINUATION, b"", final=False)
    tracemalloc.start()
    try:
        for _ in range(50):
            library.receive_data(empty * 100)
            library.received()
        kept_bytes, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept_bytes < 5000
    library.receive_data(masked(CONTINUATION, bytes(MAX_FRAME_BYTES - 2), final=False) + masked(CONTINUATION, b"yz"))
    assert library.received() == []
    assert library.close_sent is not None
    assert library.close_sent.code == 1009


@pytest.mark.parametrize("end", [b"", b"eof", masked(BINARY, b"another"), masked(3, b"no such type")])
def test_a_message_that_is_not_complete_goes_with_its_socket(end: bytes) -> None:
    library = opened()
    with collector_off():
        library.receive_data(masked(BINARY, bytes(400), final=False))
        if end in (b"", b"eof"):
            library.receive_data(masked(CONTINUATION, bytes(400), final=False)[:-1])
        else:
            library.receive_data(end)
        if end == b"eof":
            library.receive_eof()
        library.received()
        tracked = weakref.ref(library)
        library.end()
        del library
        assert tracked() is None


@pytest.mark.parametrize("request_head", [b"GET / HTTP/1.1\r\nHost: gateway\r\n", b"nonsense\r\n\r\n", b"x" * 9000])
def test_a_handshake_that_failed_goes_with_its_socket(request_head: bytes) -> None:
    library = Library(MAX_FRAME_BYTES)
    with collector_off():
        library.receive_data(request_head)
        library.receive_eof()
        assert library.received() == []
        assert library.handshake_exc is not None
        tracked = weakref.ref(library)
        library.end()
        del library
        assert tracked() is None
