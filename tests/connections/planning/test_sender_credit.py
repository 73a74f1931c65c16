"""Sender credit: publishes wait from it on, in any order of senders, and go on when it is raised or ends."""

from __future__ import annotations

import pytest

from gateway.connections.planning.sender_credit import bound_senders, drain_for_senders
from tests.connections.planning.fan_in import MESSAGE, FanIn, acknowledged

CREDIT = 4 * len(MESSAGE)


@pytest.mark.parametrize("one_stream", [False, True])
def test_every_sender_has_its_turn_and_little_waits(*, one_stream: bool) -> None:
    scene = FanIn(one_stream=one_stream)
    assert bound_senders(scene.connection, CREDIT)
    for _ in range(50):
        scene.publish()
        assert scene.event_bytes <= CREDIT + 3 * len(scene.senders) * (len(MESSAGE) + 256)
        scene.read()
    assert max(scene.published) <= 1.25 * min(scene.published)
    assert min(scene.published) > 25


def test_a_sender_that_publishes_seldom_waits_for_no_more_than_the_queue() -> None:
    scene = FanIn()
    bound_senders(scene.connection, CREDIT)
    *busy, seldom = scene.senders
    scene.senders = busy
    for number in range(1, 21):
        scene.publish()
        seldom.publish(0, MESSAGE, ack=True)
        for _ in range(5):
            scene.publish()
            scene.read()
        assert acknowledged(seldom) == number


def test_those_that_wait_go_on_when_the_credit_ends() -> None:
    scene = FanIn()
    bound_senders(scene.connection, CREDIT)
    scene.publish()
    before = sum(scene.published)
    scene.publish()
    assert sum(scene.published) == before
    bound_senders(scene.connection, 0)
    scene.world.settle()
    scene.publish(1)
    assert sum(scene.published) == before + len(scene.senders)


def test_what_had_waited_is_delivered_while_senders_go_on() -> None:
    """They would time out if they waited until all of it is delivered."""
    scene = FanIn()
    scene.publish(50)
    bound_senders(scene.connection, CREDIT)
    outbox = scene.connection.made_outbox()
    before, rounds, taken = scene.event_bytes, 0, outbox.taken_bytes
    published = list(scene.published)
    while scene.event_bytes > CREDIT + 3 * len(scene.senders) * (len(MESSAGE) + 256):
        scene.read()
        drain_for_senders(scene.connection, outbox.taken_bytes - taken)
        taken = outbox.taken_bytes
        scene.publish()
        rounds += 1
        assert rounds < 200
    assert scene.event_bytes < before / 2
    went_on = [now - then for now, then in zip(scene.published, published, strict=True)]
    assert min(went_on) > 0
    drain_for_senders(scene.connection, 10**9)
    assert outbox.events.crowd_bytes == CREDIT


def test_a_receiver_that_counts_as_slow_may_not_be_by_another_bound() -> None:
    scene = FanIn()
    outbox = scene.connection.made_outbox()
    outbox.hold.slow = True
    bound_senders(scene.connection, CREDIT)
    assert (outbox.hold.slow, outbox.hold.least_bytes) == (False, CREDIT)


def test_a_client_that_is_gone_has_none() -> None:
    scene = FanIn()
    scene.world.lose(scene.receiver)
    assert not bound_senders(scene.connection, CREDIT)
