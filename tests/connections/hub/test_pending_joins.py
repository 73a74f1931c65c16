"""Pending joins of one connection: they are bounded, and those of streams that have ended are given up."""

from __future__ import annotations

import pytest

from gateway.connections.hub.pending_joins import SWEPT_FROM, Join, PendingJoins
from gateway.connections.outbound.frame_writer import DeliverySettings
from gateway.errors import Code
from gateway.ids import StreamName
from gateway.protocol.messages import EndReason, Kind
from tests.connections.memory import Peer, World


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
    assert len(waiting) < 3 * SWEPT_FROM
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
    for number in range(2 * SWEPT_FROM):
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
