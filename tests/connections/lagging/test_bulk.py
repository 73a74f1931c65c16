"""Bulk: large messages, and states of any size while these are paced."""

from gateway.connections.lagging.bulk import BULK_BYTES, Bulk
from gateway.protocol.messages import Kind
from gateway.protocol.signals import Gap
from tests.connections.outbound.test_outbox import run, stream


def test_messages_are_bulk_by_the_size_of_each() -> None:
    source = stream(1, Kind.EVENT)
    assert Bulk().holds(run(source, 0, size=BULK_BYTES + 1))
    assert not Bulk().holds(run(source, 0, size=BULK_BYTES))


def test_states_of_any_size_are_bulk_while_they_are_paced() -> None:
    bulk = Bulk()
    assert not bulk.holds(run(stream(1, Kind.STATE), 0))
    bulk.paced = True
    assert bulk.holds(run(stream(1, Kind.STATE), 0))
    assert not bulk.holds(run(stream(2, Kind.EVENT), 0))


def test_signals_are_not_bulk() -> None:
    bulk = Bulk()
    bulk.paced = True
    assert not bulk.holds(Gap(1, 0, 1, 1))
    assert not bulk.holds(None)
