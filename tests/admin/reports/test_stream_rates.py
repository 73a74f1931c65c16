"""Rates of streams: between two looks, neither too short nor too long ago, whoever looks how often."""

from __future__ import annotations

import weakref

import pytest

from gateway.admin.reports.stream_rates import LEAST_S, LONGEST_S, Rates, StreamRates
from tests.connections.memory import Peer, World


class Scene:
    """A stream that gets one message of 8 bytes at a time, and those who look at it."""

    def __init__(self) -> None:
        self.world = World()
        self.publisher: Peer = self.world.publisher("wf/a")
        (self.stream,) = self.world.core.streams
        self.rates = StreamRates(self.world.clock)

    def look(self, *, after_s: float = 0.0, messages: int = 0) -> Rates | None:
        self.world.clock.advance(after_s)
        for _ in range(messages):
            self.publisher.publish(0, b"12345678")
        look = self.rates.look()
        found = look.rates_of([self.stream])
        self.rates.keep(look)
        return None if found is None else found.at(0)


def test_the_first_look_has_no_rates() -> None:
    scene = Scene()
    assert scene.look(messages=5) is None
    found = scene.look(after_s=2.0, messages=10)
    assert found is not None
    assert found.messages_per_s == pytest.approx(5.0)
    assert found.bytes_per_s == pytest.approx(scene.stream.published_bytes / 15 * 10 / 2)


def test_two_who_look_one_right_behind_the_other_both_see_a_rate_over_a_while() -> None:
    scene = Scene()
    assert scene.look() is None
    assert scene.look(after_s=LEAST_S / 10, messages=1) is None
    second = scene.look(after_s=1.0 - LEAST_S / 10, messages=9)
    assert second is not None
    assert second.messages_per_s == pytest.approx(10.0)
    again = scene.look(after_s=LEAST_S / 10)
    assert again is not None
    assert again.messages_per_s == pytest.approx(10.0 / (1.0 + LEAST_S / 10))
    later = scene.look(after_s=1.0 - LEAST_S / 10, messages=3)
    assert later is not None
    assert later.messages_per_s == pytest.approx(3.0)


def test_who_looks_very_often_sees_no_rate_of_a_moment() -> None:
    scene = Scene()
    scene.look()
    scene.look(after_s=LEAST_S, messages=5)
    for _ in range(20):
        found = scene.look(after_s=LEAST_S / 5, messages=1)
        assert found is not None
        assert found.messages_per_s == pytest.approx(5 / LEAST_S, rel=0.001)


def test_a_look_of_long_ago_says_nothing() -> None:
    scene = Scene()
    scene.look()
    assert scene.look(after_s=LONGEST_S + 1.0, messages=1) is None
    assert scene.look(after_s=LONGEST_S, messages=1) is not None


def test_looks_are_compared_stream_by_stream_however_many_come_and_go() -> None:
    scene = Scene()
    names = [f"wf/{number}" for number in range(20)]
    publisher = scene.world.publisher(*names)
    streams = list(scene.world.core.streams)
    first = scene.rates.look()
    assert [first.rates_of(streams[:7]), first.rates_of(streams[7:])] == [None, None]
    scene.rates.keep(first)
    scene.world.clock.advance(1.0)
    for alias in range(20):
        for _ in range(alias):
            publisher.publish(alias, b"1")
    second = scene.rates.look()
    # Those with odd numbers have ended.
    found = second.rates_of(streams[::2])
    assert found is not None
    assert found.messages_per_s.tolist() == [0, *range(1, 20, 2)]


def test_two_looks_are_kept_however_many_there_have_been() -> None:
    world = World()
    rates = StreamRates(world.clock)
    looks = []
    for _ in range(5):
        world.clock.advance(LEAST_S)
        look = rates.look()
        rates.keep(look)
        looks.append(weakref.ref(look))
    del look
    assert [look() is not None for look in looks] == [False, False, False, True, True]


def test_a_look_at_no_stream_is_one_as_well() -> None:
    world = World()
    rates = StreamRates(world.clock)
    rates.keep(rates.look())
    world.clock.advance(2.0)
    publisher = world.publisher("wf/new")
    for _ in range(4):
        publisher.publish(0, b"1")
    look = rates.look()
    found = look.rates_of(list(world.core.streams))
    assert found is not None
    assert found.at(0).messages_per_s == 2.0
    rates.keep(look)
    world.clock.advance(1.0)
    empty = rates.look().rates_of([])
    assert empty is not None
    assert empty.messages_per_s.tolist() == []
