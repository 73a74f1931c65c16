"""Invariant: the prepared path gives the frames, results and errors of the general one, byte for byte."""

import asyncio
from collections.abc import Callable
from typing import cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.client.messages.read_flow_control import ReadFlowControl
from gateway.client.options import Backoff
from gateway.client.owner import Owner
from gateway.client.report import Reporter
from gateway.client.sending import send_queue, stream_send_queue
from gateway.client.sending.batcher import Batcher, ReadyBatch
from gateway.client.sending.codec_choice import RESAMPLE_AFTER
from gateway.client.sending.outbound_chunk import INLINE_ENCODE_BYTES
from gateway.client.sending.outbound_message import OutboundMessage
from gateway.client.sending.prepared_publish import PreparedPublish, PublishOptions
from gateway.client.sending.publisher import Publisher
from gateway.client.sending.send_context import SendContext
from gateway.client.sending.stream_send_queue import StreamSendQueue
from gateway.client.workers import DaemonWorkers
from gateway.errors import Code, ConnectionFailed
from gateway.ids import ClientId
from gateway.protocol.data import parse_data
from gateway.protocol.durability import Durability
from gateway.protocol.frames import body_of, iter_frames
from gateway.protocol.limits import WelcomeLimits
from gateway.protocol.messages import Error, Kind, Open, StreamInfo, Welcome
from gateway.protocol.session_body import parse_session
from gateway.protocol.signals import Ack
from gateway.protocol.wire import FLAG_ACK, MIN_CHUNK_BYTES, Opcode
from gateway.websocket.masking import JOINED_BELOW
from tests.client.fake_session import FakeSession

LARGE = JOINED_BELOW + 4000
CHUNK_BYTES = 256 * 1024
STREAMS = ("wf/a", "wf/b")


def floats(size: int) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    return np.arange(size, dtype=np.float32)


VALUES: dict[str, Callable[[int], object]] = {
    "floats": lambda seed: floats(4) + np.float32(seed),
    "five": lambda seed: floats(5) * np.float32(seed),
    "int32": lambda seed: np.full(4, seed, np.int32),
    "bools": lambda seed: np.full((2, 3), seed % 2 == 0),
    "scalar": lambda seed: np.float64(seed) * np.ones(()),
    "empty": lambda seed: np.empty((0, 4), np.int8),
    "big-endian": lambda seed: np.full(4, seed, ">f4"),
    "strided": lambda seed: floats(8)[::2],
    "transposed": lambda seed: floats(6).reshape(2, 3).T,
    "row": lambda seed: floats(6).reshape(2, 3),
    "named": lambda seed: {"a": floats(3), "b": floats(2)},
    "list": lambda seed: [seed, 2, 3],
    "none": lambda seed: None,
    "noise": lambda seed: np.random.default_rng(seed).integers(0, 256, LARGE, np.uint8),
    "zeros": lambda seed: np.full(LARGE, seed % 256, np.uint8),
    "much": lambda seed: np.random.default_rng(seed).integers(0, 256, INLINE_ENCODE_BYTES + 8, np.uint8),
    "number": lambda seed: np.float32(1.5),
    "object": lambda seed: object(),
}
SCHEMA = {"dtype": "float32", "shape": [None]}
KEYWORDS: dict[str, dict[str, object]] = {
    "": {},
    "event": {"kind": "event"},
    "state": {"kind": "state"},
    "unknown": {"kind": "no such kind"},
    "memory": {"durability": "memory"},
    "headers": {"headers": {"key": 1}},
    "plain": {"codec": "none"},
    "lz4": {"codec": "lz4"},
    "unlimited": {"timeout_s": None},
    "negative": {"timeout_s": -1},
    "schema": {"schema": SCHEMA},
    "expires": {"kind": "collaboration", "expires_in_s": 60.0},
    "region": {"region": np.s_[0:4]},
    "tensor": {"tensor": "a"},
    "progress": {"progress": print},
}
TIMEOUT_S = 60.0

Look = tuple[str, str]
"""Name of a value, and of keywords."""
looks: st.SearchStrategy[Look] = st.tuples(st.sampled_from([*VALUES]), st.sampled_from([*KEYWORDS]))


def burst(usual: Look, odd: list[Look]) -> list[Look]:
    """Publishes that look alike until the prepared path is taken, and then ones that do not, with others in between."""
    return [usual] * 3 + [look for other in odd for look in (other, usual)]


def varied(usual: Look) -> st.SearchStrategy[list[Look]]:
    """Publishes that differ from the usual one in their value or their keywords."""
    value, keyword = usual
    other = st.one_of(looks, looks.map(lambda look: (look[0], keyword)), looks.map(lambda look: (value, look[1])))
    return st.lists(other, max_size=3).map(lambda odd: burst(usual, odd))


kinds = st.sampled_from([None, None, "event", "state"])
publishes = st.tuples(st.just("publish"), st.sampled_from(STREAMS), looks.flatmap(varied), st.integers(0, 9))
Step = tuple[object, ...]
steps: st.SearchStrategy[Step] = st.one_of(
    publishes,
    publishes,
    publishes,
    st.tuples(st.just("nowait"), st.sampled_from(STREAMS), st.sampled_from([*VALUES]), kinds, st.integers(1, 3)),
    st.tuples(st.just("alone"), st.sampled_from(STREAMS), st.sampled_from([*VALUES]), kinds, st.integers(2, 4)),
    st.tuples(st.just("ack"), st.integers(1, 9)),
    st.tuples(st.just("ack"), st.integers(1, 9)),
    st.tuples(
        st.just("refuse"),
        st.sampled_from([Code.QUEUE_FULL, Code.FORBIDDEN, Code.SCHEMA_MISMATCH, Code.STREAM_ENDED, Code.DRAINING]),
    ),
    st.tuples(st.just("lose")),
    st.tuples(st.just("attach"), st.sampled_from([MIN_CHUNK_BYTES, CHUNK_BYTES])),
    st.tuples(st.just("congest"), st.booleans()),
    st.tuples(st.just("drain")),
    st.tuples(st.just("cancel")),
)


def session_of(chunk_bytes: int = CHUNK_BYTES) -> FakeSession:
    """A session with a gateway that has such chunks."""
    limits = WelcomeLimits(1 << 20, 1 << 30, chunk_bytes, LARGE)
    return FakeSession(Welcome(1, ClientId("me"), "s", 1, ("lz4", "zstd"), ("shuffle",), limits, 20.0, 0))


class GeneralPublisher(Publisher):
    """A publisher without the prepared path."""

    def _send_alike(self, *arguments: object) -> None: ...

    def _queue_of(self, stream: str) -> StreamSendQueue:
        queue = super()._queue_of(stream)
        queue.send_alone = lambda ready: False  # type: ignore[method-assign]
        return queue


class Twin:
    """One of two clients that are told the same."""

    def __init__(self, publisher: type[Publisher]) -> None:
        self.loop = asyncio.get_running_loop()
        self.now_ns = 0
        self.told: list[str] = []
        report = Reporter(lambda error: self.told.append(str(error)))
        self.context = SendContext(ReadFlowControl(lambda reading: None), report, Owner(self.loop))
        self.publisher = publisher(self.context, self.clock)
        self.publisher.producer = 7
        flush = self.publisher.flush
        self.batcher = Batcher(
            max_pending_bytes=1 << 20,
            now_ns=self.clock,
            check=self.publisher.check,
            first=lambda: self.loop.call_soon(flush),
            full=flush,
        )
        self.publisher.collect_from(self.batcher)
        self.publishing: list[asyncio.Task[tuple[object, ...]]] = []
        self.session = session_of()
        self.sessions = [self.session]
        self.context.attach(self.session)

    def clock(self) -> int:
        self.now_ns += 1
        return self.now_ns

    async def outcome(self, stream: str, value: object, options: PublishOptions) -> tuple[object, ...]:
        try:
            result = await self.publisher.publish(stream, value, options)
        except Exception as error:  # noqa: BLE001 - of whatever kind, it is to be that of the other twin
            return type(error), str(error).replace(repr(value), "value")
        return result.offset, result.epoch, result.bytes_transmitted, result.compression_ratio, result.durability

    def publish(self, stream: str, value: object, keywords: dict[str, object]) -> None:
        given: dict[str, object] = dict.fromkeys(PublishOptions._fields)
        given |= {"codec": "auto", "timeout_s": TIMEOUT_S} | keywords
        options = PublishOptions(**given)  # type: ignore[arg-type]  # some are wrong on purpose
        self.publishing.append(self.loop.create_task(self.outcome(stream, value, options)))

    def nowait(self, stream: str, value: object, kind: str | None) -> None:
        try:
            self.batcher.add(stream, value, kind, None)
        except Exception as error:  # noqa: BLE001 - see outcome
            self.told.append(f"{type(error)} {str(error).replace(repr(value), 'value')}")

    def lose(self) -> None:
        if self.context.session is None:
            return
        self.session.is_open = False
        self.context.detach("lost")
        self.publisher.detached(self.context.aliases.clear(ConnectionFailed("the connection was lost")))

    def attach(self, chunk_bytes: int) -> None:
        self.lose()
        self.session = session_of(chunk_bytes)
        self.sessions.append(self.session)
        self.context.attach(self.session)
        self.publisher.flush()

    async def end(self) -> None:
        for task in self.publishing:
            task.cancel()
        await asyncio.gather(*self.publishing, return_exceptions=True)
        self.lose()
        await self.context.cancel()
        self.context.close(ConnectionFailed("closed"))


class Case:
    """Two twins, and the gateway that both speak to."""

    def __init__(self) -> None:
        self.twins = [Twin(Publisher), Twin(GeneralPublisher)]
        self.read = 0
        self.opened: dict[int, Open] = {}
        self.unanswered: list[tuple[int, int, int]] = []
        self.offset = 0

    async def take(self, step: Step) -> None:
        name, *arguments = step
        if name == "alone":
            *arguments, times = arguments
            for _ in range(cast(int, times)):
                await self.take(("nowait", *arguments, 1))
            return
        getattr(self, f"_{name}")(*arguments)
        for _ in range(30):
            await asyncio.sleep(0)
        one, other = self.twins
        assert one.session.sent == other.session.sent
        assert one.told == other.told
        assert [task.done() for task in one.publishing] == [task.done() for task in other.publishing]
        self._read_frames()

    def _read_frames(self) -> None:
        message = memoryview(bytes(self.twins[0].session.sent[self.read :]))
        self.read += len(message)
        for frame in iter_frames(message) if message else ():
            if frame.opcode == Opcode.OPEN:
                opening = parse_session(frame.opcode, body_of(message, frame))
                assert isinstance(opening, Open)
                self.opened[opening.alias] = opening
            elif frame.opcode in (Opcode.MESSAGE, Opcode.BATCH):
                data = parse_data(message, frame)
                if data.flags & FLAG_ACK:
                    self.unanswered.append((data.stream, data.offset, data.count))

    def _info(self, alias: int) -> StreamInfo:
        opened = self.opened[alias]
        kind, durability = opened.kind or Kind.STATE, opened.durability or Durability.MEMORY
        return StreamInfo(7 + alias, opened.stream, kind, 5, 0, alias=alias, durability=durability)

    def _publish(self, stream: str, burst: list[Look], seed: int) -> None:
        for index, (value, keyword) in enumerate(burst):
            for twin in self.twins:
                twin.publish(stream, VALUES[value](seed + index), KEYWORDS[keyword])

    def _nowait(self, stream: str, value: str, kind: str | None, count: int) -> None:
        for index in range(count):
            for twin in self.twins:
                twin.nowait(stream, VALUES[value](index), kind)

    def _both(self, stream: str, value: str) -> None:
        self._nowait(stream, value, None, 2)
        self._publish(stream, [("floats", "event")] * 3, 0)

    def _ack(self, count: int) -> None:
        answered, self.unanswered = self.unanswered[:count], self.unanswered[count:]
        for alias, sequence, records in answered:
            self.offset += records
            frame = memoryview(Ack(alias, records, sequence + records - 1, self.offset).write())
            for twin in self.twins:
                bound = twin.context.aliases.get(alias)
                assert bound is not None
                bound.answer(self._info(alias))
                twin.publisher.acked(frame, next(iter_frames(frame)))

    def _refuse(self, code: Code) -> None:
        if not self.unanswered:
            return
        alias, sequence, count = self.unanswered.pop(0)
        error = Error(code, code.name, "because", alias=alias, sequence=sequence + count - 1, count=count)
        for twin in self.twins:
            bound = twin.context.aliases.refused_by(error)
            assert bound is not None
            bound.answer(self._info(alias))
            twin.publisher.refused(error, bound)

    def _lose(self) -> None:
        self.opened, self.unanswered, self.read = {}, [], 0
        for twin in self.twins:
            twin.lose()
            twin.session = session_of()

    def _attach(self, chunk_bytes: int) -> None:
        self.opened, self.unanswered, self.read = {}, [], 0
        for twin in self.twins:
            twin.attach(chunk_bytes)

    def _congest(self, congested: bool) -> None:
        for twin in self.twins:
            twin.session.is_congested = congested

    def _drain(self) -> None:
        for twin in self.twins:
            twin.session.draining = True

    def _cancel(self) -> None:
        for twin in self.twins:
            for task in [task for task in twin.publishing if not task.done()][:1]:
                task.cancel()

    async def end(self) -> None:
        one, other = self.twins
        for twin in self.twins:
            await twin.end()
        outcomes = [[None if task.cancelled() else task.result() for task in twin.publishing] for twin in (one, other)]
        assert outcomes[0] == outcomes[1]
        assert one.told == other.told


def at_once(work: Callable[..., object], *arguments: object) -> asyncio.Future[object]:
    """Do work that a thread does otherwise, so that both twins come to the same point in the same turns."""
    done: asyncio.Future[object] = asyncio.get_running_loop().create_future()
    try:
        done.set_result(work(*arguments))
    except Exception as error:  # noqa: BLE001 - for the waiting caller
        done.set_exception(error)
    return done


async def compare(script: list[Step]) -> None:
    case = Case()
    try:
        for step in script:
            await case.take(step)
    finally:
        await case.end()


def run(script: list[Step]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stream_send_queue, "WINDOW_BYTES", 16 * LARGE)
        patch.setattr(send_queue, "AGAIN", Backoff(base_s=0, cap_s=0, later_s=0))
        patch.setattr(DaemonWorkers, "run", lambda workers, work, *arguments: at_once(work, *arguments))
        asyncio.run(compare(script))


def publishing(value: str = "floats", keyword: str = "event", count: int = 3, stream: str = "wf/a") -> Step:
    return "publish", stream, [(value, keyword)] * count, 1


ACK, LOSE = ("ack", 99), ("lose",)


@settings(max_examples=150)
@given(st.lists(steps, min_size=3, max_size=20))
def test_both_paths_give_the_same(script: list[Step]) -> None:
    run(script)


@pytest.mark.parametrize("keyword", KEYWORDS)
@pytest.mark.parametrize("usual", ["floats", "row", "scalar"])
def test_what_looks_otherwise_goes_the_general_way(usual: str, keyword: str) -> None:
    look = usual, "event"
    odd = [*((value, "event") for value in VALUES), (usual, keyword)]
    run([publishing(usual), ACK, ("publish", "wf/a", burst(look, odd), 2), ACK, publishing(usual, keyword), ACK])


@pytest.mark.parametrize(
    "script",
    [
        # Another session: with smaller limits, with other aliases, without one.
        [publishing("noise"), ACK, ("attach", MIN_CHUNK_BYTES), publishing("noise"), ACK, publishing("noise")],
        [publishing(), ACK, ("attach", CHUNK_BYTES), publishing(stream="wf/b"), publishing(), ACK, publishing()],
        [publishing(), ("ack", 2), publishing(), ("attach", CHUNK_BYTES), publishing(), ACK, publishing()],
        [publishing(), ACK, LOSE, publishing(), ("attach", CHUNK_BYTES), publishing(), ACK, publishing()],
        [publishing(), ACK, ("drain",), publishing(), ("attach", CHUNK_BYTES), ACK, publishing(), ACK],
        # Another stream of the name, and refusals.
        [publishing(), publishing(), ("refuse", Code.STREAM_ENDED), publishing(), ACK, publishing(), ACK],
        [publishing(), ("refuse", Code.QUEUE_FULL), publishing(), ACK, publishing(count=5), LOSE],
        [publishing(), ACK, publishing(), ("refuse", Code.SCHEMA_MISMATCH), publishing(), ACK],
        # Messages before them: those of publish_nowait, large ones, ones that are encoded.
        [publishing(), ACK, ("both", "wf/a", "five"), ACK, ("both", "wf/a", "zeros"), publishing(), ACK],
        [publishing("zeros"), publishing(), ACK, publishing("zeros"), publishing("floats"), ACK],
        [*[publishing("much"), ACK] * 2, ("congest", True), publishing("much"), publishing(), ("congest", False)],
        # A patch of the state that was published last.
        [("publish", "wf/a", burst(("floats", ""), [("row", ""), ("floats", "region")]), 0), ACK],
        [publishing("named", ""), ACK, publishing("none", ""), ACK, publishing("list", ""), ACK, publishing(), ACK],
        # More than may be under way.
        [publishing("noise"), ACK, publishing("noise", count=20), ACK, publishing("noise"), ACK],
        # Declarations that the stream was not opened with.
        [publishing(keyword=""), publishing(), publishing(keyword=""), ACK, publishing(keyword="state"), ACK],
        [publishing(), publishing(keyword="memory"), ACK, publishing(keyword="memory"), ACK, publishing()],
        [publishing(), publishing(), ("cancel",), ("cancel",), ACK, publishing(), ("cancel",), LOSE],
    ],
)
def test_the_state_of_the_stream_decides(script: list[Step]) -> None:
    run(script)


@pytest.mark.parametrize("value", ["noise", "zeros"])
@pytest.mark.parametrize("keyword", ["event", "lz4", "plain"])
def test_the_codec_is_that_of_the_last_sample(value: str, keyword: str) -> None:
    script = [publishing(value, keyword, RESAMPLE_AFTER // 4), ACK] * 12
    script[4:4] = [publishing("zeros", keyword, RESAMPLE_AFTER), ACK]
    run(script)


async def test_most_publishes_take_the_prepared_path(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[bool] = []
    send_alike = StreamSendQueue.send_alike

    def noted(queue: StreamSendQueue, message: OutboundMessage) -> bool:
        taken.append(send_alike(queue, message))
        return taken[-1]

    monkeypatch.setattr(StreamSendQueue, "send_alike", noted)
    case = Case()
    await case.take(publishing(count=10))
    assert taken == [True] * 8
    await case.take(("attach", CHUNK_BYTES))
    await case.take(publishing(count=10))
    assert taken[8:] == [False, *[True] * 9]
    await case.end()


@pytest.mark.parametrize(
    "script",
    [
        [
            ("nowait", "wf/a", "floats", "event", 1),
            ("lose",),
            ("attach", CHUNK_BYTES),
            ("alone", "wf/a", "floats", None, 4),
        ],
        [("alone", "wf/a", "floats", "event", 3), ("attach", CHUNK_BYTES), ("alone", "wf/a", "floats", None, 4)],
    ],
    ids=["lost", "another session"],
)
def test_messages_that_declare_less_wait_until_the_stream_is_open_again(script: list[Step]) -> None:
    run(script)


async def test_most_messages_that_nobody_waits_for_take_the_prepared_path(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[bool] = []
    send_alone = StreamSendQueue.send_alone

    def noted(queue: StreamSendQueue, ready: ReadyBatch) -> bool:
        taken.append(send_alone(queue, ready))
        return taken[-1]

    monkeypatch.setattr(StreamSendQueue, "send_alone", noted)
    case = Case()
    await case.take(("alone", "wf/a", "floats", "event", 10))
    assert taken == [False] * 2 + [True] * 8
    await case.take(("nowait", "wf/a", "floats", "event", 2))  # a record batch
    await case.take(("alone", "wf/a", "floats", "event", 2))
    await case.take(("attach", CHUNK_BYTES))
    await case.take(("alone", "wf/a", "floats", "event", 3))
    assert taken[10:] == [False, True, True, False, True, True]
    await case.end()


async def test_an_array_that_another_thread_changes_goes_the_general_way(monkeypatch: pytest.MonkeyPatch) -> None:
    case = Case()
    await case.take(publishing())
    monkeypatch.setattr(PreparedPublish, "joined", lambda *arguments: None)
    await case.take(publishing())
    await case.take(ACK)
    await case.end()
    assert [task.result()[0] for task in case.twins[0].publishing] == [1, 2, 3, 4, 5, 6]
