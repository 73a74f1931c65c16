"""Lowering: streams change from one view to the other and back, and nothing is lost, repeated or counted wrong."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.connections.hub.joins import FEW
from gateway.connections.hub.stream_end import STEPS_AT_ONCE
from gateway.connections.lowering import MOVED_AT_ONCE, Lowering
from gateway.errors import Code
from gateway.protocol.account import StreamAccount
from gateway.protocol.encoding import Chain
from gateway.protocol.limits import Limits
from gateway.protocol.messages import Counts, Credits, EndReason, Kind, Open, Refresh, StreamInfo
from gateway.protocol.signals import Gap, Replay
from gateway.protocol.views import View
from gateway.streams.history import HistoryLimits
from tests.connections.frames import CHUNK_BYTES
from tests.connections.memory import EVERY_CODEC, FixedPolicy, Peer, World, book_all, counts_in
from tests.connections.reader import Arrival

FIELD = np.arange(64, dtype=np.float32).reshape(8, 8)
COARSE = View(np.s_[::4, ::4])


class Scene:
    """A client that may get a lower view, and the one that publishes.

    Args:
        kind: of the streams.
        view: that the client asks for.
        lower: the other one.
        pattern: of its subscription.
        codecs: of the client.
    """

    def __init__(
        self,
        kind: Kind = Kind.STATE,
        view: View | None = None,
        lower: View = COARSE,
        pattern: str = "wf/field",
        world: World | None = None,
    ) -> None:
        self.world = world or World()
        self.publisher = self.world.publisher("wf/field", kind=kind)
        self.viewer = self.world.peer("viewer", EVERY_CODEC)
        self.number = self.viewer.subscribe(pattern, view=view, lower=lower)
        self.world.settle()

    @property
    def lowering(self) -> Lowering:
        return self.world.core.planning.actuator.lowering

    def publish(self, value: float, alias: int = 0) -> None:
        self.publisher.publish_array(alias, FIELD + value)
        self.world.settle()

    def lower(self, lowered: bool = True) -> None:
        assert self.lowering.set(self.viewer.session, "as the test wants", lowered=lowered)
        self.world.settle()

    def go_on(self) -> None:
        for _ in self.lowering.go_on():
            pass
        self.world.settle()

    def announcements(self) -> list[StreamInfo]:
        return [entry for entry in self.viewer.read().log if isinstance(entry, StreamInfo)]

    def sizes(self) -> list[tuple[int, int]]:
        """Offset and number of elements of each message that has come."""
        return [(arrival.offset, arrival.array.size) for arrival in self.viewer.read().arrivals]

    def counts(self) -> Counts:
        """The account that the gateway keeps."""
        book_all(self.viewer.session.connection)
        return counts_in(self.viewer.session.connection.accounts, self.number)["wf/field"]


def counted_by_client(log: Sequence[object], number: int) -> Counts:
    """The account that a client keeps of one stream, by the frames that it has got and by the rules of the spec."""
    account: StreamAccount | None = None
    epoch = ident = 0
    for entry in log:
        if isinstance(entry, StreamInfo) and entry.subscription == number:
            assert entry.kind is not None
            assert entry.since is not None
            wanted = None if account is None else account.next
            account = account or StreamAccount(entry.kind)
            ident, epoch = entry.id or 0, entry.epoch or 0
            account.start(epoch, wanted, entry.since)
        elif account is None:
            continue
        elif isinstance(entry, Arrival) and entry.stream == ident:
            account.messages(epoch, entry.offset, 1)
        elif isinstance(entry, Gap) and entry.stream == ident:
            account.gap(epoch, entry.code, entry.first, entry.last)
        elif isinstance(entry, Replay) and entry.stream == ident:
            account.replay(entry.first, entry.last)
    assert account is not None
    return account.counts


def test_a_state_comes_by_the_lower_view_and_then_whole_again_at_once() -> None:
    scene = Scene()
    scene.publish(1)
    scene.lower()
    scene.publish(2)
    scene.lower(False)
    assert scene.sizes() == [(0, 64), (1, 4), (1, 64)]
    scene.publish(3)
    assert scene.sizes()[3:] == [(2, 64)]
    infos = scene.announcements()
    assert [(info.lowered, info.since, info.subscription) for info in infos] == [
        (False, 0, scene.number),
        (True, 1, scene.number),
        (False, 1, scene.number),
    ]
    assert infos[0].id != infos[1].id
    notices = scene.viewer.read().notices
    assert [(notice.code, notice.subscription, notice.stream) for notice in notices] == [
        (Code.VIEW_LOWERED, scene.number, None),
        (Code.VIEW_RESTORED, scene.number, None),
    ]
    assert notices[0].reason == "wf/field comes by the lower view [::4, ::4]: as the test wants"
    assert scene.counts() == Counts(delivered=4) == counted_by_client(scene.viewer.read().log, scene.number)


def test_nobody_gets_a_lower_view_who_has_named_none() -> None:
    world = World()
    world.publisher("wf/field", kind=Kind.STATE)
    peer = world.peer("viewer")
    peer.subscribe("wf/field", view=COARSE)
    lowering = world.core.planning.actuator.lowering
    assert not lowering.may(peer.session)
    assert not lowering.set(peer.session, "a slow link", lowered=True)
    assert not len(lowering)
    (info,) = [entry for entry in peer.read().log if isinstance(entry, StreamInfo)]
    assert info.lowered is None


@pytest.mark.parametrize("elements", [64, 2 * CHUNK_BYTES])
def test_what_waits_for_a_slow_client_comes_by_the_view_that_is_in_force_then(elements: int) -> None:
    scene = Scene(world=World(FixedPolicy(delta=Chain(codec="zstd", delta="xor", distance=1))), lower=View(np.s_[::4]))
    connection = scene.viewer.session.connection
    for step in range(3):
        scene.publisher.publish_array(0, np.full(elements, step, np.int32))
        scene.world.settle()
    scene.viewer.read()
    connection.pause_writing()
    scene.publisher.publish_array(0, np.full(elements, 3, np.int32))
    scene.world.settle()
    scene.lower()
    scene.publisher.publish_array(0, np.full(elements, 4, np.int32))
    scene.world.settle()
    connection.resume_writing()
    scene.world.settle()
    assert scene.sizes()[-1] == (4, elements // 4)
    assert scene.counts() == counted_by_client(scene.viewer.read().log, scene.number)
    scene.lower(False)
    assert scene.sizes()[-1] == (4, elements)
    assert scene.viewer.read().arrivals[-1].array.tolist() == [4] * elements
    assert scene.counts() == counted_by_client(scene.viewer.read().log, scene.number)


def test_a_keyframe_that_was_asked_for_by_the_view_before_comes_by_the_present_one() -> None:
    scene = Scene()
    scene.publish(0)
    (before,) = scene.announcements()
    scene.lower()
    scene.viewer.say(Refresh(before.id or 0))
    scene.world.settle()
    assert scene.sizes() == [(0, 64), (0, 4)]
    assert not scene.viewer.read().errors


def test_events_that_wait_are_sent_before_their_stream_changes() -> None:
    scene = Scene(Kind.EVENT)
    scene.publish(0)
    connection = scene.viewer.session.connection
    connection.pause_writing()
    scene.publish(1)
    scene.lower()
    scene.publish(2)
    connection.resume_writing()
    scene.world.settle()
    assert scene.sizes() == [(0, 64), (1, 64), (2, 64)]
    for _ in scene.lowering.go_on():
        pass
    scene.publish(3)
    assert scene.sizes()[3:] == [(3, 4)]
    scene.lower(False)
    scene.publish(4)
    assert scene.sizes()[4:] == [(4, 64)]
    assert scene.counts() == Counts(delivered=5) == counted_by_client(scene.viewer.read().log, scene.number)


def test_events_that_are_still_computed_are_sent_before_their_stream_changes() -> None:
    scene = Scene(Kind.EVENT, world=World(history=HistoryLimits(max_messages=1)))
    scene.publish(0)
    for step in (1, 2):
        scene.publisher.publish_array(0, FIELD + step)
    scene.world.turn()  # and no thread has computed them
    assert scene.lowering.set(scene.viewer.session, "a slow link", lowered=True)
    scene.world.settle()
    assert scene.sizes() == [(0, 64), (1, 64), (2, 64)]
    assert len(scene.announcements()) == 1
    scene.go_on()
    scene.publish(3)
    assert scene.sizes()[3:] == [(3, 4)]
    assert scene.counts() == Counts(delivered=4)


def test_the_account_begins_where_another_subscription_has_got_the_lower_view_to() -> None:
    scene = Scene(Kind.EVENT)
    other = scene.viewer.subscribe("wf/field", view=COARSE)
    scene.world.settle()
    for step in range(3):
        scene.publish(step)
    scene.lower()
    scene.publish(3)
    for number in (scene.number, other):
        book_all(scene.viewer.session.connection)
        counts = counts_in(scene.viewer.session.connection.accounts, number)["wf/field"]
        assert counts == Counts(delivered=4) == counted_by_client(scene.viewer.read().log, number)


def test_a_stream_that_the_lower_view_does_not_fit_any_more_comes_by_the_other_one() -> None:
    scene = Scene()
    scene.publish(0)
    scene.lower()
    scene.publisher.publish_array(0, np.zeros(8, np.float32))
    scene.world.settle()
    assert scene.viewer.read().codes == [Code.INVALID_VIEW]
    for _ in scene.lowering.go_on():
        pass
    scene.world.settle()
    assert scene.sizes()[-1] == (1, 8)
    scene.publish(2)
    for _ in scene.lowering.go_on():
        pass
    scene.publish(3)
    assert scene.sizes()[-1] == (3, 4)
    assert scene.counts() == counted_by_client(scene.viewer.read().log, scene.number)


def test_a_lower_view_that_does_not_fit_is_refused_as_any() -> None:
    scene = Scene()
    scene.publish(0)
    refused = scene.world.peer("refused")
    refused.subscribe("wf/field", lower=View(np.s_[0, 0, 0]))
    refused.subscribe("agent:refused", lower=COARSE)
    refused.subscribe("wf/other", lower=View(max_rate_hz=5.0))
    scene.world.settle()
    assert refused.read().codes == [Code.INVALID_VIEW] * 2
    events = scene.world.publisher("wf/events", kind=Kind.EVENT)
    refused.subscribe("wf/events", lower=View(max_rate_hz=5.0))
    assert refused.read().codes == [Code.INVALID_VIEW] * 3
    assert events.close_code() is None


def test_a_rate_lowers_states_and_leaves_events_as_they_are() -> None:
    scene = Scene(pattern="wf/**", lower=View(max_rate_hz=1.0))
    scene.publisher.say(Open(1, "wf/events", Kind.EVENT))
    scene.publisher.sequences[1] = 0
    scene.world.settle()
    scene.lower()
    for step in range(3):
        scene.publish(step)
        scene.publish(step, alias=1)
    arrivals = scene.viewer.read().arrivals
    named = {info.id: info.stream for info in scene.announcements()}
    of = defaultdict[str, list[int]](list)
    for arrival in arrivals:
        of[named[arrival.stream]].append(arrival.offset)
    assert of["wf/events"] == [0, 1, 2]
    assert len(of["wf/field"]) < 3


def test_streams_that_come_later_come_by_the_lower_view() -> None:
    scene = Scene(pattern="wf/**")
    scene.lower()
    scene.publisher.say(Open(1, "wf/new", Kind.STATE))
    scene.publisher.sequences[1] = 0
    scene.world.settle()
    scene.publish(0, alias=1)
    assert scene.announcements()[-1].lowered is True
    assert scene.sizes() == [(0, 4)]


def test_very_many_streams_change_in_several_turns() -> None:
    scene = Scene(pattern="wf/**")
    for alias in range(1, 2 * MOVED_AT_ONCE):
        scene.publisher.open(alias, f"wf/state-{alias}", Kind.STATE)
    scene.world.settle()
    scene.lower()
    lowered = [info for info in scene.announcements() if info.lowered]
    assert len(lowered) == 2 * MOVED_AT_ONCE


def test_it_is_over_with_the_subscription_and_with_the_connection() -> None:
    scene = Scene()
    scene.publish(0)
    scene.lower()
    assert scene.viewer.session in scene.lowering
    scene.viewer.unsubscribe(scene.number)
    scene.world.settle()
    assert not len(scene.world.core.hub.views)
    assert not scene.lowering.set(scene.viewer.session, "over", lowered=False)
    assert not len(scene.lowering)
    other = Scene(world=scene.world)
    other.lower()
    scene.world.lose(other.viewer)
    for _ in scene.lowering.go_on():
        pass
    assert not len(scene.lowering)
    assert not len(scene.world.core.hub.views)


def test_events_that_wait_while_the_other_view_is_to_come_again_change_later() -> None:
    scene = Scene(Kind.EVENT)
    scene.publish(0)
    scene.lower()
    scene.publish(1)
    connection = scene.viewer.session.connection
    connection.pause_writing()
    scene.publish(2)
    scene.lower(False)
    assert not len(scene.lowering)
    scene.go_on()
    connection.resume_writing()
    scene.go_on()
    scene.publish(3)
    assert scene.sizes() == [(0, 64), (1, 4), (2, 4), (3, 64)]
    scene.go_on()
    assert not scene.lowering._rising
    assert scene.counts() == counted_by_client(scene.viewer.read().log, scene.number)


def test_a_subscription_that_comes_later_gets_its_lower_view_too() -> None:
    scene = Scene()
    scene.publish(0)
    scene.lower()
    scene.viewer.subscribe("wf/field", 9, lower=View(np.s_[0]))
    scene.go_on()
    scene.publish(1)
    assert sorted(scene.sizes()[1:]) == [(0, 8), (1, 4), (1, 8)]
    assert [notice.subscription for notice in scene.viewer.read().notices] == [scene.number, 9]
    for number in (scene.number, 9):
        scene.viewer.unsubscribe(number)
    scene.go_on()
    scene.viewer.subscribe("wf/field", 10, lower=COARSE)
    scene.go_on()
    assert scene.viewer.session.views[10].lowered, "plans have not ended it"


@pytest.mark.parametrize("kind", [Kind.STATE, Kind.EVENT])
def test_no_view_of_a_stream_begins_while_the_stream_ends(kind: Kind) -> None:
    scene = Scene(kind)
    world = scene.world
    viewers = [world.peer(f"viewer-{number}", EVERY_CODEC) for number in range(4 * STEPS_AT_ONCE)]
    for viewer in viewers:
        viewer.subscribe("wf/field", 1, lower=COARSE)
    world.settle()
    scene.publish(0)
    (view,) = world.core.hub.views
    world.take_one_step_a_turn()
    world.core.hub.end(view.source.parent, EndReason.DELETED)
    world.turns(1)
    last = viewers[-1]
    assert world.core.hub.views.held(last.session, 1), "it is not told yet"
    assert scene.lowering.set(last.session, "a slow link", lowered=True)
    world.settle()
    assert not len(world.core.hub.views)
    info = [entry for entry in last.read().log if isinstance(entry, StreamInfo)][-1]
    assert info.ended == EndReason.DELETED
    last.unsubscribe(1)
    world.settle()
    assert last.close_code() is None


@pytest.mark.parametrize("kind", [Kind.STATE, Kind.EVENT])
def test_a_view_of_others_that_is_behind_takes_the_place_once_it_has_caught_up(kind: Kind) -> None:
    scene = Scene(kind)
    scene.world.peer("other", EVERY_CODEC).subscribe("wf/field", view=COARSE)
    scene.world.settle()
    scene.publish(0)
    whole, coarse = scene.world.core.hub.views
    scene.publisher.publish_array(0, FIELD + 1)
    scene.world.turn()
    scene.world.workers.step()
    scene.world.turn()
    assert (whole.fanout.delivered, coarse.fanout.delivered) == (2, 1)
    assert scene.lowering.set(scene.viewer.session, "a slow link", lowered=True)
    scene.world.settle()
    assert scene.sizes() == [(0, 64), (1, 64)]
    scene.go_on()
    scene.publish(2)
    assert scene.sizes() == [(0, 64), (1, 64), (2, 4)]
    assert scene.counts() == Counts(delivered=3) == counted_by_client(scene.viewer.read().log, scene.number)


def test_a_stream_keeps_its_view_while_the_gateway_has_no_room_for_another() -> None:
    scene = Scene(world=World(limits=Limits(max_views=1)))
    scene.publish(0)
    scene.lower()
    scene.publish(1)
    assert scene.sizes() == [(0, 64), (1, 64)]
    assert not scene.viewer.read().errors


def test_a_stream_that_is_about_to_be_announced_changes_behind_that() -> None:
    scene = Scene(Kind.EVENT, pattern="wf/**")
    scene.world.take_one_step_a_turn()
    late = scene.world.peer("late", EVERY_CODEC)
    names = [f"wf/event-{number}" for number in range(2 * FEW)]
    for alias, name in enumerate(names, start=1):
        scene.publisher.open(alias, name, Kind.EVENT)
    number = late.subscribe("wf/**", lower=COARSE)
    held = scene.world.core.hub.views.held
    while not held(late.session, number):
        scene.world.turns(1)
    scene.lowering.set(late.session, "a slow link", lowered=True)
    scene.world.settle()
    scene.go_on()
    announced = [entry for entry in late.read().log if isinstance(entry, StreamInfo)]
    assert {info.stream for info in announced if info.lowered} == {"wf/field", *names}


def test_another_subscription_of_the_connection_keeps_its_view() -> None:
    scene = Scene(view=View(np.s_[::2, ::2]))
    other = scene.viewer.subscribe("wf/field", view=View(np.s_[::2, ::2]))
    scene.publish(0)
    scene.lower()
    scene.publish(1)
    scene.lower(False)
    scene.publish(2)
    assert scene.counts().delivered == 4
    book_all(scene.viewer.session.connection)
    assert counts_in(scene.viewer.session.connection.accounts, other)["wf/field"].delivered == 3


def test_credit_of_the_subscription_bounds_either_view() -> None:
    world = World()
    publisher = world.publisher("wf/field", kind=Kind.STATE)
    page = Peer(world, "page", EVERY_CODEC, credits=True)
    page.hello()
    number = page.subscribe("wf/field", lower=COARSE, credits=Credits(2, 10**6))
    world.settle()
    lowering = world.core.planning.actuator.lowering
    for step, lowered in enumerate((False, True, True)):
        lowering.set(page.session, "a slow link", lowered=lowered)
        publisher.publish_array(0, FIELD + step)
        world.settle()
    assert page.read().offsets == [0, 1]
    page.grant(number, 1, 10**6)
    world.settle()
    assert page.read().offsets == [0, 1, 2]


STEP = st.sampled_from(
    ["publish", "large", "lower", "restore", "pause", "resume", "turn", "work", "settle", "go_on"],
)
STEPS = st.lists(STEP, max_size=40)


def play_at_random(
    kind: Kind, steps: list[str], of_others: set[View], chance: random.Random, history: HistoryLimits
) -> None:
    """Switch a client between its views, and check that it gets what it is owed, counted right."""
    policy = FixedPolicy(delta=Chain(codec="zstd", delta="xor", distance=1))
    scene = Scene(kind, world=World(policy, history=history))
    for view in of_others:
        scene.world.peer("", EVERY_CODEC).subscribe("wf/field", view=view)
    scene.world.settle()
    connection, sent = scene.viewer.session.connection, 0
    for step in [*steps, "resume", "settle", "go_on", "settle"]:
        match step:
            case "publish" | "large":
                side = 8 if step == "publish" else 256
                scene.publisher.publish_array(0, np.full((side, side), sent, np.float32))
                sent += 1
            case "odd":  # the lower view does not fit it
                scene.publisher.publish_array(0, np.full(5, sent, np.float32))
                sent += 1
            case "lower" | "restore":
                scene.lowering.set(scene.viewer.session, "at random", lowered=step == "lower")
            case "pause":
                connection.pause_writing()
            case "resume":
                connection.resume_writing()
                scene.viewer.read()
            case "turn":
                scene.world.turn()
            case "work" if len(scene.world.workers):
                scene.world.workers.step(chance.randrange(len(scene.world.workers)))
            case "go_on":
                for _ in scene.lowering.go_on():
                    pass
            case "settle":
                scene.world.settle()
                scene.viewer.read()
    scene.world.clock.advance(1.0)  # a view that nobody takes is computed a few times a second only
    scene.world.settle()
    log = scene.viewer.read().log
    assert not scene.viewer.read().errors
    assert scene.counts() == counted_by_client(log, scene.number)
    taken, ident, following = [], 0, 0
    for entry in log:
        if isinstance(entry, StreamInfo):
            ident, following = entry.id or 0, entry.since or 0
        elif isinstance(entry, Arrival) and entry.stream == ident:
            assert entry.offset >= following, "nothing comes twice, and no older version behind a newer one"
            taken.append(entry)
            following = entry.offset + 1
    offsets = [arrival.offset for arrival in taken]
    for arrival in taken:
        assert arrival.array.flat[0] == arrival.offset
    if kind is Kind.EVENT:
        assert offsets == list(range(sent))
    elif sent:
        assert offsets == sorted(offsets)
        assert offsets[-1] == sent - 1
        lowered = scene.viewer.session.views[scene.number].lowered
        assert lowered or scene.lowering._rising or taken[-1].array.size in (64, 256 * 256)


@settings(max_examples=100)
@given(st.sampled_from([Kind.STATE, Kind.EVENT]), STEPS, st.sets(st.sampled_from([View(), COARSE])), st.randoms())
def test_a_client_that_is_switched_at_random_gets_what_it_is_owed(
    kind: Kind, steps: list[str], of_others: set[View], chance: random.Random
) -> None:
    play_at_random(kind, steps, of_others, chance, HistoryLimits(max_messages=3))


@settings(max_examples=200)
@given(st.lists(STEP | st.just("odd"), max_size=40), st.sets(st.sampled_from([View(), COARSE])), st.randoms())
def test_events_that_the_lower_view_does_not_fit_come_by_the_other_one(
    steps: list[str], of_others: set[View], chance: random.Random
) -> None:
    play_at_random(Kind.EVENT, steps, of_others, chance, HistoryLimits())


def test_an_event_that_the_lower_view_does_not_fit_comes_at_once_and_the_lower_view_when_it_fits_again() -> None:
    scene = Scene(Kind.EVENT)
    scene.publish(0)
    scene.lower()
    scene.publish(1)
    scene.publisher.publish_array(0, np.zeros(8, np.float32))
    scene.world.settle()
    assert scene.sizes() == [(0, 64), (1, 4), (2, 8)]
    scene.go_on()
    assert [info.lowered for info in scene.announcements()] == [False, True, False], "as long as it does not fit"
    scene.publish(3)
    scene.go_on()
    scene.publish(4)
    assert scene.sizes()[3:] == [(3, 64), (4, 4)]
    assert not scene.viewer.read().errors
    assert scene.counts() == Counts(delivered=5, replayed=1) == counted_by_client(scene.viewer.read().log, scene.number)


def test_others_that_asked_for_the_lower_view_are_told_of_events_that_it_does_not_fit() -> None:
    scene = Scene(Kind.EVENT)
    other = scene.world.peer("other", EVERY_CODEC)
    other.subscribe("wf/field", view=COARSE)
    same = scene.viewer.subscribe("wf/field", view=COARSE)
    scene.world.settle()
    scene.lower()
    scene.publish(0)
    scene.publisher.publish_array(0, np.zeros(8, np.float32))
    scene.world.settle()
    assert [error.subscription for error in scene.viewer.read().errors] == [same]
    assert other.read().codes == [Code.INVALID_VIEW]
    assert [(gap.first, gap.last) for gap in other.read().gaps] == [(1, 1)]
    assert scene.counts() == Counts(delivered=2, replayed=1)


def test_events_that_history_has_lost_are_told_as_a_gap_of_the_lower_view() -> None:
    scene = Scene(Kind.EVENT, world=World(history=HistoryLimits(max_messages=0)))
    scene.publish(0)
    scene.lower()
    scene.publisher.publish_array(0, np.zeros(8, np.float32))
    scene.world.settle()
    assert [(gap.code, gap.first) for gap in scene.viewer.read().gaps] == [(Code.INVALID_VIEW, 1)]
    assert scene.counts() == Counts(delivered=1, dropped=1) == counted_by_client(scene.viewer.read().log, scene.number)


@pytest.mark.parametrize("lost", [False, True])
def test_an_event_waits_for_the_view_of_others_to_be_computed_up_to_it(lost: bool) -> None:
    scene = Scene(Kind.EVENT, world=World(history=HistoryLimits(max_messages=2)))
    workers = scene.world.workers
    scene.publish(0)
    scene.lower()
    scene.publish(1)
    scene.world.peer("other", EVERY_CODEC).subscribe("wf/field", view=View())
    scene.world.settle()
    coarse, whole = scene.world.core.hub.views
    for array in (FIELD, np.zeros(8, np.float32)):
        scene.publisher.publish_array(0, array)
        scene.world.turn()
    workers.step()  # the lower view is computed first, and its next event behind that of the other
    scene.world.turn()
    workers.step(len(workers) - 1)
    scene.world.turn()
    assert coarse.fanout.delivered == 4
    assert whole.fanout.delivered == 2
    for _ in scene.lowering.go_on():
        pass
    if lost:
        for _ in range(2):
            scene.publisher.publish_array(0, FIELD)
    scene.world.settle()
    assert scene.sizes() == [(0, 64), (1, 4), (2, 4)], "neither a GAP nor anything behind it"
    scene.go_on()
    if lost:
        assert [(gap.first, gap.last) for gap in scene.viewer.read().gaps] == [(3, 3)]
        assert scene.sizes()[3:] == [(4, 4), (5, 4)]
    else:
        assert scene.sizes()[3:] == [(3, 8)]
    assert scene.counts() == counted_by_client(scene.viewer.read().log, scene.number)
