"""WebSocketConnection: bytes in any split, ends of every kind, and what the core is told of them."""

from __future__ import annotations

import gc
import json
import os
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame

from gateway.connections.sessions.session import Session
from gateway.errors import Code
from gateway.protocol.messages import ClientType, Hello, Open, Subscribe
from gateway.protocol.session_body import write_session
from gateway.protocol.signals import Ping, Pong
from gateway.protocol.wire import SUBPROTOCOL_JSON
from gateway.server.library import NO_WEBSOCKET, Library
from gateway.server.listener import CLOSED_A_TURN
from gateway.server.websocket import FULL_READS_A_TURN, WebSocketConnection
from gateway.websocket.read_memory import READ_BYTES
from tests.collector import collector_off
from tests.connections.frames import message_frame
from tests.connections.reader import Arrival, Reader
from tests.server.memory import MemoryServer, Socket, masked

HELLO = write_session(Hello((1,), ClientType.AGENT))
OPEN = write_session(Open(0, "wf/a", None))
BINARY, TEXT, CONTINUATION, CLOSE, PING, PONG = 2, 1, 0, 8, 9, 10


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


def test_a_handshake_without_a_subprotocol_is_told_which_there_are() -> None:
    socket = Socket(MemoryServer())
    request = socket.client.connect()
    del request.headers["Sec-WebSocket-Protocol"]
    socket.client.send_request(request)
    socket.push(socket.bytes_to_send())
    answer = bytes(socket.transport.sent)
    assert answer.startswith(b"HTTP/1.1 400")
    assert b"name frys.v1 or frys.v1.json, as new WebSocket(url, 'frys.v1.json') does" in answer


@pytest.mark.parametrize(("method", "status"), [("GET", 426), ("HEAD", 405), ("PUT", 405), ("OPTIONS", 405)])
@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_http_is_shown_to_the_admin_port(method: str, status: int, version: str) -> None:
    socket = Socket(MemoryServer())
    socket.push(f"{method} /metrics HTTP/{version}\r\nHost: gateway\r\n\r\n".encode())
    answer = bytes(socket.transport.sent)
    assert answer.startswith(f"HTTP/1.1 {status} ".encode())
    assert answer.endswith(NO_WEBSOCKET.encode())


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


@cache
def uncut() -> tuple[list[Arrival], list[tuple[int, int]], int | None, int]:
    """The outcome of the script in one piece."""
    return outcome([])


def test_the_script_says_what_it_is_meant_to() -> None:
    arrivals, acked, code, pongs = uncut()
    assert [arrival.offset for arrival in arrivals] == list(range(9))
    assert acked == [(n, n - 1) for n in range(1, 10)]
    assert (code, pongs) == (1000, 2)


@given(cuts=st.lists(st.integers(0, len(SCRIPT)), max_size=40).map(sorted))
def test_the_same_bytes_in_any_split_give_the_same_events(cuts: list[int]) -> None:
    """Chunking invariance."""
    assert outcome(cuts) == uncut()


@given(start=st.integers(0, 1600), step=st.integers(1, 3))
def test_the_same_bytes_one_by_one_give_the_same_events(start: int, step: int) -> None:
    assert outcome(list(range(start, min(start + 300, len(SCRIPT)), step))) == uncut()


@given(cuts=st.lists(st.integers(0, len(SCRIPT)), max_size=40).map(sorted))
def test_the_same_bytes_in_turns_that_are_over_at_once_give_the_same_events(cuts: list[int]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        over_at_once(patch)
        assert outcome(cuts) == uncut()


def over_at_once(patch: pytest.MonkeyPatch) -> None:
    """Leave to the next turn whatever can be left to it."""
    patch.setattr("gateway.connections.input_budget.InputBudget.spent", lambda budget: True)
    patch.setattr("gateway.connections.dispatcher.FRAMES_A_LOOK", 1)
    patch.setattr("gateway.connections.dispatcher.STEP_S", 0)
    patch.setattr("gateway.websocket.frame_reader.CUT_COST", 1)


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
    assert close_code(socket) == Code.INVALID_DATA


def test_a_character_may_be_cut_by_a_fragment() -> None:
    socket = MemoryServer().socket(SUBPROTOCOL_JSON)
    text = '{"message_type":"ping","payload":{"t0":5},"headers":{"é":"é"}}'.encode()
    cut = text.index("é".encode()) + 1
    socket.push(masked(TEXT, text[:cut], final=False) + masked(CONTINUATION, text[cut:]))
    (frame,) = socket.frames()
    assert b'"pong"' in bytes(frame.data)
    socket.push(masked(TEXT, text[:cut], final=False) + masked(CONTINUATION, text[cut + 1 :]))
    assert close_code(socket) == Code.INVALID_DATA


def test_a_close_inside_a_fragmented_message_is_answered_and_the_message_dropped() -> None:
    server = MemoryServer()
    watcher = subscriber(server)
    socket = server.socket()
    socket.push(masked(BINARY, HELLO + OPEN + message(1, b"whole")))
    socket.push(masked(BINARY, message(2, b"begun")[:24], final=False) + masked(CLOSE, b"\x03\xe8"))
    server.world.settle()
    assert close_code(socket) == Code.NORMAL
    assert read(watcher).offsets == [0]


def test_a_peer_that_does_not_answer_a_close_is_cut_off() -> None:
    server = MemoryServer()
    socket = server.socket()
    socket.push(masked(BINARY, bytes(12)))
    assert not socket.transport.aborted
    for callback in server.loop.later:
        callback()
    assert socket.transport.aborted


def count_of(kind: type) -> int:
    return sum(isinstance(each, kind) for each in gc.get_objects())


def test_a_connection_has_a_library_from_the_first_bytes_on_that_only_the_library_reads() -> None:
    server = MemoryServer()
    with collector_off():
        before = count_of(Library)
        sockets = [subscriber(server) for _ in range(3)]
        assert count_of(Library) == before
        sockets[0].push(masked(PING, b"there?"))
        assert [(frame.opcode, frame.data) for frame in sockets[0].frames() if frame.opcode != BINARY] == [
            (PONG, b"there?")
        ]
        sockets[1].push(masked(CLOSE, b"\x03\xe8"))
        assert close_code(sockets[1]) == 1000
        assert count_of(Library) == before + 2
        for socket in sockets:
            socket.vanish()
        sockets.clear()
        server.loop.later.clear()
        server.world.settle()
        assert count_of(Library) == before


def test_a_close_of_a_socket_that_is_lost_and_not_dropped_yet_does_nothing() -> None:
    server = MemoryServer()
    socket = subscriber(server)
    with collector_off():
        before = count_of(Library)
        (session,) = server.world.core.pool
        socket.vanish()
        session.connection.close(Code.GOING_AWAY, "the gateway is stopping")
        assert count_of(Library) == before
    assert not server.loop.later
    server.world.settle()
    assert not list(server.world.core.pool)


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
    server.world.turn()
    assert socket.transport.closed
    socket.vanish()
    server.world.settle()
    assert len(read(watcher).arrivals) == 1


def test_sockets_that_end_at_the_same_time_are_closed_in_several_turns() -> None:
    server = MemoryServer()
    sockets = [server.socket() for _ in range(CLOSED_A_TURN + 1)]
    for socket in sockets:
        assert socket.websocket.eof_received(), "the loop would close the socket itself"
    assert not any(socket.transport.closed for socket in sockets)
    server.world.turns(1)
    assert [socket.transport.closed for socket in sockets] == [*[True] * CLOSED_A_TURN, False]
    server.world.turns(1)
    assert all(socket.transport.closed for socket in sockets)


def test_a_socket_that_fails_as_it_is_closed_leaves_none_of_the_others_open(monkeypatch: pytest.MonkeyPatch) -> None:
    server = MemoryServer()
    sockets = [server.socket() for _ in range(CLOSED_A_TURN)]
    for socket in sockets:
        socket.websocket.eof_received()

    def fail() -> None:
        raise OSError("a fault")

    monkeypatch.setattr(sockets[0].transport, "close", fail)
    with pytest.raises(OSError, match="a fault"):
        server.world.turns(1)
    server.world.turns(1)
    assert all(socket.transport.closed for socket in sockets[1:])


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


def pinged(server: MemoryServer) -> tuple[Socket, Session, Frame]:
    """Return the socket and the session of a client that the gateway has pinged, and the ping."""
    socket = server.socket()
    socket.push(masked(BINARY, HELLO))
    socket.frames()
    (session,) = list(server.world.core.pool)
    heartbeat = server.world.core.heartbeat
    while not session.asked_ns:
        server.world.clock.advance(heartbeat.tick_s)
        for _ in heartbeat.sweep():
            pass
    (frame,) = socket.frames()
    return socket, session, frame


def test_a_probe_is_a_websocket_ping_and_its_pong_a_sign_of_life() -> None:
    server = MemoryServer()
    socket, session, frame = pinged(server)
    assert (frame.opcode, len(frame.data)) == (PING, 8)
    session.heard = False
    server.world.clock.advance(0.25)
    socket.push(masked(10, bytes(frame.data)))
    assert session.heard
    measured = session.connection.round_trip
    assert measured is not None
    assert measured.smoothed_s == pytest.approx(0.25)
    socket.push(masked(CLOSE, b"\x03\xe8"))
    session.connection.transport.ping(b"there?")
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
    reader = Reader()
    for ping in reader.feed(watcher.messages()):
        watcher.push(masked(BINARY, Pong(ping.t0, 0, 0).write()))
    reader.feed(watcher.messages())
    assert reader.offsets == [0, 1]


def test_the_raw_write_is_that_of_the_loop_without_a_call_between() -> None:
    socket = MemoryServer().socket()
    assert socket.websocket.raw_write == socket.transport.write
    assert not isinstance(vars(WebSocketConnection)["raw_write"], property)


def test_a_socket_that_is_full_holds_back_its_own_messages_only() -> None:
    server = MemoryServer()
    slow, fast = subscriber(server), subscriber(server)
    publisher = server.socket()
    publisher.push(masked(BINARY, HELLO + OPEN))
    for watcher in (slow, fast):
        watcher.frames()
    slow.websocket.pause_writing()
    publisher.push(masked(BINARY, message(1, b"one")))
    server.world.settle()
    assert not slow.frames()
    assert fast.frames()
    slow.websocket.resume_writing()
    assert slow.frames()


def test_a_socket_that_is_full_during_its_handshake_is_no_fault() -> None:
    socket = Socket(MemoryServer())
    socket.websocket.pause_writing()
    socket.websocket.resume_writing()
    socket.handshake()
    assert socket.client.subprotocol == "frys.v1"


@pytest.mark.parametrize("cut", range(1, 14))
def test_an_answer_to_a_ping_counts_in_any_split(cut: int) -> None:
    socket, session, frame = pinged(MemoryServer())
    pong = masked(10, bytes(frame.data))
    socket.push(pong[:cut])
    assert session.asked_ns
    socket.push(pong[cut:])
    assert not session.asked_ns


def test_bytes_for_a_socket_that_is_being_lost_are_ignored() -> None:
    """Between the loss of a socket and the call that tells of it uvloop raises at each write."""
    server = MemoryServer()
    socket = server.socket()
    socket.transport.aborted = True
    socket.websocket.write(b"late")
    socket.websocket.writelines([b"la", b"te"])
    socket.websocket.ping(b"")
    assert not socket.transport.sent
    socket.vanish()
    assert len(server.world.core.pool) == 0


def test_several_buffers_are_written_in_order() -> None:
    socket = MemoryServer().socket()
    socket.websocket.writelines([b"\x82\x04", b"ab", b"cd"])
    (frame,) = socket.frames()
    assert bytes(frame.data) == b"abcd"
    assert socket.websocket.waiting_bytes() == 0


def test_reading_stops_and_goes_on_when_the_core_says_so() -> None:
    socket = MemoryServer().socket()
    socket.websocket.pause_reading()
    assert not socket.transport.reading
    socket.websocket.resume_reading()
    assert socket.transport.reading


def test_a_socket_that_is_closing_is_not_told_to_read_or_not() -> None:
    socket = MemoryServer().socket()
    socket.transport.aborted = True
    socket.websocket.pause_reading()
    assert socket.transport.reading
    socket.transport.reading = False
    socket.websocket.resume_reading()
    assert not socket.transport.reading


class Flood:
    """A client that has always more to send than the gateway offers room for."""

    def __init__(self, server: MemoryServer) -> None:
        self.socket = server.socket()
        self.socket.push(masked(BINARY, HELLO + OPEN))
        self._sequence = 0
        self._data = b""

    def reads(self, count: int) -> None:
        """The gateway reads so many times, each time as much as it takes."""
        for _ in range(count):
            buffer = self.socket.websocket.get_buffer(-1)
            while len(self._data) < len(buffer):
                self._sequence += 1
                self._data += masked(BINARY, message(self._sequence, bytes(50_000), ack=False))
            buffer[:], self._data = self._data[: len(buffer)], self._data[len(buffer) :]
            self.socket.websocket.buffer_updated(len(buffer))


@pytest.mark.parametrize("change", ["none", "core", "lost"])
def test_after_so_many_full_reads_the_next_read_waits_for_a_turn(change: str) -> None:
    """Unless the core has stopped the reading meanwhile, or the socket is gone."""
    server = MemoryServer()
    flood = Flood(server)
    socket = flood.socket
    reading = []
    for reads in (FULL_READS_A_TURN - 1, 1):
        flood.reads(reads)
        reading.append(socket.transport.reading)
    assert reading == [True, False]
    if change == "core":
        socket.websocket.pause_reading()
    elif change == "lost":
        socket.transport.aborted = True
    server.loop.turn()
    assert socket.transport.reading == (change == "none")


def test_a_read_that_does_not_fill_the_buffer_begins_the_count_again() -> None:
    flood = Flood(MemoryServer())
    for _ in range(2):
        flood.reads(FULL_READS_A_TURN - 1)
        flood.socket.websocket.get_buffer(-1)
        flood.socket.websocket.buffer_updated(0)
    assert flood.socket.transport.reading


def test_full_reads_of_a_socket_that_the_core_has_stopped_do_not_start_it_again() -> None:
    server = MemoryServer()
    flood = Flood(server)
    flood.socket.websocket.pause_reading()
    flood.reads(FULL_READS_A_TURN)
    server.loop.turn()
    assert not flood.socket.transport.reading


def test_a_close_of_the_gateway_says_why_and_nothing_is_taken_any_more() -> None:
    server = MemoryServer()
    watcher = subscriber(server)
    socket = server.socket()
    socket.push(masked(BINARY, HELLO + OPEN))
    socket.websocket.close(Code.GOING_AWAY, "maintenance")
    socket.push(masked(BINARY, message(1, b"late")))
    server.world.settle()
    assert not read(watcher).arrivals
    assert close_code(socket) == Code.GOING_AWAY
    assert socket.client.close_rcvd is not None
    assert socket.client.close_rcvd.reason == "maintenance"
    # The peer answers, so the socket ends; it is not aborted before its time is over.
    socket.push(socket.bytes_to_send())
    assert socket.transport.ended
    assert not socket.transport.aborted


def test_a_peer_that_sends_on_behind_a_close_costs_one_timer() -> None:
    server = MemoryServer()
    socket = server.socket()
    before = len(server.loop.later)
    socket.push(masked(BINARY, HELLO))
    socket.websocket.close(Code.GOING_AWAY, "maintenance")
    for _ in range(10):
        socket.push(masked(PING, b""))
    assert len(server.loop.later) == before + 1


def test_a_second_close_sends_nothing() -> None:
    socket = MemoryServer().socket()
    socket.websocket.close(Code.GOING_AWAY, "first")
    assert close_code(socket) == Code.GOING_AWAY
    socket.websocket.close(Code.PROTOCOL_ERROR, "second")
    assert not socket.transport.sent


def test_aborting_drops_the_socket_at_once() -> None:
    socket = MemoryServer().socket()
    socket.websocket.abort()
    assert socket.transport.aborted
    socket.websocket.eof_received()
    assert not socket.transport.ended


def test_a_fragmented_message_of_a_socket_that_is_lost_is_forgotten() -> None:
    server = MemoryServer()
    watcher = subscriber(server)
    socket = server.socket()
    socket.push(masked(BINARY, HELLO + OPEN))
    socket.push(masked(BINARY, message(1, b"one")[:20], final=False))
    socket.vanish()
    server.world.settle()
    assert not read(watcher).arrivals
    assert len(server.world.core.pool) == 1


# Input of many turns.


def is_read(socket: Socket) -> bool:
    """Whether the gateway reads; a function, because calls change it behind a type checker's back."""
    return socket.transport.reading


def test_a_flood_of_pings_is_answered_bit_by_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    over_at_once(monkeypatch)
    server = MemoryServer()
    flood, other = server.socket(), server.socket()
    flood.push(masked(BINARY, HELLO))
    other.push(masked(BINARY, HELLO))
    flood.frames(), other.frames()
    flood.push(b"".join(masked(PING, bytes([n])) for n in range(100)) + masked(CLOSE, b"\x03\xe8"))
    assert not is_read(flood)
    assert [bytes(frame.data) for frame in flood.frames()] == [b"\0"]
    other.push(masked(PING, b"other"))
    assert [bytes(frame.data) for frame in other.frames()] == [b"other"]
    server.world.settle()
    frames = flood.frames()
    assert [bytes(frame.data) for frame in frames[:-1]] == [bytes([n]) for n in range(1, 100)]
    assert frames[-1].opcode == CLOSE
    assert other.transport.reading


def test_pongs_that_are_not_read_stop_the_reading_of_pings() -> None:
    server = MemoryServer()
    socket = server.socket()
    socket.push(masked(BINARY, HELLO))
    (session,) = list(server.world.core.pool)
    socket.websocket.pause_writing()
    ping = masked(PING, bytes(125))
    limit = session.connection.settings.urgent_limit_bytes
    sent = 0
    while is_read(socket) and sent < limit:
        socket.push(ping)
        sent += len(ping)
    assert limit // 4 < sent < limit // 2
    assert session.connection.reading.held
    socket.websocket.resume_writing()
    assert is_read(socket)
    assert not session.connection.closed


def test_pings_of_one_read_wait_for_the_pongs_to_be_read() -> None:
    server = MemoryServer()
    socket = server.socket()
    socket.push(masked(BINARY, HELLO))
    (session,) = list(server.world.core.pool)
    socket.frames()
    socket.websocket.pause_writing()
    limit = session.connection.settings.urgent_limit_bytes
    ping = masked(PING, b"x" * 125)
    count = READ_BYTES // len(ping)
    reads = limit // 4 // READ_BYTES
    for _ in range(reads):
        socket.push(ping * count)
        server.world.settle()
        assert is_read(socket)
    socket.push(ping * count)
    server.world.settle()
    assert limit // 4 < len(socket.transport.sent) < limit // 4 + READ_BYTES // 8
    socket.websocket.resume_writing()
    server.world.settle()
    assert sum(frame.opcode == 10 for frame in socket.frames()) == (reads + 1) * count
    assert is_read(socket)


def test_texts_wait_behind_the_backlog_in_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    over_at_once(monkeypatch)
    server = MemoryServer()
    socket = server.socket(SUBPROTOCOL_JSON)
    texts = [b'{"message_type":"ping","payload":{"t0":%d}}' % n for n in range(20)]
    socket.push(b"".join(masked(TEXT, text) for text in texts))
    server.world.settle()
    answers = [bytes(frame.data) for frame in socket.frames()]
    assert [json.loads(answer)["payload"]["t0"] for answer in answers] == list(range(20))


def test_what_was_read_before_the_loss_is_handled(monkeypatch: pytest.MonkeyPatch) -> None:
    over_at_once(monkeypatch)
    server = MemoryServer()
    watcher = subscriber(server)
    socket = server.socket()
    fragmented = masked(BINARY, message(3, b"three")[:24], final=False) + masked(
        CONTINUATION, message(3, b"three")[24:]
    )
    socket.push(
        masked(BINARY, HELLO)
        + masked(BINARY, OPEN + message(1, b"one"))
        + masked(BINARY, message(2, bytes(20_000)))
        + masked(PING, b"")
        + fragmented
        + masked(BINARY, message(4, b"four"))
        + masked(BINARY, message(5, b"cut off"))[:-1]
    )
    socket.vanish()
    assert not read(watcher).arrivals
    assert len(server.world.core.pool) == 2
    server.world.settle()
    assert read(watcher).offsets == [0, 1, 2, 3]
    assert len(server.world.core.pool) == 1


def test_the_close_of_the_peer_is_found_behind_what_a_close_of_the_gateway_drops(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    over_at_once(monkeypatch)
    server = MemoryServer()
    socket = server.socket()
    socket.push(masked(BINARY, HELLO) + masked(PING, b"") * 100 + masked(CLOSE, b"\x03\xe8"))
    (session,) = list(server.world.core.pool)
    session.connection.close(Code.SLOW_CONSUMER, "too slow")
    assert not is_read(socket)
    server.world.settle()
    assert socket.transport.ended
    assert is_read(socket)
    assert session.pending is None


def test_a_peer_that_floods_after_its_close_is_read_bit_by_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    over_at_once(monkeypatch)
    server = MemoryServer()
    socket = server.socket()
    socket.push(masked(BINARY, HELLO))
    server.world.settle()
    (session,) = list(server.world.core.pool)
    session.connection.close(Code.SLOW_CONSUMER, "too slow")
    socket.push(masked(PING, b"") * 100)
    assert not is_read(socket)
    socket.push(masked(CLOSE, b"\x03\xe8"))
    server.world.settle()
    assert socket.transport.ended


def test_any_byte_of_a_large_message_is_a_sign_of_life() -> None:
    server = MemoryServer()
    socket = server.socket()
    socket.push(masked(BINARY, HELLO))
    (session,) = list(server.world.core.pool)
    for data in (masked(BINARY, bytes(2**20)), masked(BINARY, bytes(2**20), final=False), masked(TEXT, bytes(2**20))):
        socket.push(data[:1])
        for at in range(1, 300_000, 50_000):
            session.heard = False
            socket.push(data[at : at + 50_000])
            assert session.heard
        socket = server.socket()
        socket.push(masked(BINARY, HELLO))
        *_, session = list(server.world.core.pool)


def test_bytes_before_hello_do_not_keep_a_connection() -> None:
    server = MemoryServer()
    socket = server.socket()
    heartbeat = server.world.core.heartbeat
    slow = masked(BINARY, HELLO)
    for at in range(12):
        socket.push(slow[at : at + 1])
        for _ in range(10):
            server.world.clock.advance(heartbeat.tick_s)
            for _ in heartbeat.sweep():
                pass
    assert close_code(socket) == Code.HANDSHAKE_TIMEOUT


def test_a_request_head_without_an_end_is_refused() -> None:
    server = MemoryServer()
    socket = Socket(server)
    line = b"X: " + b"y" * 1000 + b"\r\n"
    socket.push(b"GET / HTTP/1.1\r\n" + line * 60)
    sent = bytes(socket.transport.sent)
    socket.push(line * 10)
    assert socket.transport.closed
    assert not sent
    assert bytes(socket.transport.sent).startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize(
    "header", ["Transfer-Encoding: chunked\r\nContent-Length: 5", "Transfer-Encoding: chunked", "Content-Length: 5"]
)
def test_a_request_with_a_body_ends_the_connection(header: str) -> None:
    server = MemoryServer()
    socket = Socket(server)
    request = f"GET / HTTP/1.1\r\nHost: gateway\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n{header}\r\n\r\n"
    socket.push(request.encode() + b"0\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n")
    assert socket.transport.ended
    assert not socket.transport.sent
    for callback in server.loop.later:
        callback()
    assert socket.transport.aborted
