"""Dispatcher: each frame to whom it concerns, in order, and errors into answers."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain

import pytest

from gateway.connections.dispatcher import FRAMES_A_LOOK, LONG_PARSE_BYTES, drained
from gateway.connections.fanout.delivery_class import MANY_OWED
from gateway.connections.hub.joins import READERS_AT_ONCE
from gateway.connections.inbound.router import RUN_BYTES
from gateway.connections.input_budget import INPUT_S
from gateway.connections.lagging.flush_turns import FEW_MEMBERS, FLUSH_S
from gateway.connections.outbound.bulk_window import BulkWindow
from gateway.connections.outbound.frame_writer import DeliverySettings
from gateway.connections.outbound.outbox import Outbox
from gateway.connections.sessions.session import MAX_UNREADABLE, Session
from gateway.errors import Code, RequestRefused
from gateway.ids import StreamName
from gateway.protocol.data import DataFrame
from gateway.protocol.messages import (
    Account,
    Authenticate,
    Authenticated,
    ClientType,
    Counts,
    Credits,
    Hello,
    Kind,
    Open,
    Refresh,
    SessionMessage,
    StreamInfo,
    Subscribe,
    Subscribed,
    Unsubscribe,
    Unsubscribed,
)
from gateway.protocol.meta import write_meta
from gateway.protocol.session_body import write_session
from gateway.protocol.signals import Abort, Ack, Cancel, End, Ping, Pong, ProgramPosition, ReceiverReport, Replay
from gateway.protocol.wire import FRAME_START, Buffer, Opcode
from gateway.streams.run import Run
from tests.connections.asking import ask, asker_of, cancel, data_frame, member, nothing_is_left, reply
from tests.connections.frames import START_NS, message_frame
from tests.connections.memory import Peer, TextPeer, World
from tests.connections.transport import MemoryTransport


def test_a_ping_is_answered_before_and_after_hello() -> None:
    peer = World().stranger()
    peer.send(Ping(5).write())
    peer.hello()
    peer.send(Ping(6).write())
    pongs = [entry for entry in peer.read().log if isinstance(entry, Pong)]
    assert [pong.t0 for pong in pongs] == [5, 6]
    assert all(pong.t1 <= pong.t2 for pong in pongs)


def test_frames_of_one_websocket_message_are_handled_in_order() -> None:
    peer = World().stranger()
    peer.send(
        write_session(Hello((1,), ClientType.AGENT)), Ping(1).write(), write_session(Hello((1,), ClientType.AGENT))
    )
    kinds = [type(entry).__name__ for entry in peer.read().log]
    assert kinds == ["Welcome", "Pong", "Error"]
    assert peer.close_code() == Code.UNEXPECTED_MESSAGE


def test_what_follows_a_violation_in_the_same_message_does_not_count() -> None:
    world = World()
    publisher = world.publisher("wf/a")
    watcher = world.subscriber("wf/a")
    hello = write_session(Hello((1,), ClientType.AGENT))
    publisher.send(publisher.message(0, b"before"), hello, publisher.message(0, b"after"))
    world.settle()
    assert publisher.close_code() == Code.UNEXPECTED_MESSAGE
    assert [arrival.payload for arrival in watcher.read().arrivals] == [b"before"]
    assert not publisher.transport.late


def test_what_goes_wrong_inside_closes_that_connection_only(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    publisher, other = world.publisher("wf/a"), world.peer("other")
    monkeypatch.setattr(world.core.streams, "open", lambda *_: 1 // 0)
    publisher.open(5, "wf/b")
    assert publisher.close_code() == Code.INTERNAL_ERROR
    assert publisher.read().codes == [Code.INTERNAL]
    assert other.close_code() is None


def test_a_session_message_that_comes_after_the_close_is_ignored() -> None:
    world = World()
    peer = world.peer("late")
    peer.session.connection.close(Code.GOING_AWAY, "stopping")
    world.core.dispatcher.receive_session(peer.session, Open(1, "wf/late", None))
    assert world.core.streams.get(StreamName("wf/late")) is None


@pytest.mark.parametrize("size", [0, 4, 12, 41])
def test_a_websocket_message_that_is_no_multiple_of_eight_bytes_closes(size: int) -> None:
    peer = World().peer()
    peer.send(bytes(size))
    (error,) = peer.read().errors
    assert (error.code, peer.close_code()) == (Code.MALFORMED_FRAME, Code.MALFORMED_FRAME)
    assert f"WebSocket message of {size} bytes" in error.message


@pytest.mark.parametrize("opcode", [Opcode.MESSAGE, Opcode.REQUEST])
def test_data_before_hello_closes(opcode: Opcode) -> None:
    peer = World().stranger()
    peer.send(data_frame(opcode, 0, 1, b"too early"))
    assert peer.close_code() == Code.UNEXPECTED_MESSAGE
    assert peer.read().codes == [Code.UNEXPECTED_MESSAGE]


def test_a_frame_that_only_the_gateway_sends_closes() -> None:
    peer = World().peer()
    peer.send(Ack(0, 1, 1, 0).write())
    assert peer.close_code() == Code.UNEXPECTED_MESSAGE
    (error,) = peer.read().errors
    assert "ACK from the client" in error.message


def test_an_unknown_opcode_is_refused_and_the_frame_behind_it_is_handled() -> None:
    peer = World().peer()
    peer.send(FRAME_START.pack(8, 0x7E, 0, 0), Ping(9).write())
    refused, pong = peer.read().log
    assert peer.reader.codes == [Code.UNKNOWN_MESSAGE_TYPE]
    assert refused is peer.reader.errors[0]
    assert isinstance(pong, Pong)
    assert peer.close_code() is None


def test_a_session_message_with_a_wrong_body_is_refused_by_its_number_and_the_next_is_handled() -> None:
    peer = World().peer()
    wrong = bytes(write_session(Subscribe(7, 1, "wf/a"))).replace(b'"pattern":"wf/a"', b'"pattern":555555')
    peer.send(wrong, write_session(Subscribe(8, 1, "wf/a")))
    (error,) = peer.read().errors
    assert (error.code, error.request) == (Code.INVALID_REQUEST, 7)
    assert Subscribed(8, 1) in peer.reader.log
    assert peer.close_code() is None


def test_messages_batches_and_chunks_are_published_in_the_order_of_their_frames() -> None:
    world = World()
    publisher, watcher = world.publisher("wf/a"), world.subscriber("wf/a")
    large = publisher.large(0, bytes(5000), ack=True)
    large.end()
    publisher.send(publisher.batch(0, [b"r1", b"r2"]), publisher.message(0, b"last"))
    world.settle()
    arrivals = watcher.read().arrivals
    assert [(arrival.offset, arrival.large) for arrival in arrivals] == [(0, True), (1, False), (2, False), (3, False)]
    assert [arrival.payload for arrival in arrivals] == [bytes(5000), b"r1", b"r2", b"last"]


def test_an_abort_ends_its_transfer_and_an_end_behind_it_commits_nothing() -> None:
    world = World()
    publisher, watcher = world.publisher("wf/a"), world.subscriber("wf/a")
    publisher.large(0, bytes(5000), transfer=3).chunk()
    publisher.send(Abort(3, 5001).write(), End(3, 0, START_NS).write(), publisher.message(0, b"next"))
    world.settle()
    assert [abort.code for abort in watcher.read().aborts] == [5001]
    assert [(arrival.offset, arrival.payload) for arrival in watcher.reader.arrivals] == [(0, b"next")]
    assert not publisher.session.transfers


def test_requests_replies_and_cancels_find_the_other_end() -> None:
    world = World()
    worker, asker = member(world, "worker"), asker_of(world)
    ask(asker, 1)
    ask(asker, 2)
    cancel(asker, 2)
    world.settle()
    assert worker.read().offsets == [1, 2]
    assert [found.correlation for found in worker.reader.cancels] == [2]
    reply(worker, asker, 1, b"done")
    world.settle()
    assert [(arrival.offset, arrival.payload) for arrival in asker.read().arrivals] == [(1, b"done")]
    assert nothing_is_left(world)


def test_a_request_that_is_refused_is_answered_by_its_correlation() -> None:
    peer = World().peer()
    ask(peer, 5)
    (error,) = peer.read().errors
    assert (error.code, error.correlation) == (Code.UNKNOWN_STREAM, 5)


def test_a_pong_tells_how_long_the_way_to_the_client_is() -> None:
    world = World()
    peer = world.peer()
    peer.send(Pong(START_NS, START_NS, START_NS).write())
    assert peer.session.connection.bulk_window is None
    window = peer.session.connection.bulk_window = BulkWindow()
    asked_ns = world.clock.time_ns()
    assert window.sent(1 << 20, asked_ns)
    world.clock.advance(0.25)
    peer.send(Pong(asked_ns, asked_ns, asked_ns).write())
    assert window.rtt_ns == pytest.approx(0.25e9, rel=0.01)


def test_reports_of_binary_and_of_json_clients_are_the_same() -> None:
    world = World()
    binary, text = world.peer(), TextPeer(world)
    author = world.publisher("wf/a")
    for payload in (b"a", b"b", b"c"):
        author.publish(0, payload)
    world.settle()
    binary.subscribe("wf/a")
    text.send('{"message_type":"hello","client_type":"agent","payload":{"versions":[1]}}')
    text.send('{"message_type":"subscribe","id":1,"payload":{"pattern":"wf/a"}}')
    world.settle()
    stream = next(iter(binary.session.connection.accounts.ids))
    report = ReceiverReport(1000, 50_000, 4096, 1_000_000_000, (ProgramPosition(stream, 2, 1),))
    binary.send(report.write())
    text.send(
        '{"message_type":"report","payload":'
        '{"decoded_bytes":1000,"decode_ns":50000,"unread_bytes":4096,"unread_ns":1000000000,'
        f'"positions":[{{"stream":{stream},"behind":2,"offset":1}}]}}}}'
    )
    one, other = (peer.session.connection.link for peer in (binary, text))
    assert one is not None
    assert other is not None
    assert one.decode_s_per_byte == other.decode_s_per_byte == pytest.approx(5e-8)
    assert (one.unread_bytes, one.unread_s) == (other.unread_bytes, other.unread_s) == (4096, 1.0)
    assert list(one.positions or ()) == list(other.positions or ()) == list(report.positions)


def test_a_report_with_more_positions_than_it_has_closes_the_connection() -> None:
    peer = World().peer()
    whole = ReceiverReport(0, 0, 1, 1, (ProgramPosition(1, 1, 1),)).write()
    peer.send(whole[:40] + (2**32 - 1).to_bytes(4, "little") + whole[44:])
    assert peer.close_code() == Code.MALFORMED_FRAME


def test_credit_lets_more_through_and_done_removes_what_is_processed() -> None:
    world = World()
    publisher = world.publisher("wf/jobs", kind=Kind.COLLABORATION)
    worker = world.peer("worker")
    number = worker.subscribe("wf/jobs", credits=Credits(1, 1000))
    for payload in (b"a", b"b"):
        publisher.publish(0, payload)
    world.settle()
    assert worker.read().offsets == [0]
    worker.done("wf/jobs", 0)
    worker.grant(number, 1, 1000)
    worker.grant(number + 1, 1, 1000)
    world.settle()
    assert worker.read().offsets == [0, 1]
    worker.drop()
    back = world.subscriber("wf/jobs", "worker")
    world.settle()
    assert back.read().offsets == [1]


def test_a_refresh_sends_the_state_again_and_is_refused_for_a_stream_that_is_not_received() -> None:
    world = World()
    publisher, viewer = world.publisher("wf/s", kind=Kind.STATE), world.subscriber("wf/s")
    publisher.publish(0, b"state")
    world.settle()
    viewer.forget()
    number = viewer.reader.stream_id("wf/s")
    viewer.say(Refresh(number), Refresh(number + 1))
    world.settle()
    assert [arrival.payload for arrival in viewer.read().arrivals] == [b"state"]
    assert viewer.reader.codes == [Code.UNKNOWN_STREAM]


def test_session_messages_are_answered_by_their_request() -> None:
    world = World()
    world.publisher("wf/a").publish(0, b"x")
    peer = world.peer()
    peer.say(Subscribe(1, 4, "wf/a", "beginning"), Authenticate(2, "token"))
    world.settle()
    peer.say(Account(3, 4), Unsubscribe(5, 4))
    log = peer.read().log
    assert Subscribed(1, 4) in log
    assert Authenticated(2, None) in log
    assert Account(3, 4, {"wf/a": Counts(delivered=1, replayed=1)}) in log
    assert log[-1] == Unsubscribed(5, 4)


@pytest.mark.parametrize(
    ("message", "code", "named"),
    [
        (Open(6, "no-slash"), Code.INVALID_NAME, {"alias": 6}),
        (Subscribe(6, 1, "wf//a"), Code.INVALID_NAME, {"request": 6}),
        (Unsubscribe(6, 1), Code.INVALID_REQUEST, {"request": 6}),
        (Account(6, 1), Code.INVALID_REQUEST, {"request": 6}),
        (Refresh(6), Code.UNKNOWN_STREAM, {}),
    ],
)
def test_a_refusal_names_the_message_that_was_refused(
    message: SessionMessage, code: Code, named: dict[str, int]
) -> None:
    world = World()
    binary, text = world.peer("binary"), world.peer("text")
    binary.say(message)
    world.core.dispatcher.receive_session(text.session, message)
    for peer in (binary, text):
        (error,) = peer.read().errors
        assert error.code == code
        assert {"alias": error.alias, "request": error.request} == {"alias": None, "request": None, **named}
        assert peer.close_code() is None


def test_session_messages_of_text_reach_the_same_handlers() -> None:
    world = World()
    worker, asker = member(world, "worker"), asker_of(world)
    ask(asker, 1)
    world.settle()
    dispatcher, session = world.core.dispatcher, asker.session
    dispatcher.receive_session(session, Ping(77))
    dispatcher.receive_session(session, Cancel(0, 1))
    dispatcher.receive_session(session, Subscribe(1, 1, "wf/a"))
    world.settle()
    pong, subscribed = asker.read().log
    assert isinstance(pong, Pong)
    assert pong.t0 == 77
    assert subscribed == Subscribed(1, 1)
    assert [found.correlation for found in worker.read().cancels] == [1]


def test_a_session_message_of_text_that_the_state_does_not_allow_closes() -> None:
    world = World()
    peer = world.stranger()
    world.core.dispatcher.receive_session(peer.session, Subscribe(1, 1, "wf/a"))
    assert peer.close_code() == Code.UNEXPECTED_MESSAGE
    assert not peer.session.subscriptions


def test_an_alias_that_is_opened_for_a_client_is_bound_or_refused_to_the_caller() -> None:
    world = World()
    peer = world.peer()
    world.core.dispatcher.open(peer.session, Open(0, "wf/a", Kind.EVENT))
    (info,) = peer.read().log
    assert isinstance(info, StreamInfo)
    assert (info.alias, info.stream) == (0, "wf/a")
    with pytest.raises(RequestRefused) as refused:
        world.core.dispatcher.open(peer.session, Open(1, "wf/a", Kind.STATE))
    assert refused.value.code == Code.KIND_MISMATCH
    assert not peer.news().log


def test_a_connection_is_drained_when_nothing_waits_in_transport_outbox_or_mailbox() -> None:
    world = World()
    publisher, reader = world.publisher("wf/a"), world.subscriber("wf/a")
    assert drained(reader.session)
    reader.transport.stalled = True
    publisher.publish(0, b"x")
    world.settle()
    assert not drained(reader.session)
    reader.transport.read_on()
    assert drained(reader.session)
    reader.transport.fill_up()
    publisher.publish(0, b"y")
    world.settle()
    reader.transport.waiting = 0
    assert not drained(reader.session)
    reader.transport.read_on()
    world.settle()
    assert drained(reader.session)
    assert [arrival.payload for arrival in reader.read().arrivals] == [b"x", b"y"]


def slow(world: World, monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Let each PING take so long to handle."""
    clock = world.clock
    take_time = clock.time_ns

    def time_ns() -> int:  # PONG has two times
        clock.now_ns += round(seconds * 1e9 / 2)
        return take_time()

    monkeypatch.setattr(clock, "time_ns", time_ns)


def pongs(peer: Peer) -> list[int]:
    return [entry.t0 for entry in peer.news().log if isinstance(entry, Pong)]


def test_a_message_of_many_frames_is_handled_in_several_turns_in_its_order(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    peer, other = world.peer("many"), world.peer("other")
    slow(world, monkeypatch, INPUT_S / 10)
    peer.send(*[Ping(number).write() for number in range(1000)])
    first = pongs(peer)
    assert 10 <= len(first) <= 10 + 2 * FRAMES_A_LOOK
    assert not peer.transport.is_reading()
    peer.send(Ping(1000).write())
    assert pongs(peer) == []
    found = len(first)
    world.clock.turn()
    other.send(Ping(5).write())
    assert pongs(other) == [5]
    second = pongs(peer)
    assert 0 < len(second) <= 30 + 2 * FRAMES_A_LOOK
    world.settle()
    rest = pongs(peer)
    assert first + second + rest == list(range(1001))
    assert found + len(second) < 200
    assert peer.transport.is_reading()


def test_a_full_turn_takes_the_first_frames_of_each_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World()
    peers = [world.peer(f"peer-{number}") for number in range(5)]
    slow(world, monkeypatch, INPUT_S)
    for peer in peers:
        peer.send(*[Ping(number).write() for number in range(100)])
    assert [len(pongs(peer)) for peer in peers] == [FRAMES_A_LOOK * 2] + [FRAMES_A_LOOK] * 4
    world.settle()
    assert [len(pongs(peer)) for peer in peers] == [100 - 2 * FRAMES_A_LOOK] + [100 - FRAMES_A_LOOK] * 4


@pytest.mark.parametrize("is_session", [True, False])
@pytest.mark.parametrize("is_long", [True, False])
def test_behind_much_to_parse_messages_look_at_the_time(*, is_session: bool, is_long: bool) -> None:
    world = World()
    peer, other = world.peer("peer"), world.peer("other")
    fill = {"fill": "x" * (LONG_PARSE_BYTES if is_long else LONG_PARSE_BYTES - 100)}
    if is_session:
        long = write_session(Open(0, "wf/a", schema=fill))
    else:
        meta = memoryview(write_meta([], fill))
        long = b"".join(DataFrame(Opcode.MESSAGE, 0, 0, 0, 1, START_NS, meta=meta, payload=memoryview(b"")).write())
    peer.send(long)
    world.clock.advance(2 * INPUT_S)
    other.send(Ping(1).write())
    assert pongs(other) == ([] if is_long else [1])
    assert (other.session.pending is not None) == is_long
    world.settle()
    assert len(pongs(other)) == is_long
    other.send(Ping(2).write())
    assert pongs(other) == [2]


def test_a_violation_in_the_rest_of_a_message_closes_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    peer = world.peer()
    slow(world, monkeypatch, INPUT_S)
    hello = write_session(Hello((1,), ClientType.AGENT))
    peer.send(*[Ping(number).write() for number in range(50)], hello, Ping(99).write())
    assert peer.close_code() is None
    world.settle()
    assert peer.close_code() == Code.UNEXPECTED_MESSAGE
    assert pongs(peer) == list(range(50))
    assert peer.session.pending is None


def test_frames_behind_one_that_needs_steps_wait_for_them(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    peer = world.peer()
    steps: list[int] = []

    def refresh(session: Session, stream: int) -> None:
        def step() -> bool:
            steps.append(stream)
            return len(steps) < 3

        session.backlog.add(step)

    monkeypatch.setattr(world.core.hub, "refresh", refresh)
    peer.send(Ping(1).write(), write_session(Refresh(7)), Ping(2).write())
    assert pongs(peer) == [1]
    world.settle()
    assert len(steps) == 3
    assert pongs(peer) == [2]


def test_answers_that_are_not_read_stop_the_handling_of_what_causes_them(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(delivery=DeliverySettings(urgent_limit_bytes=4096))
    peer = world.peer()
    slow(world, monkeypatch, INPUT_S / 10)
    peer.transport.stalled = True
    peer.send(*[Ping(number).write() for number in range(5000)])
    world.settle()
    assert peer.close_code() is None
    assert peer.session.pending is not None
    waiting = peer.transport.waiting
    world.settle()
    assert peer.transport.waiting == waiting < peer.transport.high_water + 4096
    peer.transport.read_on()
    world.settle()
    assert pongs(peer) == list(range(5000))


READERS = 16
MESSAGES = 100
DELIVERY_S = INPUT_S / 20
"""Time that each delivery to an outbox takes in these tests."""


class LaggingReaders:
    """Readers of many streams that do not read, a publisher to all of these, and the deliveries to their outboxes."""

    def __init__(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        self.deliveries = 0
        self.publisher = world.peer("flooder")
        for alias in range(MESSAGES):
            self.publisher.open(alias, f"wf/s{alias}", Kind.EVENT)
        self.readers = [world.subscriber("wf/*", f"reader-{number}") for number in range(READERS)]
        world.settle()
        for reader in self.readers:
            reader.forget()
            reader.transport.fill_up()
        put_run = Outbox.put_run

        def counted(outbox: Outbox, run: Run, *, again: bool = False) -> None:
            self.deliveries += 1
            world.clock.now_ns += round(DELIVERY_S * 1e9)
            put_run(outbox, run, again=again)

        monkeypatch.setattr(Outbox, "put_run", counted)

    def frames(self) -> list[bytes]:
        """Return one message to each stream."""
        return [b"".join(self.publisher.message(alias, b"news")) for alias in range(MESSAGES)]

    def counted(self, turn: Callable[[], object]) -> int:
        """Return the number of deliveries of one turn."""
        before = self.deliveries
        turn()
        return self.deliveries - before


@pytest.mark.parametrize("apart", [False, True])
def test_deliveries_to_those_who_lag_take_the_time_of_their_messages(
    monkeypatch: pytest.MonkeyPatch, *, apart: bool
) -> None:
    """In one WebSocket message, or in one for each."""
    world = World()
    lagging = LaggingReaders(world, monkeypatch)
    beat = world.publisher("beat/a")
    watcher = world.subscriber("beat/a", "watcher")
    frames = lagging.frames()
    most = 2 * INPUT_S / DELIVERY_S + 2 * (MANY_OWED + READERS)

    def publish() -> None:
        for part in [[frame] for frame in frames] if apart else [frames]:
            lagging.publisher.send(*part)
        beat.publish(0, b"beat")
        assert beat.session.pending is None, "one that few receive need not wait for a later turn"
        world.clock.turn()

    assert READERS <= lagging.counted(publish) <= most
    assert [arrival.payload for arrival in watcher.news().arrivals] == [b"beat"]
    assert not lagging.publisher.transport.is_reading()
    for _ in range(MESSAGES):
        assert lagging.counted(world.clock.turn) <= most
    assert lagging.deliveries == READERS * MESSAGES
    assert lagging.publisher.transport.is_reading()
    for reader in lagging.readers:
        reader.transport.read_on()
    world.settle()
    for reader in lagging.readers:
        assert len(reader.read().arrivals) == MESSAGES


def test_publishers_go_at_the_pace_of_the_writes_that_they_cause_and_nobody_else_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world, cost_s = World(), 0.0
    write = MemoryTransport.raw_write

    def slow_write(transport: MemoryTransport, data: Buffer) -> None:
        world.clock.now_ns += round(cost_s * 1e9)
        write(transport, data)

    monkeypatch.setattr(MemoryTransport, "raw_write", slow_write)
    streams = range(5)
    readers = [
        [world.subscriber(f"much/{stream}", f"reader-{stream}-{number}") for number in range(FEW_MEMBERS + 1)]
        for stream in streams
    ]
    publishers = [world.publisher(f"much/{stream}") for stream in streams]
    beat, watcher = world.publisher("beat/a"), world.subscriber("beat/a", "watcher")
    for publisher in (*publishers, beat):
        publisher.publish(0, b"zeroth")  # from now on it is known that the readers keep up
    world.settle()
    for reader in (watcher, *chain.from_iterable(readers)):
        reader.forget()
    cost_s = FLUSH_S
    for publisher in publishers:
        publisher.publish(0, b"first")
    world.clock.turn()
    for publisher in publishers:
        publisher.publish(0, b"second")
    beat.publish(0, b"beat")
    assert [publisher.transport.is_reading() for publisher in publishers] == [True, False, False, False, False]
    assert beat.transport.is_reading()
    world.clock.turn()
    assert [arrival.payload for arrival in watcher.news().arrivals] == [b"beat"]
    written = [sum(bool(reader.news().arrivals) for reader in group) for group in readers]
    assert written[0] == FEW_MEMBERS + 1
    assert sum(written) < len(streams) * (FEW_MEMBERS + 1), "one class is flushed in a turn, or two"
    world.settle()
    assert all(publisher.transport.is_reading() for publisher in publishers)
    for group in readers:
        for reader in group:
            assert [arrival.payload for arrival in reader.read().arrivals] == [b"first", b"second"]


def test_one_stream_of_which_much_comes_is_written_to_those_who_keep_up_at_once() -> None:
    world = World()
    readers = [world.subscriber("wf/a", f"reader-{number}") for number in range(MANY_OWED + 8)]
    publisher = world.publisher("wf/a")
    world.settle()
    for reader in readers:
        reader.forget()
    publisher.publish(0, b"first")
    world.settle()
    assert all(len(reader.transport.writes) == 1 for reader in readers)
    for size in range(30):
        publisher.send(publisher.message(0, bytes(size)), Ping(1).write())
    world.settle()
    assert all(len(reader.transport.writes) == 2 for reader in readers)


@pytest.mark.parametrize("alike", [True, False])
def test_long_runs_are_cut(monkeypatch: pytest.MonkeyPatch, *, alike: bool) -> None:
    """Runs of frames that differ in their flags, too, which are patched one by one."""
    world = World()
    publisher = world.publisher("wf/a")
    watcher = world.subscriber("wf/a")
    publisher.publish(0, b"first")
    calm = world.clock.monotonic_s
    looks = 0

    def monotonic_s() -> float:
        nonlocal looks
        looks += 1
        world.clock.now_ns += round(INPUT_S * 1e9)
        return calm()

    monkeypatch.setattr(world.clock, "monotonic_s", monotonic_s)
    count = 3 * RUN_BYTES // len(b"".join(publisher.message(0, b"later"))) + 1
    publisher.sequences[0] = 1
    publisher.send(*[publisher.message(0, b"later", ack=not alike and number % 2 == 0) for number in range(count)])
    assert looks
    first = [arrival.payload for arrival in watcher.read().arrivals]
    assert len(first) < count / 2
    world.settle()
    assert [arrival.payload for arrival in watcher.read().arrivals] == [b"first"] + [b"later"] * count


UNKNOWN = FRAME_START.pack(8, 0xFE, 0, 0)
NO_JSON = FRAME_START.pack(16, Opcode.OPEN, 0, 0) + b"no JSON!"


@pytest.mark.parametrize("frame", [UNKNOWN, NO_JSON])
def test_very_many_frames_in_a_row_that_cannot_be_read_close_the_connection(frame: bytes) -> None:
    peer = World().peer()
    peer.send(*[frame] * (MAX_UNREADABLE - 1))
    assert peer.close_code() is None
    assert len(peer.news().codes) == MAX_UNREADABLE - 1
    peer.send(frame)
    assert peer.close_code() == Code.UNEXPECTED_MESSAGE
    assert peer.news().codes == [Code.UNEXPECTED_MESSAGE]


def test_a_frame_that_can_be_read_begins_the_row_again() -> None:
    peer = World().peer()
    for _ in range(3):
        peer.send(*[UNKNOWN] * (MAX_UNREADABLE // 2), *[NO_JSON] * (MAX_UNREADABLE // 2 - 1), Ping(1).write())
    assert peer.close_code() is None


def test_a_message_begins_the_row_again_as_well() -> None:
    world = World()
    peer = world.publisher("wf/a")
    for _ in range(2 * MAX_UNREADABLE):
        peer.send(UNKNOWN, peer.message(0, b"x"))
    world.settle()
    assert peer.close_code() is None


def test_refusals_of_messages_that_can_be_read_close_nothing() -> None:
    world = World()
    peer = world.publisher("wf/a")
    late = peer.message(0, b"late")
    peer.sequences[0] = 10
    peer.send(peer.message(0, b"ahead"), *[late] * (2 * MAX_UNREADABLE))
    peer.send(*[message_frame(9, 1, b"to no alias")] * (2 * MAX_UNREADABLE))
    peer.say(*[Open(5, "not/**/a name", None)] * (2 * MAX_UNREADABLE))
    world.settle()
    assert peer.close_code() is None
    assert len(peer.news().codes) == 6 * MAX_UNREADABLE


def test_very_many_receivers_join_a_new_stream_before_its_first_message() -> None:
    world = World()
    watchers = [world.subscriber("wf/*", f"watcher-{number}") for number in range(READERS_AT_ONCE + 8)]
    publisher = world.peer("flooder")
    publisher.sequences[0] = 0
    opening = write_session(Open(0, "wf/a", Kind.EVENT))
    publisher.send(opening, publisher.message(0, b"one"), publisher.message(0, b"two"))
    world.settle()
    for watcher in watchers:
        reader = watcher.read()
        assert [arrival.payload for arrival in reader.arrivals] == [b"one", b"two"]
        assert not [entry for entry in reader.log if isinstance(entry, Replay)]
