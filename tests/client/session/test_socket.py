"""Tests the WebSocket under a session against a real server, which does what the test tells it to."""

import asyncio
import gc
import time
import weakref
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from gateway.client.forking import cut_off
from gateway.client.session.socket import ABNORMAL, HIGH_WATER_BYTES, Lost, Socket
from gateway.client.session.socket_opening import open_socket, parse_url
from gateway.errors import Code
from gateway.protocol.wire import SUBPROTOCOL_BINARY
from gateway.websocket.frame_reader import Placement
from tests.client.scripted_gateway import Peer, ScriptedGateway


class Owner:
    """Notes what a socket tells."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.messages: asyncio.Queue[memoryview] = asyncio.Queue()
        self.placed: asyncio.Queue[memoryview] = asyncio.Queue()
        self.places = False
        """Whether it has memory for large messages, all but their first eight bytes."""
        self.lost: asyncio.Future[Lost] = loop.create_future()
        self.paused = asyncio.Event()
        self.resumed = asyncio.Event()

    def message_received(self, message: memoryview) -> None:
        self.messages.put_nowait(message)

    def place(self, beginning: memoryview, size: int) -> Placement | None:
        if not self.places:
            return None
        memory = memoryview(bytearray(size - 8))
        return Placement(memory, lambda: self.placed.put_nowait(memory))

    def writing_paused(self) -> None:
        self.paused.set()

    def writing_resumed(self) -> None:
        self.resumed.set()

    def socket_lost(self, lost: Lost) -> None:
        self.lost.set_result(lost)


@asynccontextmanager
async def opened(
    scripted: ScriptedGateway, max_frame_bytes: int = 1 << 20
) -> AsyncIterator[tuple[Socket, Owner, Peer]]:
    """A socket, its owner and the other side of it."""
    owner = Owner()
    socket = await open_socket(parse_url(scripted.url), owner, max_frame_bytes=max_frame_bytes, tls=None)
    try:
        yield socket, owner, await scripted.accept()
    finally:
        socket.close(1000, "")
        await socket.wait_closed(5)


async def test_messages_come_whole_and_read_only(scripted: ScriptedGateway) -> None:
    async with opened(scripted) as (_, owner, peer):
        peer.send_binary(bytes(range(200)) * 2000)
        message = await owner.messages.get()
        assert message.readonly
        assert bytes(message) == bytes(range(200)) * 2000


async def test_fragments_are_put_together(scripted: ScriptedGateway) -> None:
    async with opened(scripted) as (_, owner, peer):
        peer.send_binary(b"abc", fin=False)
        peer.send_continuation(b"def", fin=False)
        peer.send_continuation(b"gh", fin=True)
        peer.send_binary(b"next")
        assert bytes(await owner.messages.get()) == b"abcdefgh"
        assert bytes(await owner.messages.get()) == b"next"


async def test_what_is_sent_arrives_in_order(scripted: ScriptedGateway) -> None:
    received: list[bytes] = []
    scripted.answers[0] = lambda peer, frame: received.append(bytes(frame.message))
    async with opened(scripted) as (socket, _, peer):
        frame = (16).to_bytes(4, "little") + bytes(4)
        socket.send([frame, b"12345678"], 16)
        socket.send([frame + b"abcdefgh"], 16)
        assert (await peer.next(0)).frame.end == 16
        await peer.next(0)
    assert received == [frame + b"12345678", frame + b"abcdefgh"]


async def test_a_close_of_the_other_side_is_told_with_its_code(scripted: ScriptedGateway) -> None:
    async with opened(scripted) as (socket, owner, peer):
        peer.close(4100, "full")
        assert await owner.lost == Lost(4100, "full")
        assert not socket.open


async def test_our_own_close_is_told_as_such(scripted: ScriptedGateway) -> None:
    async with opened(scripted) as (socket, owner, peer):
        socket.close(Code.MALFORMED_FRAME, "what was that")
        socket.send([b"dropped"], 7)
        assert await owner.lost == Lost(4200, "what was that")
        assert (await peer.gone).code == 4200


async def test_a_lost_connection_has_the_code_for_it(scripted: ScriptedGateway) -> None:
    async with opened(scripted) as (_, owner, peer):
        peer.drop()
        assert (await owner.lost).code == ABNORMAL


async def test_writes_to_a_lost_connection_are_not_logged(
    scripted: ScriptedGateway, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(scripted) as (socket, owner, _):
        assert socket._transport is not None
        # As after a gateway that was killed: the first write fails, and the loss is told in the loop's next turn.
        cut_off(socket._transport.get_extra_info("socket").fileno())
        for _ in range(20):
            socket.send([bytes(8), bytes(8)], 16)
            socket.send([bytes(8)], 8)
        socket.close(1000, "")
        await owner.lost
    assert caplog.messages == []


async def test_a_message_above_the_limit_closes_with_1009(scripted: ScriptedGateway) -> None:
    async with opened(scripted, max_frame_bytes=1000) as (_, owner, peer):
        peer.send_binary(bytes(1001))
        assert (await owner.lost).code == Code.FRAME_TOO_BIG


async def test_text_is_refused(scripted: ScriptedGateway) -> None:
    async with opened(scripted) as (_, owner, peer):
        peer.send_text("hello")
        assert (await owner.lost).code == 1003


async def test_broken_framing_is_refused(scripted: ScriptedGateway) -> None:
    async with opened(scripted) as (_, owner, peer):
        peer.write(b"\xff\xff\xff\xff")
        assert (await owner.lost).code == Code.PROTOCOL_ERROR


async def test_writers_are_told_to_pause_and_to_go_on(scripted: ScriptedGateway) -> None:
    async with opened(scripted) as (socket, owner, peer):
        peer.pause_reading()
        header = HIGH_WATER_BYTES.to_bytes(4, "little") + bytes(4)
        while not owner.paused.is_set():
            socket.send([header, bytes(HIGH_WATER_BYTES - 8)], HIGH_WATER_BYTES)
            await asyncio.sleep(0)
        assert socket.write_paused
        peer.resume_reading()
        await owner.resumed.wait()
        assert not socket.write_paused


async def test_reading_can_be_stopped(scripted: ScriptedGateway) -> None:
    async with opened(scripted) as (socket, owner, peer):
        socket.pause_reading()
        socket.pause_reading()
        peer.send_binary(b"one")
        peer.close(1000)
        assert owner.messages.empty()
        socket.resume_reading()
        socket.resume_reading()
        assert bytes(await owner.messages.get()) == b"one"
        assert (await owner.lost).code == 1000


async def test_a_side_that_does_not_answer_the_close_is_cut_off(scripted: ScriptedGateway) -> None:
    async with opened(scripted) as (socket, owner, peer):
        peer.pause_reading()
        socket.close(1000, "bye")
        await socket.wait_closed(0)
        assert await owner.lost == Lost(1000, "bye")


async def test_a_side_that_answers_the_close_while_the_loop_is_held_up_is_not_cut_off(
    scripted: ScriptedGateway,
) -> None:
    async with opened(scripted) as (socket, _, peer):
        peer.pause_reading()
        socket.close(1000, "bye")
        closing = asyncio.ensure_future(socket.wait_closed(0.1))
        await asyncio.sleep(0)
        peer.resume_reading()
        time.sleep(0.2)  # noqa: ASYNC251 - as a program does, or a machine that is suspended
        await closing
        assert socket._protocol.close_rcvd is not None


async def test_a_handshake_that_fails_when_nobody_waits_any_more_is_not_logged() -> None:
    """As when connecting is cancelled in the turn in which the connection is made."""
    told: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: told.append(context))
    socket = Socket(parse_url("ws://127.0.0.1"), Owner(), 1000)
    socket.connection_lost(None)
    del socket
    gc.collect()
    assert told == []


async def answered(send: Callable[[ServerProtocol], object], piece_bytes: int) -> tuple[list[bytes], Lost]:
    """Open a socket to a server whose answer to the handshake has other frames behind it, and comes in pieces.

    Args:
        send: sends these frames, and closes.
        piece_bytes: size of a piece.

    Returns:
        The messages that came, and the end of the connection.
    """

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        protocol = ServerProtocol(subprotocols=[Subprotocol(SUBPROTOCOL_BINARY)])
        protocol.receive_data(await reader.readuntil(b"\r\n\r\n"))
        [request] = protocol.events_received()
        assert isinstance(request, Request)
        protocol.send_response(protocol.accept(request))
        send(protocol)
        data = b"".join(protocol.data_to_send())
        for at in range(0, len(data), piece_bytes):
            writer.write(data[at : at + piece_bytes])
            await writer.drain()
            await asyncio.sleep(0)
        await reader.read(1)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        owner = Owner()
        url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        socket = await open_socket(parse_url(url), owner, max_frame_bytes=1 << 20, tls=None)
        lost = await owner.lost
        assert not socket.open
        return [bytes(owner.messages.get_nowait()) for _ in range(owner.messages.qsize())], lost


@pytest.mark.parametrize("piece_bytes", [1, 10, 1_000_000])
async def test_frames_right_behind_the_answer_to_the_handshake_are_read(piece_bytes: int) -> None:
    def send(protocol: ServerProtocol) -> None:
        protocol.send_binary(b"first")
        protocol.send_ping(b"between")
        protocol.send_binary(b"second")
        protocol.send_close(1000, "bye")

    messages, lost = await answered(send, piece_bytes)
    assert messages == [b"first", b"second"]
    assert lost == Lost(1000, "bye")


async def test_nothing_behind_the_close_of_the_other_side_is_read() -> None:
    def send(protocol: ServerProtocol) -> None:
        protocol.send_binary(b"before")
        protocol.send_close(1001, "going")
        protocol.writes.append(Frame(Opcode.BINARY, b"behind").serialize(mask=False))

    messages, lost = await answered(send, 1_000_000)
    assert messages == [b"before"]
    assert lost == Lost(1001, "going")


async def test_nothing_behind_what_breaks_the_rules_is_read() -> None:
    def send(protocol: ServerProtocol) -> None:
        protocol.send_binary(b"before")
        protocol.writes.append(Frame(Opcode.CONT, b"of nothing").serialize(mask=False))
        protocol.writes.append(Frame(Opcode.BINARY, b"behind").serialize(mask=False))

    messages, lost = await answered(send, 1_000_000)
    assert messages == [b"before"]
    assert lost.code == 1002


async def socket_of() -> Socket:
    return Socket(parse_url("ws://127.0.0.1"), Owner(), 1000)


def test_sockets_share_the_memory_of_their_loop_and_of_no_other() -> None:
    """Two loops that one thread begins may be run by two threads later."""
    sockets = []
    for _ in range(2):
        with asyncio.Runner() as runner:
            sockets.append([runner.run(socket_of()) for _ in range(2)])
    (first, second), (other, _) = sockets
    assert first._reader._shared is second._reader._shared
    assert first._reader._shared is not other._reader._shared
    assert first._masked is second._masked is not other._masked
    first.connection_lost(None)
    assert first._reader._shared is not second._reader._shared
    memory = weakref.ref(second._memory)
    second.connection_lost(None)
    assert memory() is None
