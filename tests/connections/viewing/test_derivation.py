"""A view being computed: in order, once, as late and as seldom as its rate and its receivers allow."""

from __future__ import annotations

import itertools
import logging

import numpy as np
import pytest

from gateway.connections.viewing import derivation as derivation_module
from gateway.connections.viewing import view_queue
from gateway.connections.viewing.derivation import LAGGING_INTERVAL_S, Derivation
from gateway.errors import Code
from gateway.protocol.encoding import Chain
from gateway.protocol.limits import Limits
from gateway.protocol.messages import Kind
from gateway.protocol.views import View
from tests.connections.frames import CHUNK_BYTES
from tests.connections.memory import EVERY_CODEC, FixedPolicy, Peer, World
from tests.protocol.strategies import Array

HALF = View(np.s_[::2])


def numbers(step: int) -> Array:
    return np.arange(4, dtype=np.int32) + step


def begin(
    world: World, view: View, kind: Kind = Kind.STATE, codecs: tuple[str, ...] = ()
) -> tuple[Peer, Peer, Derivation]:
    """A publisher, a viewer, and what computes its view; nothing has been published."""
    publisher = world.publisher("wf/field", kind=kind)
    viewer = world.peer("viewer", codecs)
    viewer.subscribe("wf/field", view=view)
    viewer.forget()
    (derivation,) = world.core.hub.views
    return publisher, viewer, derivation


def test_a_state_that_comes_faster_than_it_is_computed_is_conflated_before() -> None:
    world = World()
    publisher, viewer, derivation = begin(world, HALF)
    for step in range(5):
        publisher.publish_array(0, numbers(step))
    assert len(world.workers) == 1
    world.settle()
    assert viewer.read().offsets == [0, 4]
    assert viewer.reader.arrivals[-1].array.tolist() == [4, 6]
    assert (derivation.computed_entries, derivation.conflated_messages) == (2, 3)
    assert derivation.idle


def test_events_are_all_computed_in_order_whatever_is_published_meanwhile() -> None:
    world = World()
    publisher, viewer, derivation = begin(world, HALF, Kind.EVENT)
    for step in range(5):
        publisher.publish_array(0, numbers(step))
        if step == 2:
            world.workers.step()
    world.settle()
    assert viewer.read().offsets == [0, 1, 2, 3, 4]
    assert [arrival.array.tolist() for arrival in viewer.reader.arrivals] == [[step, step + 2] for step in range(5)]
    assert (derivation.computed_entries, derivation.conflated_messages) == (5, 0)


def test_a_record_batch_is_viewed_record_by_record() -> None:
    world = World()
    publisher, viewer, _ = begin(world, View(0), Kind.EVENT)
    publisher.send(publisher.batch(0, [b"ab", b"cd", b"ef"]))
    world.settle()
    assert [(arrival.offset, arrival.payload) for arrival in viewer.read().arrivals] == [
        (0, b"a"),
        (1, b"c"),
        (2, b"e"),
    ]


# Rates, with a clock that moves by hand.


def test_a_rate_gives_so_many_a_second_and_the_newest_in_the_end() -> None:
    world = World()
    publisher, viewer, derivation = begin(world, View(np.s_[::2], max_rate_hz=10))

    def publish(step: int) -> list[int]:
        publisher.publish_array(0, numbers(step))
        world.settle()
        return viewer.news().offsets

    assert publish(0) == [0]  # nothing came before: at once
    assert [publish(step) for step in range(1, 50)] == [[]] * 49
    assert world.clock.timers == 1  # not one for each message
    assert derivation.idle  # a gateway that stops does not wait for it
    world.clock.advance(0.099)
    world.settle()
    assert viewer.news().offsets == []
    world.clock.advance(0.002)
    world.settle()
    assert viewer.news().offsets == [49]
    assert world.clock.timers == 0
    world.clock.advance(60)
    world.settle()
    assert viewer.news().offsets == []  # nothing new, nothing sent
    assert publish(50) == [50]
    assert (derivation.computed_entries, derivation.conflated_messages) == (3, 48)


def test_in_ten_seconds_there_are_a_hundred_of_a_thousand_at_ten_a_second() -> None:
    world = World()
    publisher, viewer, derivation = begin(world, View(max_rate_hz=10))
    for step in range(1000):
        publisher.publish_array(0, numbers(step))
        world.settle()
        world.clock.advance(0.01)
        world.settle()
    world.clock.advance(1)
    world.settle()
    offsets = viewer.read().offsets
    assert 99 <= len(offsets) <= 101
    assert offsets[-1] == 999
    # Both ends count the same: what the offsets jump over.
    skipped = sum(after - before - 1 for before, after in itertools.pairwise(offsets))
    assert skipped == derivation.conflated_messages == 1000 - len(offsets)


def test_of_a_batch_a_rate_leaves_the_last_record() -> None:
    world = World()
    publisher, viewer, derivation = begin(world, View(max_rate_hz=10))
    publisher.send(publisher.batch(0, [b"ab", b"cd", b"ef"]))
    world.settle()
    assert [(arrival.offset, arrival.payload) for arrival in viewer.read().arrivals] == [(2, b"ef")]
    assert derivation.conflated_messages == 2


def test_slow_work_does_not_make_the_rate_lower_than_it_need_be() -> None:
    world = World()
    publisher, viewer, _ = begin(world, View(max_rate_hz=10))
    publisher.publish_array(0, numbers(0))
    world.clock.advance(5)  # the thread takes so long
    publisher.publish_array(0, numbers(1))
    world.settle()
    assert viewer.read().offsets == [0, 1]


# Slow receivers.


def test_while_nobody_keeps_up_the_newest_is_computed_now_and_then() -> None:
    world = World()
    publisher, viewer, derivation = begin(world, HALF)
    viewer.transport.fill_up()
    for step in range(20):
        publisher.publish_array(0, numbers(step))
        world.settle()
    assert derivation.computed_entries == 1
    world.clock.advance(LAGGING_INTERVAL_S)
    world.settle()
    assert derivation.computed_entries == 2
    viewer.transport.read_on()
    world.settle()
    assert viewer.read().offsets[-1] == 19


def test_one_that_keeps_up_is_not_held_back_by_one_that_does_not() -> None:
    world = World()
    publisher, viewer, derivation = begin(world, HALF)
    slow = world.peer("slow")
    slow.subscribe("wf/field", view=HALF)
    slow.transport.fill_up()
    for step in range(20):
        publisher.publish_array(0, numbers(step))
        world.settle()
    assert viewer.read().offsets == list(range(20))
    assert derivation.computed_entries == 20
    slow.transport.read_on()
    world.settle()
    assert slow.read().offsets == [19]
    assert slow.session.connection.outbox is not None
    assert slow.session.connection.outbox.conflated == 19


def test_gaps_wait_for_their_turn_in_the_queue_of_a_slow_receiver() -> None:
    world = World()
    publisher, viewer, _ = begin(world, View((slice(None), 0)), Kind.EVENT)
    viewer.transport.fill_up()
    for array in (np.eye(2), np.ones(2), np.eye(2)):
        publisher.publish_array(0, array)
    world.settle()
    viewer.transport.read_on()
    world.settle()
    log = viewer.read().log
    assert [entry.offset for entry in viewer.reader.arrivals] == [0, 2]
    assert [type(entry).__name__ for entry in log] == ["Error", "Arrival", "Gap", "Arrival"]


def test_events_that_threads_cannot_keep_up_with_are_dropped_and_announced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(view_queue, "QUEUE_BYTES", 4000)
    world = World()
    publisher, viewer, derivation = begin(world, View(), Kind.EVENT)
    for step in range(20):
        publisher.publish_array(0, np.full(1000, step, np.uint8))
    world.settle()
    (gap,) = viewer.read().gaps
    # The first is being computed, the second is the next.
    assert (gap.first, gap.code) == (2, Code.QUEUE_FULL)
    assert viewer.reader.offsets == [0, 1, *range(gap.last + 1, 20)]
    assert derivation.source.next_offset == 20


# Results of every size, through the same fan-out as everything else.


@pytest.mark.parametrize("chain", [Chain(), Chain(codec="lz4")])
@pytest.mark.parametrize("elements", [1, 20_000, 400_000])
def test_results_are_encoded_and_cut_like_any_message(elements: int, chain: Chain) -> None:
    world = World(FixedPolicy(chain), Limits(chunk_bytes=65536))
    publisher, viewer, _ = begin(world, View(dtype="float64"), codecs=EVERY_CODEC)
    publisher.publish_array(0, np.zeros(elements, np.float32), headers={"step": 1})
    world.settle()
    (arrival,) = viewer.read().arrivals
    assert arrival.array.tolist() == [0.0] * elements
    assert arrival.large == (elements * 8 > 65536)
    assert arrival.encoded == (elements > 1 and chain.codec == "lz4")
    assert arrival.headers == (("step", 1),)
    late = world.peer("late")
    late.subscribe("wf/field", view=View(dtype="float64"))
    world.settle()
    assert late.read().offsets == [0]


def test_a_large_message_is_viewed_when_it_is_whole() -> None:
    world = World()
    publisher, viewer, _ = begin(world, View(np.s_[::1000], "float32"))
    payload = bytes(range(256)) * 100
    large = publisher.large(0, payload)
    while large.chunk():
        world.settle()
        assert viewer.read().arrivals == []
    large.end()
    world.settle()
    (arrival,) = viewer.read().arrivals
    assert arrival.array.tolist() == [float(number) for number in payload[::1000]]
    assert len(payload) > 2 * CHUNK_BYTES


def test_a_large_quantized_result_says_how() -> None:
    world = World(limits=Limits(chunk_bytes=CHUNK_BYTES))
    publisher, viewer, _ = begin(world, View(dtype="uint8"))
    publisher.publish_array(0, np.linspace(0, 255, 10_000))
    world.settle()
    (arrival,) = viewer.read().arrivals
    assert arrival.large
    assert arrival.quantized is not None
    assert (arrival.quantized.scale, arrival.quantized.zero_point) == (1.0, 0.0)


# What goes wrong.


def test_work_that_fails_is_told_and_costs_nothing_else(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    world = World()
    publisher, viewer, _ = begin(world, HALF, Kind.EVENT)
    publisher.publish_array(0, numbers(0))
    with monkeypatch.context() as broken, caplog.at_level(logging.CRITICAL):
        broken.setattr(derivation_module, "show", lambda *_: 1 / 0)
        world.settle()
    publisher.publish_array(0, numbers(1))
    world.settle()
    assert viewer.read().codes == [Code.INTERNAL]
    assert [(gap.first, gap.last, gap.code) for gap in viewer.reader.gaps] == [(0, 0, Code.INTERNAL)]
    assert viewer.reader.offsets == [1]


def test_what_is_being_computed_for_nobody_is_dropped() -> None:
    world = World()
    publisher, viewer, derivation = begin(world, View(max_rate_hz=10))
    publisher.publish_array(0, numbers(0))
    publisher.publish_array(0, numbers(1))
    viewer.unsubscribe(1)
    world.settle()
    world.clock.advance(1)
    world.settle()
    assert viewer.read().arrivals == []
    assert derivation.computed_entries == 0
    assert world.core.hub.idle


# With what states have of their own: deltas, patches (tests/connections/test_patching.py), keyframes.


def test_versions_of_a_view_are_deltas_to_each_other_however_far_their_offsets_jump() -> None:
    world = World(FixedPolicy(delta=Chain(codec="zstd", delta="xor", distance=1)))
    publisher, viewer, _ = begin(world, View(max_rate_hz=10), codecs=EVERY_CODEC)
    noise = np.random.default_rng(3).integers(0, 256, 20_000, np.uint8)

    def publish(step: int) -> None:
        publisher.publish_array(0, np.append(noise, np.uint8(step % 256)))

    for pause in (1, 3, 200, 255, 256, 1000):
        for _ in range(pause):
            publish(publisher.sequences[0])
        world.clock.advance(1)
        world.settle()
    arrivals = viewer.read().arrivals
    assert [arrival.array[-1] for arrival in arrivals] == [arrival.offset % 256 for arrival in arrivals]
    jumps = [after.offset - before.offset for before, after in itertools.pairwise(arrivals)]
    assert max(jumps) > 255
    assert [arrival.delta for arrival in arrivals[1:]] == [jump <= 255 for jump in jumps]


def test_the_policy_forgets_a_view_that_nobody_has_any_more() -> None:
    policy = FixedPolicy()
    _, viewer, derivation = begin(World(policy), HALF)
    assert not policy.forgotten
    viewer.unsubscribe(1)
    assert policy.forgotten == [derivation.source.id]
