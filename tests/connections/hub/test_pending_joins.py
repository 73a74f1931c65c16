"""Pending joins of one connection: they are bounded, and those of streams that have ended are given up."""

from __future__ import annotations

from typing import Final

import pytest

from gateway.connections.hub.pending_joins import Join, PendingJoins
from gateway.connections.outbound.frame_writer import DeliverySettings
from gateway.errors import Code
from gateway.ids import StreamName
from gateway.protocol.messages import EndReason, Kind, StreamInfo
from tests.connections.memory import Peer, World

MANY: Final = 200
"""Streams that take many steps."""


def world_of_nothing() -> tuple[World, Peer]:
    """A world without a stream, one step of long work a turn, and a publisher."""
    world = World(delivery=DeliverySettings(urgent_limit_bytes=16 * 1024))
    publisher = world.publisher()
    world.settle()
    world.take_one_step_a_turn()
    return world, publisher


def test_streams_that_others_open_and_end_do_not_pile_up_for_a_client_that_does_not_read() -> None:
    world, publisher = world_of_nothing()
    hub = world.core.hub
    subscriber = world.subscriber("**")
    subscriber.transport.fill_up()
    for number in range(1000):
        publisher.open(0, f"wf/{number}", Kind.EVENT)
        stream = world.core.streams.get(StreamName(f"wf/{number}"))
        assert stream is not None
        if number:
            hub.end(stream, EndReason.DELETED)
    waiting = subscriber.session.connection.announcements
    assert isinstance(waiting, PendingJoins)
    assert len(waiting) < 6
    subscriber.transport.read_on()
    world.settle()
    assert subscriber.close_code() is None


def test_a_client_that_never_reads_its_announcements_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.connections.hub.joins.MAX_WAITING", 100)
    world, publisher = world_of_nothing()
    subscriber = world.subscriber("**")
    subscriber.transport.fill_up()
    for number in range(1000):
        publisher.open(number, f"wf/{number}", Kind.EVENT)
    world.settle()
    assert subscriber.close_code() == Code.SLOW_CONSUMER
    subscriber.drop()
    world.settle()
    assert not any(world.core.hub.fanouts.pubsub_of(stream).taps for stream in world.core.streams)


def test_a_fault_of_the_gateway_closes_the_connection(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    world, publisher = world_of_nothing()
    for number in range(MANY):
        publisher.open(number, f"wf/{number}", Kind.EVENT)
    subscriber = world.subscriber("**")

    def fail(join: Join) -> None:
        raise ValueError("a fault")

    monkeypatch.setattr(Join, "finish", fail)
    world.settle()
    assert "a fault" in caplog.text
    assert subscriber.close_code() == Code.INTERNAL_ERROR
    subscriber.drop()
    world.settle()
    assert world.core.hub.idle


def test_a_state_that_waits_and_is_opened_anew_is_announced_as_the_new_one() -> None:
    world, publisher = world_of_nothing()
    count = MANY
    for number in range(count):
        publisher.open(number, f"wf/{number}", Kind.STATE)
    world.settle()
    subscriber = world.subscriber("**")
    subscriber.transport.fill_up()
    world.settle()
    assert waiting_for(subscriber) == count
    for number in (1, count - 1):
        stream = world.core.streams.get(StreamName(f"wf/{number}"))
        assert stream is not None
        world.core.hub.end(stream, EndReason.DELETED)
    publisher.open(count, f"wf/{count - 1}", Kind.STATE)
    world.settle()
    assert waiting_for(subscriber) == count + 1
    subscriber.transport.read_on()
    world.settle()
    announced = [entry.stream for entry in subscriber.read().log if isinstance(entry, StreamInfo)]
    assert sorted(announced) == sorted(f"wf/{number}" for number in range(count) if number != 1)
    assert waiting_for(subscriber) == 0


@pytest.mark.parametrize("kind", [Kind.STATE, Kind.EVENT])
def test_streams_that_waited_for_a_lost_client_count_no_more(kind: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    count = MANY
    monkeypatch.setattr("gateway.connections.hub.joins.MAX_ALL_WAITING", count + 10)
    world, publisher = world_of_nothing()
    for number in range(count):
        publisher.open(number, f"wf/{number}", kind)
    world.settle()
    for _ in range(3):
        subscriber = world.subscriber("**")
        subscriber.transport.fill_up()
        world.settle()
        assert waiting_for(subscriber) == count
        assert subscriber.close_code() is None
        subscriber.drop()
        world.settle()
    assert world.core.hub.idle


def waiting_for(peer: Peer) -> int:
    """Streams that wait to be announced to a client."""
    waiting = peer.session.connection.announcements
    assert waiting is None or isinstance(waiting, PendingJoins)
    return 0 if waiting is None else len(waiting)
