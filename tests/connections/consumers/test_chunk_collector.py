"""Chunk collector: consumers get a large message when it is complete, and nothing of one that is not completed."""

from __future__ import annotations

from gateway.protocol.messages import Kind
from gateway.protocol.signals import Abort
from tests.connections.frames import CHUNK_BYTES
from tests.connections.memory import World


def test_a_large_message_is_delivered_when_it_is_complete_or_not_at_all() -> None:
    world = World()
    publisher = world.publisher("wf/tasks", kind=Kind.COLLABORATION)
    worker = world.subscriber("wf/tasks")
    aborted = publisher.large(0, bytes(2 * CHUNK_BYTES), 1)
    aborted.chunk()
    publisher.send(Abort(1, 5000).write())
    whole = publisher.large(0, bytes(2 * CHUNK_BYTES), 2)
    whole.chunk()
    world.settle()
    assert (worker.read().transfers, worker.reader.aborts) == ({}, [])
    whole.end()
    world.settle()
    assert worker.read().offsets == [0]
