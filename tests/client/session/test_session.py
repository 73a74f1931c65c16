"""Tests one session against a real server, which does what the test tells it to."""

import asyncio
import gc
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from gateway.client.session.handshake_refusal import SessionRefused
from gateway.client.session.heartbeat import FIRST_PINGS
from gateway.client.session.outgoing_frames import CORKED_BYTES
from gateway.client.session.session import Handlers, Session
from gateway.client.session.socket import Lost
from gateway.client.session.socket_opening import open_socket, parse_url
from gateway.errors import Code, ConnectionClosed, ConnectionFailed, RequestRefused
from gateway.protocol.data import parse_data
from gateway.protocol.frames import Frame
from gateway.protocol.limits import WelcomeLimits
from gateway.protocol.messages import (
    ClientType,
    Error,
    GoAway,
    Hello,
    Subscribe,
    Subscribed,
)
from gateway.protocol.runs import FrameRun
from gateway.protocol.signals import Ack, Gap, InProgress, Ping, Pong
from gateway.protocol.wire import FRAME_START, Opcode
from tests.client.frames import message
from tests.client.scripted_gateway import Peer, Received, ScriptedGateway

HELLO = Hello(versions=(1,), client_type=ClientType.AGENT)


class Owner:
    """Notes what a session tells."""

    def __init__(self) -> None:
        self.acks: asyncio.Queue[int] = asyncio.Queue()
        self.errors: asyncio.Queue[Error] = asyncio.Queue()
        self.reports: asyncio.Queue[Exception] = asyncio.Queue()
        self.lost: asyncio.Future[Lost] = asyncio.get_running_loop().create_future()
        self.resumed = asyncio.Event()
        self.answer: Callable[[], object] | None = None
        """Called before the answer to a PING."""
        self.runs: list[tuple[int, int]] = []
        self.offsets: list[int] = []

    def welcomed(self, session: Session) -> Handlers:
        return Handlers({Opcode.ACK: self.acked, Opcode.MESSAGE: self.message}, self.run)

    def message(self, message: memoryview, frame: Frame) -> None:
        offset = parse_data(message, frame).offset
        if offset == 13:
            raise RequestRefused(Code.INVALID_TENSOR, "unlucky")
        self.offsets.append(offset)

    def run(self, run: FrameRun) -> None:
        self.runs.append((run.first, run.count))

    def acked(self, message: memoryview, frame: Frame) -> None:
        ack = Ack.parse(message, frame)
        if ack.alias == 13:
            raise RequestRefused(Code.UNKNOWN_STREAM, "unlucky")
        self.acks.put_nowait(ack.alias)

    def refused(self, error: Error) -> None:
        self.errors.put_nowait(error)

    def reported(self, error: Exception) -> None:
        self.reports.put_nowait(error)

    def beating(self) -> None: ...

    def probed(self) -> None:
        if self.answer is not None:
            self.answer()

    def writing_resumed(self) -> None:
        self.resumed.set()

    def session_lost(self, session: Session, lost: Lost) -> None:
        self.lost.set_result(lost)


async def greeted(scripted: ScriptedGateway, owner: Owner) -> Session:
    """A session after the greeting."""
    session = Session(owner)
    socket = await open_socket(parse_url(scripted.url), session, max_frame_bytes=1 << 20, tls=None)
    try:
        await session.greet(socket, HELLO)
    except ConnectionFailed:
        await socket.wait_closed(5)
        raise
    return session


@asynccontextmanager
async def running(scripted: ScriptedGateway) -> AsyncIterator[tuple[Session, Owner, Peer]]:
    """A session, its owner and the other side of it."""
    owner = Owner()
    session = await greeted(scripted, owner)
    try:
        yield session, owner, await scripted.accept()
    finally:
        session.close()
        await session.wait_closed(5)


def ack(alias: int) -> bytes:
    return Ack(alias, 1, 1, 0).write()


async def test_the_greeting(scripted: ScriptedGateway) -> None:
    async with running(scripted) as (session, _, peer):
        hello = (await peer.next(Opcode.HELLO)).session()
        assert hello == HELLO
        assert session.welcome.client_id == "made-up"
        assert session.open


async def test_a_refusal_that_is_final(scripted: ScriptedGateway) -> None:
    def refuse(peer: Peer, received: Received) -> None:
        peer.send(Error(Code.UNAUTHENTICATED, "UNAUTHENTICATED", "the token expired at noon"))
        peer.close(Code.UNAUTHENTICATED, "cut")

    scripted.answers[Opcode.HELLO] = refuse
    with pytest.raises(ConnectionClosed, match="the token expired at noon") as caught:
        await greeted(scripted, Owner())
    assert caught.value.code == Code.UNAUTHENTICATED


async def test_a_refusal_for_now(scripted: ScriptedGateway) -> None:
    scripted.answers[Opcode.HELLO] = lambda peer, received: peer.close(Code.TOO_MANY_CONNECTIONS, "full")
    with pytest.raises(SessionRefused, match="full") as caught:
        await greeted(scripted, Owner())
    assert caught.value.code == Code.TOO_MANY_CONNECTIONS


async def test_a_loss_before_welcome(scripted: ScriptedGateway) -> None:
    scripted.answers[Opcode.HELLO] = lambda peer, received: peer.drop()
    with pytest.raises(ConnectionFailed):
        await greeted(scripted, Owner())


async def test_whoever_gives_up_before_the_greeting_leaves_nothing_in_the_log(scripted: ScriptedGateway) -> None:
    told: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    session = Session(Owner())
    socket = await open_socket(parse_url(scripted.url), session, max_frame_bytes=1 << 20, tls=None)
    socket.abort(Lost(1006, "gave up"))
    await socket.wait_closed(5)
    del session, socket
    gc.collect()
    assert told == []


async def test_a_frame_before_welcome_is_a_violation(scripted: ScriptedGateway) -> None:
    scripted.answers[Opcode.HELLO] = lambda peer, received: peer.send(ack(1))
    with pytest.raises(ConnectionClosed) as caught:
        await greeted(scripted, Owner())
    assert caught.value.code == Code.UNEXPECTED_MESSAGE


async def test_frames_go_to_their_handlers(scripted: ScriptedGateway) -> None:
    async with running(scripted) as (_, owner, peer):
        peer.send(ack(1), ack(2), ack(3))
        assert [await owner.acks.get() for _ in range(3)] == [1, 2, 3]


async def test_a_run_goes_to_its_handler(scripted: ScriptedGateway) -> None:
    async with running(scripted) as (_, owner, peer):
        run = [message(offset, 1) for offset in range(10, 16)]
        peer.send(ack(1), message(5, 1), *run, message(20, 1), message(13, 1), ack(2))
        assert [await owner.acks.get() for _ in range(2)] == [1, 2]
        assert owner.runs == [(10, 6)]
        assert owner.offsets == [5, 20]
        assert "unlucky" in str(await owner.reports.get())


async def test_a_run_before_welcome_is_a_violation(scripted: ScriptedGateway) -> None:
    run = [message(offset, 1) for offset in range(5)]
    scripted.answers[Opcode.HELLO] = lambda peer, received: peer.send(*run)
    with pytest.raises(ConnectionClosed) as caught:
        await greeted(scripted, Owner())
    assert caught.value.code == Code.UNEXPECTED_MESSAGE


async def test_a_refused_frame_is_reported_and_the_next_is_read(scripted: ScriptedGateway) -> None:
    async with running(scripted) as (_, owner, peer):
        peer.send(ack(13), ack(2))
        assert await owner.acks.get() == 2
        assert "unlucky" in str(await owner.reports.get())


async def test_an_unknown_opcode_is_reported_and_skipped(scripted: ScriptedGateway) -> None:
    async with running(scripted) as (_, owner, peer):
        peer.send(FRAME_START.pack(8, 0x7F, 0, 0), ack(2))
        assert await owner.acks.get() == 2
        assert getattr(await owner.reports.get(), "code", None) == Code.UNKNOWN_MESSAGE_TYPE


@pytest.mark.parametrize(
    "malformed", [b"short", FRAME_START.pack(4, Opcode.ACK, 0, 0), FRAME_START.pack(8, Opcode.ACK, 0, 0)]
)
async def test_a_malformed_message_ends_the_session(scripted: ScriptedGateway, malformed: bytes) -> None:
    async with running(scripted) as (session, owner, peer):
        peer.send_binary(malformed)
        assert (await owner.lost).code == Code.MALFORMED_FRAME
        assert not session.open


async def test_what_stands_behind_a_violation_is_not_looked_at(scripted: ScriptedGateway) -> None:
    async with running(scripted) as (_, owner, peer):
        peer.send_binary(b"short")
        peer.send(ack(1))
        assert (await owner.lost).code == Code.MALFORMED_FRAME
        assert owner.acks.empty()


async def test_a_client_message_from_the_gateway_ends_the_session(scripted: ScriptedGateway) -> None:
    async with running(scripted) as (_, owner, peer):
        peer.send(Subscribe(1, 1, "wf/x"))
        assert (await owner.lost).code == Code.UNEXPECTED_MESSAGE


async def test_an_answer_finds_its_question(scripted: ScriptedGateway) -> None:
    asked: list[Subscribe] = []

    def collect(peer: Peer, received: Received) -> None:
        message = received.session()
        assert isinstance(message, Subscribe)
        asked.append(message)
        if len(asked) == 2:  # answered the other way round
            peer.send(*[Subscribed(each.request, each.subscription) for each in reversed(asked)])

    scripted.answers[Opcode.SUBSCRIBE] = collect
    async with running(scripted) as (session, _, _peer):
        first, second = await asyncio.gather(
            session.ask(lambda request: Subscribe(request, 1, "wf/a")),
            session.ask(lambda request: Subscribe(request, 2, "wf/b")),
        )
        assert isinstance(first, Subscribed)
        assert isinstance(second, Subscribed)
        assert (first.subscription, second.subscription) == (1, 2)


async def test_an_error_finds_its_question_too(scripted: ScriptedGateway) -> None:
    def refuse(peer: Peer, received: Received) -> None:
        message = received.session()
        assert isinstance(message, Subscribe)
        peer.send(Error(Code.FORBIDDEN, "FORBIDDEN", "not for you", request=message.request))

    scripted.answers[Opcode.SUBSCRIBE] = refuse
    async with running(scripted) as (session, _, _peer):
        with pytest.raises(RequestRefused, match="not for you"):
            await session.ask(lambda request: Subscribe(request, 1, "wf/a"))


async def test_other_errors_go_to_the_owner(scripted: ScriptedGateway) -> None:
    async with running(scripted) as (_, owner, peer):
        peer.send(Error(Code.BAD_SEQUENCE, "BAD_SEQUENCE", "no", alias=3, sequence=9))
        assert (await owner.errors.get()).sequence == 9


async def test_a_question_that_the_loss_leaves_open_fails(scripted: ScriptedGateway) -> None:
    scripted.answers[Opcode.SUBSCRIBE] = lambda peer, received: peer.drop()
    async with running(scripted) as (session, _, _peer):
        with pytest.raises(ConnectionFailed, match="lost"):
            await session.ask(lambda request: Subscribe(request, 1, "wf/a"))
        with pytest.raises(ConnectionFailed, match="lost"):
            await session.ask(lambda request: Subscribe(request, 1, "wf/a"))


async def test_the_reason_of_an_error_before_the_close_is_told(scripted: ScriptedGateway) -> None:
    async with running(scripted) as (_, owner, peer):
        peer.send(Error(Code.SLOW_CONSUMER, "SLOW_CONSUMER", "x" * 300))
        peer.close(Code.SLOW_CONSUMER, "x" * 100)
        assert await owner.lost == Lost(Code.SLOW_CONSUMER, "x" * 300)


async def test_go_away_is_noticed(scripted: ScriptedGateway) -> None:
    async with running(scripted) as (session, owner, peer):
        draining = [session.draining]
        peer.send(GoAway(1001, "stopping", 5.0), ack(1))
        await owner.acks.get()
        draining.append(session.draining)
        assert draining == [False, True]
        assert session.open


async def test_go_away_says_when_to_come_back(scripted: ScriptedGateway) -> None:
    async with running(scripted) as (_, owner, peer):
        peer.send(GoAway(1001, "stopping", 5.0, 0.75))
        peer.close(Code.GOING_AWAY, "stopping")
        assert await owner.lost == Lost(Code.GOING_AWAY, "stopping", 0.75)


async def test_pings_are_answered(scripted: ScriptedGateway) -> None:
    async with running(scripted) as (_, _owner, peer):
        before_ns = time.time_ns()
        peer.send(Ping(42).write())
        received = await peer.next(Opcode.PONG)
        pong = Pong.parse(received.message, received.frame)
        assert pong.t0 == 42
        assert before_ns <= pong.t1 <= pong.t2 <= time.time_ns()


async def test_what_the_gateway_asks_for_goes_before_the_answer_to_its_ping(scripted: ScriptedGateway) -> None:
    async with running(scripted) as (session, owner, peer):
        owner.answer = lambda: session.send((InProgress(7, 1, 2).write(),))
        # PINGs go with the chunks of large messages: a report with each would cost more than the chunks.
        peer.send(Ping(41).write(), Ping(42, report=True).write())
        received = [await peer.next(Opcode.IN_PROGRESS, Opcode.PONG) for _ in range(3)]
        assert [one.opcode for one in received] == [Opcode.PONG, Opcode.IN_PROGRESS, Opcode.PONG]


async def test_the_clock_is_estimated_from_a_few_pings(scripted: ScriptedGateway) -> None:
    ahead_ns = 3_600_000_000_000

    def pong(peer: Peer, received: Received) -> None:
        now_ns = time.time_ns() + ahead_ns
        peer.send(Pong(Ping.parse(received.message, received.frame).t0, now_ns, now_ns).write())

    scripted.answers[Opcode.PING] = pong
    async with running(scripted) as (session, owner, peer):
        for _ in range(FIRST_PINGS):
            await peer.next(Opcode.PING)
        peer.send(ack(1))
        await owner.acks.get()
        assert session.clock.rtt_ns is not None
        assert abs(session.now_ns() - (time.time_ns() + ahead_ns)) < 1_000_000_000


async def test_welcome_is_the_first_exchange_of_clocks(scripted: ScriptedGateway) -> None:
    del scripted.answers[Opcode.PING]
    async with running(scripted) as (session, _owner, _peer):
        assert session.clock.rtt_ns is not None
        assert abs(session.now_ns() - time.time_ns()) < 1_000_000_000


async def test_a_silent_gateway_is_given_up(scripted: ScriptedGateway) -> None:
    assert scripted.welcome is not None
    scripted.welcome = replace(scripted.welcome, heartbeat_interval_s=0.001)  # the least that is taken is 0.1
    del scripted.answers[Opcode.PING]
    async with running(scripted) as (_, owner, _peer):
        assert (await owner.lost).code == Code.HEARTBEAT_TIMEOUT


async def test_a_gateway_that_answers_pings_is_not_given_up(scripted: ScriptedGateway) -> None:
    assert scripted.welcome is not None
    scripted.welcome = replace(scripted.welcome, heartbeat_interval_s=0.1)
    async with running(scripted) as (session, owner, peer):
        for _ in range(FIRST_PINGS + 4):
            await peer.next(Opcode.PING)
        assert session.open
        assert not owner.lost.done()


async def test_silence_of_our_own_making_is_none(scripted: ScriptedGateway) -> None:
    assert scripted.welcome is not None
    scripted.welcome = replace(scripted.welcome, heartbeat_interval_s=0.1)
    async with running(scripted) as (session, owner, peer):
        session.read(False)
        for _ in range(5):  # more than the 2.5 intervals that a silent gateway has
            await peer.next(Opcode.PING)
        assert not owner.lost.done()
        session.read(True)
        peer.send(ack(1))
        await owner.acks.get()


async def test_corked_frames_go_out_together(scripted: ScriptedGateway) -> None:
    async with running(scripted) as (session, _, peer):
        session.cork()
        for t0 in (7, 8, 9):
            session.send((Ping(t0).write(),))
        session.uncork()
        session.send((Ping(10).write(),))
        received = await peer.next(Opcode.PING)
        while Ping.parse(received.message, received.frame).t0 != 7:
            received = await peer.next(Opcode.PING)
        assert len(received.message) == 48


async def test_a_cork_does_not_grow_without_bound(scripted: ScriptedGateway) -> None:
    async with running(scripted) as (session, _, peer):
        frame = FRAME_START.pack(CORKED_BYTES // 2, 0x70, 0, 0) + bytes(CORKED_BYTES // 2 - 8)
        session.cork()
        for _ in range(5):
            session.send((frame,))
        session.uncork()
        for _ in range(5):
            assert len((await peer.next(0x70)).message) <= CORKED_BYTES


async def test_what_is_sent_together_fits_what_the_gateway_takes(scripted: ScriptedGateway) -> None:
    assert scripted.welcome is not None
    limits = replace(scripted.welcome.limits, max_frame_bytes=100_000)
    scripted.welcome = replace(scripted.welcome, limits=limits)
    async with running(scripted) as (session, _, peer):
        frame = FRAME_START.pack(24 * 1024, 0x70, 0, 0) + bytes(24 * 1024 - 8)
        session.send_each([frame] * 10)
        session.cork()
        session.send_each([frame] * 10)
        session.uncork()
        for _ in range(20):
            assert len((await peer.next(0x70)).message) in (24 * 1024, 48 * 1024, 72 * 1024, 96 * 1024)


async def test_drained_waits_for_room_and_fails_with_the_session(scripted: ScriptedGateway) -> None:
    async with running(scripted) as (session, owner, peer):
        frame = FRAME_START.pack(1 << 20, 0x70, 0, 0) + bytes((1 << 20) - 8)
        peer.pause_reading()
        while not session.congested():
            session.send((frame,))
            await asyncio.sleep(0)
        peer.resume_reading()
        await session.drained()
        assert not session.congested()
        assert owner.resumed.is_set()
        peer.pause_reading()
        while not session.congested():
            session.send((frame,))
            await asyncio.sleep(0)
        waiting = asyncio.ensure_future(session.drained())
        await asyncio.sleep(0)
        peer.drop()
        with pytest.raises(ConnectionFailed):
            await waiting


@pytest.mark.parametrize(
    ("limits", "chunk_bytes"),
    [
        (WelcomeLimits(8 << 20, 1 << 32, 512 << 10), 512 << 10),
        (WelcomeLimits(100_000, 1 << 32, 512 << 10), (100_000 - 1024) // 64 * 64),
        (WelcomeLimits(8 << 20, 1 << 32, 1), 4096),
        (WelcomeLimits(8 << 20, 1 << 32, 100_000), 100_000 // 64 * 64),
        (WelcomeLimits(64 << 20, 1 << 32, 32 << 20), 4 << 20),
    ],
)
async def test_the_chunk_size_is_the_advised_one_where_it_can_be(
    scripted: ScriptedGateway, limits: WelcomeLimits, chunk_bytes: int
) -> None:
    assert scripted.welcome is not None
    scripted.welcome = replace(scripted.welcome, limits=limits)
    async with running(scripted) as (session, _, _peer):
        assert session.chunk_bytes == chunk_bytes


async def test_a_gap_without_a_handler_is_no_error(scripted: ScriptedGateway) -> None:
    async with running(scripted) as (session, owner, peer):
        peer.send(Gap(1, Code.QUEUE_FULL, 0, 5).write(), ack(1))
        await owner.acks.get()
        assert session.open
