"""Views of streams, from SUBSCRIBE to UNSUBSCRIBE: who shares one, who is told what, and what is left afterwards."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gateway.connections.hub.stats import ViewCounts
from gateway.connections.snapshots import stream_snapshot
from gateway.errors import Code
from gateway.ids import StreamName
from gateway.protocol.encoding import Chain
from gateway.protocol.extensions import Quantization
from gateway.protocol.limits import Limits
from gateway.protocol.messages import Counts, Error, Kind, Open, StreamInfo
from gateway.protocol.signals import Gap
from gateway.protocol.views import View
from tests.connections.frames import CHUNK_BYTES
from tests.connections.memory import EVERY_CODEC, FixedPolicy, Peer, World, book_all, counts_in
from tests.connections.reader import Arrival
from tests.protocol.strategies import Array

FIELD = np.arange(64, dtype=np.float32).reshape(8, 8)
COARSE = View(np.s_[::4, ::4])


def viewer(world: World, pattern: str, view: View, client_id: str = "viewer") -> Peer:
    peer = world.peer(client_id)
    peer.subscribe(pattern, view=view)
    world.settle()
    return peer


def streams_of(peer: Peer) -> list[StreamInfo]:
    return [entry for entry in peer.read().log if isinstance(entry, StreamInfo)]


def arrays_of(peer: Peer) -> list[list[object]]:
    return [arrival.array.tolist() for arrival in peer.read().arrivals]


def test_a_late_joiner_gets_the_view_of_the_newest_state_by_an_id_of_its_own() -> None:
    world = World()
    publisher = world.publisher("wf/field", kind=Kind.STATE)
    publisher.publish_array(0, FIELD - 1)
    publisher.publish_array(0, FIELD, headers={"step": 7})
    peer = viewer(world, "wf/field", View(np.s_[::4, ::4], "float16"))
    (info,) = streams_of(peer)
    parent = world.core.streams.get(StreamName(info.stream))
    assert parent is not None
    assert (info.stream, info.kind, info.epoch, info.offset) == ("wf/field", Kind.STATE, parent.epoch, 2)
    assert (info.subscription, info.since) == (1, 1)
    assert info.id not in (None, parent.id)
    (arrival,) = peer.read().arrivals
    assert (arrival.stream, arrival.offset, arrival.headers) == (info.id, 1, (("step", 7),))
    assert arrival.publisher == publisher.session.peer.id
    assert arrival.array.dtype == np.float16
    assert arrival.array.tolist() == FIELD[::4, ::4].tolist()


def account_of(peer: Peer, subscription: int) -> Counts:
    book_all(peer.session.connection)
    ((_, counts),) = counts_in(peer.session.connection.accounts, subscription).items()
    return counts


@pytest.mark.parametrize("elements", [4, 2 * CHUNK_BYTES])
def test_who_comes_back_and_has_the_newest_version_does_not_get_it_again(elements: int) -> None:
    world = World(FixedPolicy(delta=Chain(codec="zstd", delta="xor", distance=1)))
    publisher = world.publisher("wf/field", kind=Kind.STATE)
    for step in range(3):
        publisher.publish_array(0, np.full(elements, step, np.int32))
    stream = world.core.streams.get(StreamName("wf/field"))
    assert stream is not None
    view = View(np.s_[:-1])
    back, new, again = (world.peer(name, EVERY_CODEC) for name in ("back", "new", "again"))
    back.subscribe("wf/field", since={"wf/field": (stream.epoch, 3)}, view=view)
    new.subscribe("wf/field", view=view)
    # One connection that has it, and asks for it by another subscription.
    again.subscribe("wf/field", since={"wf/field": (stream.epoch, 3)}, view=view)
    again.subscribe("wf/field", view=view)
    world.settle()
    assert [peer.read().offsets for peer in (back, new, again)] == [[], [2], [2]]
    publisher.publish_array(0, np.full(elements, 3, np.int32))
    world.settle()
    arrivals = [peer.read().arrivals for peer in (back, new, again)]
    assert [[arrival.offset for arrival in peer] for peer in arrivals] == [[3], [2, 3], [2, 3]]
    for peer in arrivals:
        assert [arrival.array.tolist() for arrival in peer[-1:]] == [[3] * (elements - 1)]
    assert account_of(back, 1) == Counts(delivered=1)
    assert account_of(new, 1) == Counts(delivered=2)
    assert (account_of(again, 1), account_of(again, 2)) == (Counts(delivered=1), Counts(delivered=2))


def test_equal_views_are_computed_once_and_do_not_disturb_others() -> None:
    world = World()
    publisher = world.publisher("wf/field", kind=Kind.STATE)
    one, other = viewer(world, "wf/field", COARSE, "one"), viewer(world, "wf/**", View(np.s_[0::4, ::4, ...]), "other")
    row, whole = viewer(world, "wf/field", View(0, "uint8"), "row"), world.subscriber("wf/field", "whole")
    for step in range(3):
        publisher.publish_array(0, FIELD + step)
        world.settle()
    ids = {peer: streams_of(peer)[0].id for peer in (one, other, row, whole)}
    assert ids[one] == ids[other]
    assert len({ids[one], ids[row], ids[whole]}) == 3
    assert arrays_of(one) == arrays_of(other) == [(FIELD + step)[::4, ::4].tolist() for step in range(3)]
    assert arrays_of(whole) == [(FIELD + step).tolist() for step in range(3)]
    assert arrays_of(row) == [[0, 36, 73, 109, 146, 182, 219, 255]] * 3
    assert row.read().arrivals[0].quantized == Quantization(12, 7 / 255, 0.0)
    assert {derivation.source.view: derivation.computed_entries for derivation in world.core.hub.views} == {
        COARSE: 3,
        View(0, "uint8"): 3,
    }


def test_subscriptions_of_one_connection_are_independent() -> None:
    world = World()
    publisher = world.publisher("wf/field", kind=Kind.EVENT)
    peer = world.peer()
    plain = peer.subscribe("wf/field")
    coarse = peer.subscribe("wf/field", view=COARSE)
    again = peer.subscribe("wf/*", view=COARSE)
    corner = peer.subscribe("wf/field", view=View((0, 0)))
    ids = {info.subscription: info.id or 0 for info in streams_of(peer)}
    assert ids[coarse] == ids[again]
    assert len({ids[None], ids[coarse], ids[corner]}) == 3

    def received() -> list[int]:
        publisher.publish_array(0, FIELD)
        world.settle()
        streams = [arrival.stream for arrival in peer.news().arrivals]
        assert len(streams) == len(set(streams)), "a view comes once to a connection"
        return sorted(streams)

    assert received() == sorted({ids[None], ids[coarse], ids[corner]})
    peer.unsubscribe(coarse)
    assert received() == sorted({ids[None], ids[again], ids[corner]})
    peer.unsubscribe(plain)
    assert received() == sorted({ids[again], ids[corner]})
    peer.unsubscribe(again)
    assert received() == [ids[corner]]
    peer.unsubscribe(corner)
    assert received() == []


@pytest.mark.parametrize("way", ["unsubscribe", "drop"])
def test_a_view_that_nobody_has_is_computed_no_more(way: str) -> None:
    world = World()
    publisher = world.publisher("wf/field", kind=Kind.STATE)
    peer = viewer(world, "wf/field", COARSE)
    viewer(world, "wf/field", COARSE, "second").drop()
    assert len(world.core.hub.views) == 1
    if way == "drop":
        peer.drop()
    else:
        peer.unsubscribe(1)
    assert len(world.core.hub.views) == 0
    publisher.publish_array(0, FIELD)
    world.turn()
    assert not len(world.workers)
    assert not peer.session.connection.memberships
    before = streams_of(peer)[0].id
    assert streams_of(viewer(world, "wf/field", COARSE, "third"))[0].id != before


def test_numbers_of_subscriptions_are_shared_with_those_without_a_view() -> None:
    world = World(limits=Limits(max_subscriptions=2))
    peer = world.peer()
    peer.subscribe("wf/a", 1)
    peer.subscribe("wf/a", 1, view=COARSE)
    peer.subscribe("wf/a", 2, view=COARSE)
    peer.subscribe("wf/a", 2)
    peer.subscribe("wf/a", 3, view=COARSE)
    peer.unsubscribe(3)
    assert peer.read().codes == [
        Code.INVALID_REQUEST,
        Code.INVALID_REQUEST,
        Code.LIMIT_EXCEEDED,
        Code.INVALID_REQUEST,
    ]


@pytest.mark.parametrize(
    ("kind", "view", "said"),
    [
        (Kind.STATE, View(np.s_[::4, ::4, ::4]), r"its slice has 3 dimensions"),
        (Kind.STATE, View((0, 9)), "index 9 is outside of a dimension of 8"),
        (Kind.STATE, View(dtype="int32"), "float32 cannot become int32, but bool, int8, "),
        (Kind.STATE, View(tensor="w"), "these tensors: '' float32[8, 8]"),
        (Kind.COLLABORATION, COARSE, "of wf/field, a stream of kind collaboration"),
        (Kind.CONTROL, COARSE, "of wf/field, a stream of kind control"),
        (Kind.EVENT, View(max_rate_hz=10), "of wf/field, a stream of kind event"),
    ],
)
def test_a_view_that_cannot_be_had_is_refused_with_what_it_met(kind: Kind, view: View, said: str) -> None:
    world = World()
    publisher = world.publisher("wf/field", kind=kind)
    publisher.publish_array(0, FIELD)
    peer = viewer(world, "wf/field", view)
    (error,) = peer.read().errors
    assert (error.code, error.request) == (Code.INVALID_VIEW, 1)
    assert said in error.message
    assert f"view {view}" in error.message
    if kind is Kind.STATE:
        assert "float32" in error.message
        assert "[8, 8]" in error.message
    assert peer.read().log == [error]
    assert not peer.session.views


def test_what_is_no_view_is_refused() -> None:
    world = World()
    peer = world.peer()
    peer.subscribe("wf/field", view={"slice": [[0, 4, 0]]})
    peer.subscribe("wf/field", view={"max_rate": 3})
    peer.subscribe("agent:peer", view=COARSE)
    assert peer.read().codes == [Code.INVALID_VIEW] * 3


def told(peer: Peer) -> list[tuple[int | None, int | None, str | None, int]]:
    errors = [entry for entry in peer.news().log if isinstance(entry, Error)]
    return [(error.request, error.subscription, error.stream, error.code) for error in errors]


def test_streams_of_a_pattern_that_can_have_no_view_are_told_and_left_out() -> None:
    world = World()
    publisher = world.publisher("wf/commands", kind=Kind.CONTROL)
    peer = viewer(world, "wf/*", View(0, max_rate_hz=5))
    publisher.open(1, "wf/events", Kind.EVENT)
    publisher.open(2, "wf/field", Kind.STATE)
    for alias in (0, 1, 2):
        publisher.publish_array(alias, FIELD)
    world.settle()
    assert [info.stream for info in streams_of(peer)] == ["wf/field"]
    assert arrays_of(peer) == [FIELD[0].tolist()]
    assert told(peer) == []
    assert [error.stream for error in peer.reader.errors] == []


def test_the_errors_of_a_pattern_name_subscription_and_stream() -> None:
    world = World()
    publisher = world.publisher("wf/commands", kind=Kind.CONTROL)
    peer = world.peer()
    number = peer.subscribe("wf/*", 12, view=COARSE)
    assert told(peer) == [(None, number, "wf/commands", Code.INVALID_VIEW)]
    publisher.open(1, "wf/tasks", Kind.COLLABORATION)
    assert told(peer) == [(None, number, "wf/tasks", Code.INVALID_VIEW)]
    assert len(world.core.hub.views) == 0


def test_by_a_pattern_a_state_that_does_not_fit_is_told_until_it_does() -> None:
    world = World()
    publisher = world.publisher("wf/field", kind=Kind.STATE)
    publisher.publish_array(0, FIELD[0])
    peer = viewer(world, "wf/*", COARSE)
    late = world.peer("late")
    late.subscribe("wf/*", 8, view=COARSE)
    for who, number in ((peer, 1), (late, 8)):
        assert [info.stream for info in streams_of(who)] == ["wf/field"]
        assert [(error.subscription, error.stream) for error in who.reader.errors] == [(number, "wf/field")]
    publisher.publish_array(0, FIELD)
    world.settle()
    for who in (peer, late):
        assert arrays_of(who) == [FIELD[::4, ::4].tolist()]
        assert len(who.reader.errors) == 1


@pytest.mark.parametrize("kind", [Kind.STATE, Kind.EVENT])
def test_a_version_that_does_not_fit_is_told_once_until_one_fits_again(kind: Kind) -> None:
    world = World()
    publisher = world.publisher("wf/field", kind=kind)
    peer = world.peer()
    number = peer.subscribe("wf/field", 4, view=COARSE)
    second = peer.subscribe("wf/field", 5, view=COARSE)

    def publish(array: Array) -> list[tuple[int | None, int | None, str | None, int]]:
        publisher.publish_array(0, array)
        world.settle()
        return told(peer)

    both = [(None, which, "wf/field", Code.INVALID_VIEW) for which in (number, second)]
    assert publish(FIELD) == []
    assert publish(FIELD[0]) == both
    assert publish(FIELD[0]) == []
    assert publish(FIELD) == []
    assert publish(FIELD[0]) == both
    publisher.publish_array(0, FIELD)
    world.settle()
    assert peer.news().offsets == [5]
    (derivation,) = world.core.hub.views
    assert derivation.conflated_messages == (0 if kind is Kind.EVENT else 3)
    assert derivation.source.next_offset == 6


def test_events_that_do_not_fit_are_announced_by_gaps_in_their_place() -> None:
    world = World()
    publisher = world.publisher("wf/field", kind=Kind.EVENT)
    peer = viewer(world, "wf/field", COARSE)
    for array in (FIELD, FIELD[0], FIELD[0], FIELD):
        publisher.publish_array(0, array)
    world.settle()
    order = [type(entry) for entry in peer.read().log if isinstance(entry, Arrival | Gap)]
    assert order == [Arrival, Gap, Gap, Arrival]
    assert peer.reader.offsets == [0, 3]
    assert [gap.first for gap in peer.reader.gaps] == [1, 2]
    assert {gap.code for gap in peer.reader.gaps} == {Code.INVALID_VIEW}


def test_a_new_stream_is_announced_and_viewed() -> None:
    world = World()
    peer = viewer(world, "wf/field", COARSE)
    assert streams_of(peer) == []
    publisher = world.publisher("wf/field", "wf/other", kind=Kind.EVENT)
    publisher.publish_array(0, FIELD)
    publisher.publish_array(1, FIELD)
    world.settle()
    (info,) = streams_of(peer)
    assert (info.stream, info.subscription, info.offset) == ("wf/field", 1, 0)
    assert arrays_of(peer) == [FIELD[::4, ::4].tolist()]


def test_there_are_so_many_views_at_most() -> None:
    world = World(limits=Limits(max_views=1))
    world.publisher("wf/a", "wf/b", kind=Kind.STATE)
    peer = viewer(world, "wf/a", COARSE)
    peer.subscribe("wf/a", view=COARSE)
    assert peer.news().codes == []
    peer.subscribe("wf/b", view=COARSE)
    peer.subscribe("wf/*", 9, view=COARSE)
    assert told(peer) == [(3, None, None, Code.LIMIT_EXCEEDED), (None, 9, "wf/b", Code.LIMIT_EXCEEDED)]


def test_several_tensors_and_messages_without_one() -> None:
    world = World()
    publisher = world.publisher("wf/model", kind=Kind.EVENT)
    all_of_it, one = (
        viewer(world, "wf/model", View(np.s_[::4]), "all"),
        viewer(world, "wf/model", View(tensor="1"), "one"),
    )
    publisher.publish_array(0, FIELD, FIELD[0])
    world.settle()
    (arrival,) = all_of_it.read().arrivals
    assert [(spec.name, spec.shape) for spec in arrival.specs] == [("0", (2, 8)), ("1", (2,))]
    assert arrays_of(one) == [FIELD[0].tolist()]


def test_what_views_cost_and_deliver_is_counted_also_when_nobody_has_them_any_more() -> None:
    world = World()
    publisher = world.publisher("wf/field", kind=Kind.STATE)
    peer = viewer(world, "wf/field", COARSE)
    second = viewer(world, "wf/*", COARSE, "second")
    stream = world.core.streams.get(StreamName("wf/field"))
    assert stream is not None
    views = world.core.hub.views
    assert (views.receivers_of(stream), stream_snapshot(world.core, stream).viewers) == (2, 2)
    for step in range(3):
        publisher.publish_array(0, FIELD + step)  # the second waits for the first, and gives way to the third
    world.settle()
    stats = views.stats()
    assert stats.counts == ViewCounts(computed_entries=2, conflated_messages=1)
    assert stats.delivered_messages == {Kind.STATE: 4, Kind.EVENT: 0}
    peer.drop()
    assert views.receivers_of(stream) == 1
    before = views.stats()
    second.drop()
    assert len(views) == 0
    assert views.stats() == replace(before, views=0, held_bytes=0)


def test_all_spellings_of_a_view_are_one_where_the_shape_is_declared() -> None:
    world = World()
    publisher = world.peer("publisher")
    publisher.say(Open(0, "wf/field", Kind.STATE, schema={"dtype": "float32", "shape": [8, 8]}))
    publisher.sequences[0] = 0
    spellings = [
        View(np.s_[::4, ::4]),
        View(np.s_[0:8:4, :5:4], "float32"),
        View(np.s_[-8::4, ..., ::4]),
        View(np.s_[0:5:4, 0:-3:4]),
    ]
    peer = world.peer("viewer")
    for view in spellings:
        peer.subscribe("wf/field", view=view)
    peer.subscribe("wf/field", view=View(np.s_[::4, ::4], max_rate_hz=5))
    assert len({info.id for info in streams_of(peer)}) == 2
    publisher.publish_array(0, FIELD)
    world.settle()
    assert arrays_of(peer) == [FIELD[::4, ::4].tolist()] * 2
    assert [entry.schema for entry in streams_of(peer)] == [None] * 5  # a view does not hold what is declared
    for number in range(1, 6):
        peer.unsubscribe(number)
    assert len(world.core.hub.views) == 0


@pytest.mark.parametrize("schema", [{"dtype": "float32", "shape": [None, 8]}, {"tensors": {}}])
def test_where_it_is_not_declared_each_spelling_stands_for_itself(schema: dict[str, object]) -> None:
    world = World()
    publisher = world.peer("publisher")
    if "tensors" in schema:
        schema = {"tensors": {name: {"dtype": "float32", "shape": [8, 8]} for name in "ab"}}
    publisher.say(Open(0, "wf/field", Kind.STATE, schema=schema))
    peer = world.peer("viewer")
    for view in (View(np.s_[::4, ::4]), View(np.s_[0:8:4, ::4])):
        peer.subscribe("wf/field", view=view)
    assert len({info.id for info in streams_of(peer)}) == 2
