"""Hub: who receives which streams."""

from __future__ import annotations

import sys
from collections.abc import Generator, Iterator, Sequence
from typing import cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.connections.consumers.consumer_fanout import ConsumerFanout
from gateway.connections.consumers.stats import ConsumerStats
from gateway.connections.hub.hub import STEP, Hub
from gateway.connections.hub.stats import HubStats, KindStats, StreamStats
from gateway.connections.inbound.partial_uploads import PartialUploads
from gateway.connections.inbound.stream_closing import StreamClosing
from gateway.connections.sessions.session import Session
from gateway.errors import Code
from gateway.ids import ClientId, StreamName
from gateway.protocol.limits import Limits
from gateway.protocol.messages import EndReason, Kind, Refresh, StreamInfo, Subscribed, Unsubscribe, Unsubscribed
from gateway.protocol.names import Pattern, compile_pattern
from gateway.protocol.views import View
from gateway.shrinking import SMALL
from gateway.streams.rules import StreamConfig
from tests.connections.consumer_context import consumer_context
from tests.connections.memory import Peer, World
from tests.connections.reader import Arrival
from tests.connections.view_context import view_context


def announced(peer: Peer) -> list[str]:
    return [entry.stream for entry in peer.read().log if isinstance(entry, StreamInfo)]


@pytest.mark.parametrize("pattern", ["wf/a", "wf/*", "**", "*/a", "wf/**"])
@pytest.mark.parametrize("late", [False, True])
def test_a_pattern_that_matches(pattern: str, late: bool) -> None:
    world = World()
    publisher = world.publisher("wf/a", "other/stream/b") if late else world.publisher()
    subscriber = world.subscriber(pattern)
    if not late:
        publisher.open(0, "wf/a")
        publisher.open(1, "other/stream/b")
    publisher.publish(0, b"x")
    world.settle()
    assert "wf/a" in announced(subscriber)
    assert len(subscriber.reader.arrivals) == 1
    assert ("other/stream/b" in announced(subscriber)) == (pattern == "**")


def test_the_answer_comes_before_the_streams_and_they_before_their_messages() -> None:
    world = World()
    publisher = world.publisher("wf/a", kind=Kind.STATE)
    publisher.publish(0, b"newest")
    subscriber = world.subscriber("wf/*")
    world.settle()
    first, second, third = subscriber.read().log
    assert isinstance(first, Subscribed)
    assert isinstance(second, StreamInfo)
    assert (second.offset, second.alias) == (1, None)
    assert third == subscriber.reader.arrivals[0]


def test_overlapping_subscriptions_deliver_once() -> None:
    world = World()
    publisher = world.publisher("wf/a")
    subscriber = world.subscriber("wf/*")
    subscriber.subscribe("wf/a")
    subscriber.subscribe("**")
    publisher.publish(0, b"x")
    world.settle()
    assert len(subscriber.read().arrivals) == 1


@given(
    patterns=st.lists(st.sampled_from(["wf/a", "wf/b", "wf/*", "**", "*/b"]), min_size=1, max_size=5),
    removed=st.data(),
)
def test_a_stream_stays_as_long_as_one_subscription_matches(patterns: list[str], removed: st.DataObject) -> None:
    world = World()
    publisher = world.publisher("wf/a", "wf/b")
    subscriber = world.peer()
    numbers = {subscriber.subscribe(pattern): pattern for pattern in patterns}
    for number in removed.draw(st.permutations(sorted(numbers))):
        subscriber.say(Unsubscribe(100 + number, number))
        del numbers[number]
        subscriber.forget()
        publisher.publish(0, b"x")
        publisher.publish(1, b"x")
        world.settle()
        got = {subscriber.reader.streams[arrival.stream].stream for arrival in subscriber.read().arrivals}
        expected = {
            name for name in ("wf/a", "wf/b") if any(compile_pattern(p).matches(name) for p in numbers.values())
        }
        assert got == expected
    publisher.open(7, "wf/c")
    publisher.publish(7, b"x")
    world.settle()
    assert not subscriber.news().log


def test_unsubscribing_is_answered_and_drops_what_waits() -> None:
    world = World()
    publisher = world.publisher("wf/a")
    subscriber = world.subscriber("wf/a")
    subscriber.transport.fill_up()
    publisher.publish(0, b"waits")
    world.settle()
    subscriber.say(Unsubscribe(5, 1))
    subscriber.transport.read_on()
    world.settle()
    assert not subscriber.read().arrivals
    assert isinstance(subscriber.reader.log[-1], Unsubscribed)


def test_whoever_leaves_is_forgotten() -> None:
    world = World()
    publisher = world.publisher("wf/a")
    for pattern in ("wf/a", "wf/*"):
        world.subscriber(pattern).drop()
    publisher.open(1, "wf/b")
    publisher.publish(0, b"x")
    publisher.publish(1, b"x")
    world.settle()
    assert not any(fanout.receivers for fanout in world.core.hub.fanouts)


def test_a_subscriber_that_goes_in_the_turn_of_a_message_is_written_nothing_more() -> None:
    world = World()
    publisher = world.publisher("wf/a")
    leaving, staying = world.subscriber("wf/a", "leaving"), world.subscriber("wf/a", "staying")
    publisher.publish(0, b"x")
    leaving.transport.close(1000, "gone")
    leaving.drop()
    world.settle()
    assert not leaving.transport.late
    assert len(staying.read().arrivals) == 1


def test_ids_are_the_same_on_all_connections() -> None:
    world = World()
    publisher = world.publisher("wf/a", "wf/b")
    one, two = world.subscriber("**", "one"), world.subscriber("wf/b", "two")
    publisher.publish(1, b"x")
    world.settle()
    assert one.read().stream_id("wf/b") == two.read().stream_id("wf/b") == one.reader.arrivals[0].stream


def test_too_many_streams() -> None:
    world = World(limits=Limits(max_streams=1))
    publisher = world.publisher("wf/a")
    publisher.open(1, "wf/b")
    publisher.open(2, "wf/a")
    assert [error.error for error in publisher.read().errors] == ["LIMIT_EXCEEDED"]
    assert len(world.core.streams) == 1


class Recorder:
    """A :class:`~gateway.connections.ports.SubscriptionListener` that writes down what it is told."""

    def __init__(self) -> None:
        self.log: list[str] = []

    def joined(self, client_id: ClientId, pattern: Pattern, *, observing: bool) -> None:
        self.log.append(f"{client_id} {'observes' if observing else 'joined'} {pattern.text}")

    def left(self, client_id: ClientId, patterns: Sequence[Pattern], *, returning: bool) -> None:
        names = " ".join(pattern.text for pattern in patterns)
        self.log.append(f"{client_id} left {names}, {'returning' if returning else 'unsubscribed'}")


def closing_of(world: World) -> StreamClosing:
    gate, clock = world.core.gate, world.clock
    return StreamClosing(gate, PartialUploads(Limits(), clock, 60, gate), world.core.producers, world.core.pool)


def observed_hub() -> tuple[Hub, Recorder, Session]:
    """A hub with an observer, and the session of a client that has said HELLO."""
    world = World()
    context = consumer_context(world)
    recorder = Recorder()
    hub = Hub(world.core.streams, view_context(world), context, closing_of(world), world.core.slices, [recorder])
    return hub, recorder, world.peer("worker").session


def test_observers_are_told_of_subscriptions_as_they_begin_and_end() -> None:
    hub, recorder, session = observed_hub()
    hub.open(StreamName("wf/tasks"), Kind.EVENT)
    hub.subscribe(session, 1, compile_pattern("wf/*"))
    hub.subscribe(session, 2, compile_pattern("wf/other"))
    hub.subscribe(session, 3, compile_pattern("wf/tasks"))
    hub.unsubscribe(session, 1)
    hub.unsubscribe(session, 2, keep=True)
    hub.lose(session)
    hub.drop(session)
    assert recorder.log == [
        "worker joined wf/*",
        "worker joined wf/other",
        "worker joined wf/tasks",
        "worker left wf/*, unsubscribed",
        "worker left wf/other, returning",
        "worker left wf/tasks, returning",
    ]


def test_inboxes_are_not_observed() -> None:
    hub, recorder, session = observed_hub()
    session.add_subscription(1, compile_pattern("agent:worker"))
    session.add_subscription(2, compile_pattern("group:workers"))
    hub.unsubscribe(session, 1)
    hub.lose(session)
    hub.drop(session)
    assert recorder.log == ["worker left , returning"]


def test_a_stream_that_is_opened_while_a_client_is_away_is_kept_for_it() -> None:
    hub, _, session = observed_hub()
    hub.subscribe(session, 1, compile_pattern("wf/*"))
    hub.lose(session)
    hub.drop(session)
    _, fanout = hub.open(StreamName("wf/tasks"), Kind.COLLABORATION)
    assert isinstance(fanout, ConsumerFanout)
    assert list(fanout.consumers) == ["worker"]


def consumers_of_stream(world: World, name: str = "wf/tasks") -> list[str]:
    _, fanout = world.core.hub.open(StreamName(name), Kind.COLLABORATION)
    assert isinstance(fanout, ConsumerFanout)
    return list(fanout.consumers)


def test_a_client_is_not_waited_for_that_has_subscribed_on_its_newest_connection_before_the_older_is_gone() -> None:
    world = World()
    older = world.peer("worker", instance=1)
    older.subscribe("wf/*")
    older.session.backlog.add(lambda: False)
    newest = world.peer("worker", instance=1)
    number = newest.subscribe("wf/*")
    assert older.session in list(world.core.pool)
    world.settle()
    assert older.session not in list(world.core.pool)
    newest.unsubscribe(number)
    assert consumers_of_stream(world) == []


@pytest.mark.parametrize("observes", [False, True], ids=["another pattern", "observing"])
def test_a_client_is_waited_for_whose_newest_connection_does_not_take_what_an_older_one_took(observes: bool) -> None:
    world = World()
    older = world.peer("worker", instance=1)
    older.subscribe("wf/*")
    older.session.backlog.add(lambda: False)
    world.peer("worker", instance=1).subscribe("wf/*" if observes else "other/*", observe=observes)
    world.settle()
    assert consumers_of_stream(world) == ["worker"]


@pytest.mark.parametrize("opened", ["first", "before the older is gone", "afterwards"])
@pytest.mark.parametrize("older_is", ["lost", "being closed"])
@pytest.mark.parametrize("again", [False, True], ids=["left", "left and came back"])
def test_a_client_is_not_waited_for_that_has_left_on_its_newest_connection(
    opened: str, older_is: str, again: bool
) -> None:
    world = World()
    older = world.peer("worker", instance=1)
    older.subscribe("wf/*")
    found = [consumers_of_stream(world)] if opened == "first" else []
    if older_is == "lost":
        older.session.backlog.add(lambda: False)
    else:
        older.session.connection.close(Code.SLOW_CONSUMER, "it reads nothing")
    newest = world.peer("worker", instance=1)
    newest.unsubscribe(newest.subscribe("wf/*"))
    if opened == "before the older is gone":
        found.append(consumers_of_stream(world))
    if again:
        newest.subscribe("wf/*")
    older.drop()
    world.settle()
    found.append(consumers_of_stream(world))
    assert older.session not in list(world.core.pool)
    now = ["worker"] if again else []
    assert found == {"first": [["worker"], now], "before the older is gone": [[], now], "afterwards": [now]}[opened]


def test_what_a_lost_connection_had_sent_ends_the_wait_for_its_client() -> None:
    world = World()
    consumers_of_stream(world)
    older = world.peer("worker", instance=1)
    numbers = [older.subscribe(pattern) for pattern in ("wf/*", "other/*", "other/*")]
    older.session.backlog.add(lambda: False)
    for number in numbers[:2]:
        older.unsubscribe(number)
    older.drop()
    assert older.session.lost
    waited = [consumers_of_stream(world, "wf/early")]
    world.settle()
    for name in ("wf/tasks", "wf/early", "wf/late", "other/late"):
        waited.append(consumers_of_stream(world, name))
    assert waited == [["worker"], [], [], [], ["worker"]]


def test_listeners_are_told_of_a_loss_once() -> None:
    hub, recorder, session = observed_hub()
    hub.subscribe(session, 1, compile_pattern("wf/*"))
    hub.subscribe(session, 2, compile_pattern("wf/other"), observe=True)
    recorder.log.clear()
    hub.lose(session)
    assert recorder.log == ["worker left wf/other, unsubscribed", "worker left wf/*, returning"]
    hub.drop(session)
    assert len(recorder.log) == 2


@pytest.mark.parametrize("too", [[], ["wf/s"]], ids=["view only", "stream too"])
def test_refresh_of_a_view_brings_the_newest_version_of_the_view(too: Sequence[str]) -> None:
    world = World()
    publisher = world.publisher("wf/s", kind=Kind.STATE)
    viewer = world.peer("viewer")
    viewer.subscribe("wf/s", view=View(np.s_[1:]))
    for pattern in too:
        viewer.subscribe(pattern)
    publisher.publish(0, b"abc")
    world.settle()
    (view,) = [stream.id for stream in viewer.read().streams.values() if stream.subscription is not None]
    viewer.reader.log.clear()
    assert view is not None
    viewer.say(Refresh(view))
    world.settle()
    assert viewer.close_code() is None
    (arrival,) = viewer.read().log
    assert isinstance(arrival, Arrival)
    assert (arrival.stream, arrival.payload) == (view, b"bc")


def test_stats_add_up_streams_views_and_consumers() -> None:
    world = World()
    publisher = world.publisher("wf/s", "wf/other", kind=Kind.STATE)
    publisher.open(2, "wf/tasks", Kind.COLLABORATION)
    viewer, worker = world.peer("viewer"), world.subscriber("wf/tasks", "worker")
    viewer.subscribe("wf/s", view=View(np.s_[1:]))
    viewer.subscribe("wf/s")
    for alias in (0, 1, 2):
        publisher.publish(alias, b"abc")
    world.settle()
    stats = finish(world.core.hub.stats())
    assert stats.kinds[Kind.STATE] == KindStats(2, 2, stats.kinds[Kind.STATE].published_bytes, 2)
    assert stats.kinds[Kind.COLLABORATION].delivered_messages == 1
    assert stats.kinds[Kind.EVENT] == KindStats()
    assert (stats.consumers.present, stats.consumers.pending) == (1, 1)
    assert (stats.views.views, stats.views.delivered_messages[Kind.STATE]) == (1, 1)
    state, tasks = (world.core.streams.get(StreamName(name)) for name in ("wf/s", "wf/tasks"))
    assert state is not None
    assert tasks is not None
    assert world.core.hub.stream_stats(state) == StreamStats(1, 1, 0, ConsumerStats())
    worker.drop()
    stream = world.core.hub.stream_stats(tasks)
    assert (stream.subscribers, stream.consumers.absent, stream.consumers.pending) == (0, 1, 1)


def test_stats_give_the_loop_a_chance_between_many_streams() -> None:
    world = World()
    publisher = world.peer("publisher")
    for number in range(STEP):
        publisher.open(number, f"wf/{number}", Kind.EVENT)
    assert sum(1 for _ in world.core.hub.stats()) == 1


@pytest.mark.parametrize("workers", [0, 3])
def test_a_sweep_gives_the_loop_a_chance_between_many_consumers(workers: int) -> None:
    world = World()
    publisher = world.peer("publisher")
    for number in range(STEP):
        publisher.open(number, f"wf/{number}", Kind.COLLABORATION)
    for number in range(workers):
        world.peer(f"worker-{number}").subscribe("wf/*")
    world.settle()
    assert sum(1 for _ in world.core.hub.sweep()) == 1 + workers


def test_a_sweep_gives_the_loop_a_chance_between_many_consumers_of_one_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.connections.hub.hub.STEP", 8)
    world = World()
    world.publisher("wf/jobs", kind=Kind.COLLABORATION)
    workers = [world.peer(f"worker-{number}") for number in range(40)]
    for worker in workers:
        worker.subscribe("wf/jobs")
    world.settle()
    sweep = world.core.hub.sweep()
    next(sweep)
    workers[30].unsubscribe(1)
    world.settle()
    assert sum(1 for _ in sweep) == 4


def finish(steps: Generator[None, None, HubStats]) -> HubStats:
    """What it returns in the end."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return cast("HubStats", end.value)


def test_a_stream_that_is_opened_after_a_client_has_stayed_away_too_long_is_not_kept_for_it() -> None:
    world = World()
    context = consumer_context(world)
    hub = Hub(world.core.streams, view_context(world), context, closing_of(world), world.core.slices)
    session = world.peer("worker").session
    hub.subscribe(session, 1, compile_pattern("wf/*"))
    hub.lose(session)
    hub.drop(session)
    assert len(context.detached) == 1
    world.clock.advance(context.settings.consumer_ttl_s)
    list(hub.sweep())
    assert len(context.detached) == 0
    _, fanout = hub.open(StreamName("wf/tasks"), Kind.COLLABORATION)
    assert fanout.receivers == 0


def tables_in(owner: object) -> Iterator[dict[object, object]]:
    """Tables that an object holds, and those that lie in them."""
    for name in (*getattr(owner, "__slots__", ()), *getattr(owner, "__dict__", ())):
        table = getattr(owner, name)
        if isinstance(table, dict):
            yield table
            yield from [inner for inner in table.values() if isinstance(inner, dict)]


@pytest.mark.parametrize("kind", [Kind.STATE, Kind.CONTROL])
def test_streams_and_patterns_that_are_gone_leave_no_room_in_tables(kind: Kind) -> None:
    count, few_bytes = 4096, sys.getsizeof(dict.fromkeys(range(SMALL)))
    world = World(limits=Limits(max_subscriptions=count), rules=[("wf/*", StreamConfig(expires_after_s=60.0))])
    core = world.core
    names = [f"wf/{number}" for number in range(count)]
    publisher, subscriber = world.publisher(*names, kind=kind), world.peer()
    world.publisher(*names[-5:], kind=kind)
    for number in range(1, count):
        subscriber.subscribe(f"of{number}/**", number)
    watched = core.streams, core.hub.fanouts, core.hub.unused, core.hub._expiry, core.hub._patterns
    owners = (*watched, core.hub._patterns._root)
    world.lose(publisher)
    world.settle()
    used_bytes = sum(sys.getsizeof(table) for owner in owners for table in tables_in(owner))
    world.lose(subscriber)
    for stream in list(core.streams)[:-5]:
        core.hub.end(stream, EndReason.DELETED)
    world.clock.advance(61.0)
    for _ in core.sweep_consumers():
        pass
    world.settle()
    assert len(core.streams) == 5
    for owner in owners:
        for table in tables_in(owner):
            assert sys.getsizeof(table) < few_bytes, owner
    assert used_bytes > 10 * few_bytes
