"""WebSocketConnection: bytes in any split, ends of every kind, and what the core is told of them."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import Code
from gateway.protocol.messages import ClientType, Hello, Open, Subscribe
from gateway.protocol.session_body import write_session
from gateway.protocol.signals import Ping
from gateway.protocol.wire import SUBPROTOCOL_JSON
from gateway.server.websocket import WebSocketConnection
from tests.connections.frames import message_frame
from tests.connections.reader import Arrival, Reader
from tests.server.memory import MemoryServer, Socket, masked

HELLO = write_session(Hello((1,), ClientType.AGENT))
OPEN = write_session(Open(0, "wf/a", None))
BINARY, TEXT, CONTINUATION, CLOSE, PING = 2, 1, 0, 8, 9


def message(sequence: int, payload: bytes, *, ack: bool = True) -> bytes:
    return b"".join(message_frame(0, sequence, payload, ack=ack))


def subscriber(server: MemoryServer) -> Socket:
    socket = server.socket()
    socket.push(masked(BINARY, HELLO + write_session(Subscribe(1, 1, "wf/a"))))
    return socket


def read(socket: Socket) -> Reader:
    reader = Reader()
    reader.feed(socket.messages())
    return reader


def close_code(socket: Socket) -> int | None:
    socket.frames()
    return None if socket.client.close_rcvd is None else socket.client.close_rcvd.code


def test_a_handshake_picks_the_binary_subprotocol() -> None:
    socket = MemoryServer().socket()
    assert socket.client.subprotocol == "frys.v1"
    assert not socket.client.extensions


def test_a_handshake_that_offers_neither_is_answered_with_400() -> None:
    socket = Socket(MemoryServer(), "mqtt")
    socket.client.send_request(socket.client.connect())
    socket.push(socket.bytes_to_send())
    assert bytes(socket.transport.sent).startswith(b"HTTP/1.1 400")


def test_what_is_no_handshake_is_ended() -> None:
    socket = Socket(MemoryServer())
    socket.push(b"\x16\x03\x01 this is TLS\r\n\r\n")
    assert socket.transport.ended
    assert not socket.transport.aborted


def script() -> bytes:
    """All kinds of WebSocket messages from one client."""
    return b"".join(
        [
            masked(BINARY, HELLO),
            masked(BINARY, OPEN),
            masked(PING, b"there?"),
            masked(BINARY, message(1, b"one"), mask=b"\0\0\0\0"),
            masked(BINARY, message(2, b"two") + message(3, b"three")),
            masked(BINARY, message(4, b"four")[:24], final=False),
            masked(PING, b"in between"),
            masked(CONTINUATION, message(4, b"four")[24:40], final=False),
            masked(CONTINUATION, message(4, b"four")[40:]),
            masked(BINARY, message(5, b"x" * 300)),
            masked(BINARY, message(6, os.urandom(0) + bytes(range(256)) * 300)),
            masked(BINARY, Ping(5).write()),
            masked(BINARY, message(7, b"seven")),
            masked(BINARY, message(8, bytes(200_000))),
            masked(BINARY, message(9, b"nine")),
            masked(CLOSE, (1000).to_bytes(2, "big")),
        ]
    )


SCRIPT = script()


def outcome(cuts: list[int]) -> tuple[list[Arrival], list[tuple[int, int]], int | None, int]:
    """What a subscriber gets, and what the client is answered, when its bytes come cut at these places."""
    server = MemoryServer()
    watcher = subscriber(server)
    socket = server.socket()
    for start, end in zip([0, *cuts], [*cuts, len(SCRIPT)], strict=True):
        socket.push(SCRIPT[start:end])
        server.world.turn()
    server.world.settle()
    frames = socket.frames()
    reader = Reader()
    reader.feed(b"".join(bytes(frame.data) for frame in frames if frame.opcode == BINARY))
    acked = [(ack.sequence - n, ack.offset - n) for ack in reader.acks for n in reversed(range(ack.count))]
    pongs = sum(frame.opcode == 10 for frame in frames)
    assert not reader.errors
    closed = socket.client.close_rcvd
    return read(watcher).arrivals, acked, None if closed is None else closed.code, pongs


WHOLE = outcome([])


def test_the_script_says_what_it_is_meant_to() -> None:
    arrivals, acked, code, pongs = WHOLE
    assert [arrival.offset for arrival in arrivals] == list(range(9))
    assert acked == [(n, n - 1) for n in range(1, 10)]
    assert (code, pongs) == (1000, 2)


@given(cuts=st.lists(st.integers(0, len(SCRIPT)), max_size=40).map(sorted))
def test_the_same_bytes_in_any_split_give_the_same_events(cuts: list[int]) -> None:
    """Chunking invariance."""
    assert outcome(cuts) == WHOLE


@given(start=st.integers(0, 1600), step=st.integers(1, 3))
def test_the_same_bytes_one_by_one_give_the_same_events(start: int, step: int) -> None:
    assert outcome(list(range(start, min(start + 300, len(SCRIPT)), step))) == WHOLE


def lying_frames() -> list[bytes]:
    """WebSocket messages, the second of which holds a frame that reaches past its end."""
    good, lying = message(1, b"1234567"), bytearray(message(2, b"1234567"))
    lying[0] += 48
    return [HELLO, OPEN, good, bytes(lying), message(2, b"1234567")]


@pytest.mark.parametrize("split", [False, True])
def test_a_frame_never_reaches_into_the_next_websocket_message(split: bool) -> None:
    server = MemoryServer()
    watcher = subscriber(server)
    socket = server.socket()
    parts = [masked(BINARY, part) for part in lying_frames()]
    for data in parts if split else [b"".join(parts)]:
        socket.push(data)
    server.world.settle()
    assert close_code(socket) == Code.MALFORMED_FRAME
    assert read(watcher).offsets == [0]


def test_what_is_published_just_before_a_close_counts() -> None:
    server = MemoryServer()
    watcher = subscriber(server)
    socket = server.socket()
    socket.push(masked(BINARY, HELLO + OPEN) + masked(BINARY, message(1, b"last words")) + masked(CLOSE, b"\x03\xe8"))
    server.world.settle()
    assert len(read(watcher).arrivals) == 1
    reader = Reader()
    reader.feed(b"".join(bytes(frame.data) for frame in socket.frames() if frame.opcode == BINARY))
    assert len(reader.acks) == 1
    assert socket.client.close_rcvd is not None


def test_nothing_counts_that_comes_behind_a_close() -> None:
    server = MemoryServer()
    watcher = subscriber(server)
    socket = server.socket()
    socket.push(masked(BINARY, HELLO + OPEN) + masked(CLOSE, b"\x03\xe8") + masked(BINARY, message(1, b"late")))
    socket.push(masked(BINARY, message(1, b"later")))
    server.world.settle()
    assert not read(watcher).arrivals


@pytest.mark.parametrize("goodbye", [masked(CLOSE, b"\x03\xe8"), b"\xff" * 14, masked(3, b"reserved opcode")])
def test_a_subscriber_that_ends_is_not_noticed_by_the_others(goodbye: bytes) -> None:
    """Its transport is at its end, but not yet lost: whatever is delivered now must not fail on it."""
    server = MemoryServer()
    watchers = [subscriber(server) for _ in range(3)]
    publisher = server.socket()
    publisher.push(masked(BINARY, HELLO + OPEN))
    watchers[0].push(goodbye)
    assert watchers[0].transport.ended
    publisher.push(masked(BINARY, message(1, b"one")))
    server.world.settle()
    watchers[0].vanish()
    publisher.push(masked(BINARY, message(2, b"two")))
    server.world.settle()
    for watcher in watchers[1:]:
        assert read(watcher).offsets == [0, 1]
    assert len(server.world.core.pool) == 3


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (masked(BINARY, bytes(12)), Code.MALFORMED_FRAME),
        (masked(BINARY, b""), Code.MALFORMED_FRAME),
        (masked(BINARY, bytes(8)), Code.MALFORMED_FRAME),
        (masked(TEXT, b"{}"), Code.UNSUPPORTED_DATA),
        (masked(TEXT, b"\xff\xfe"), Code.UNSUPPORTED_DATA),
        (b"\x82\x08" + bytes(8), Code.PROTOCOL_ERROR),
        (b"\xc2\x88" + bytes(12), Code.PROTOCOL_ERROR),
        (masked(CONTINUATION, bytes(8)), Code.PROTOCOL_ERROR),
        (masked(PING, bytes(126)), Code.PROTOCOL_ERROR),
        (b"\x82\xff" + (2**40).to_bytes(8, "big") + bytes(4), Code.FRAME_TOO_BIG),
        (b"\x82\xff" + (9 * 1024 * 1024).to_bytes(8, "big") + bytes(4), Code.FRAME_TOO_BIG),
        (b"\x02\xff" + (9 * 1024 * 1024).to_bytes(8, "big") + bytes(4), Code.FRAME_TOO_BIG),
        (masked(CLOSE, b"x"), Code.PROTOCOL_ERROR),
        (masked(BINARY, message(1, b"x"), final=False) + masked(BINARY, message(1, b"x")), Code.PROTOCOL_ERROR),
    ],
)
def test_bad_websocket_messages_close_with_the_documented_code(data: bytes, code: Code) -> None:
    server = MemoryServer()
    socket = server.socket()
    socket.push(masked(BINARY, HELLO + OPEN))
    socket.push(data)
    assert close_code(socket) == code
    socket.push(masked(BINARY, message(1, b"x")))
    server.world.settle()
    assert not socket.transport.aborted


def test_a_binary_message_to_the_json_subprotocol() -> None:
    socket = MemoryServer().socket(SUBPROTOCOL_JSON)
    socket.push(masked(BINARY, HELLO))
    assert close_code(socket) == Code.UNSUPPORTED_DATA


def test_a_text_that_is_no_utf8_to_the_json_subprotocol() -> None:
    socket = MemoryServer().socket(SUBPROTOCOL_JSON)
    socket.push(masked(TEXT, b'{"message_type":"hello","client_type":"agent","payload":{"versions":[1]}}'))
    socket.frames()
    socket.push(masked(TEXT, b'{"message_type":"\xff"}'))
    (frame,) = socket.frames()
    assert str(int(Code.INVALID_REQUEST)).encode() in bytes(frame.data)


def test_a_peer_that_does_not_answer_a_close_is_cut_off() -> None:
    server = MemoryServer()
    socket = server.socket()
    socket.push(masked(BINARY, bytes(12)))
    assert not socket.transport.aborted
    for callback in server.loop.later:
        callback()
    assert socket.transport.aborted


def test_a_lost_connection_leaves_nothing_behind() -> None:
    server = MemoryServer()
    socket = subscriber(server)
    socket.push(masked(BINARY, OPEN + message(1, b"x")))
    socket.vanish()
    server.world.settle()
    core = server.world.core
    assert len(core.pool) == 0
    assert core.drained
    assert not any(fanout.receivers for fanout in core.hub.fanouts)


def test_the_last_bytes_of_a_client_are_taken_before_its_end_of_file() -> None:
    server = MemoryServer()
    watcher = subscriber(server)
    socket = server.socket()
    socket.push(masked(BINARY, HELLO + OPEN))
    socket.push(masked(BINARY, message(1, b"last")))
    socket.websocket.eof_received()
    socket.vanish()
    server.world.settle()
    assert len(read(watcher).arrivals) == 1


@pytest.mark.parametrize("split", [False, True])
def test_a_client_that_does_not_wait_for_the_handshake(split: bool) -> None:
    """Its first messages come in the same read as the request, the last of them cut off."""
    server = MemoryServer()
    watcher = subscriber(server)
    socket = Socket(server)
    socket.client.send_request(socket.client.connect())
    early = masked(BINARY, HELLO + OPEN) + masked(BINARY, message(1, b"one"))
    rest = masked(BINARY, message(2, b"two")) + masked(BINARY, message(3, bytes(300_000)))
    data = socket.bytes_to_send() + early + rest
    cut = len(data) - len(rest) - 20 if split else len(data)
    socket.push(data[:cut])
    socket.push(data[cut:])
    server.world.settle()
    assert read(watcher).offsets == [0, 1, 2]


def test_a_probe_is_a_websocket_ping_and_its_pong_a_sign_of_life() -> None:
    server = MemoryServer()
    socket = server.socket()
    socket.push(masked(BINARY, HELLO))
    socket.frames()
    (session,) = list(server.world.core.pool)
    session.connection.transport.ping()
    (frame,) = socket.frames()
    assert frame.opcode == PING
    session.heard = False
    socket.push(masked(10, bytes(frame.data)))
    assert session.heard
    socket.push(masked(CLOSE, b"\x03\xe8"))
    session.connection.transport.ping()
    assert all(frame.opcode == CLOSE for frame in socket.frames())


def test_fragmented_text() -> None:
    socket = MemoryServer().socket(SUBPROTOCOL_JSON)
    text = b'{"message_type":"ping","payload":{"t0":5}}'
    socket.push(masked(TEXT, text[:10], final=False) + masked(CONTINUATION, text[10:]))
    (frame,) = socket.frames()
    assert b'"pong"' in bytes(frame.data)
    assert frame.opcode == TEXT


def test_a_client_that_sends_as_fast_as_it_can_lets_others_have_their_turn() -> None:
    server = MemoryServer()
    watcher = subscriber(server)
    socket = server.socket()
    socket.push(masked(BINARY, HELLO + OPEN))
    socket.push(b"".join(masked(BINARY, message(n, bytes(2_000_000))) for n in range(1, 3)))
    server.loop.turn()
    assert socket.transport.reading
    server.world.settle()
    assert read(watcher).offsets == [0, 1]


def test_the_raw_write_is_that_of_the_loop_without_a_call_between() -> None:
    socket = MemoryServer().socket()
    assert socket.websocket.raw_write == socket.transport.write
    assert not isinstance(vars(WebSocketConnection)["raw_write"], property)
