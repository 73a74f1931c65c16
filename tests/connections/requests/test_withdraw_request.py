"""Taking a request back: one that still waits is not sent, one that was sent is called off, always in order."""

from __future__ import annotations

from gateway.errors import Code
from gateway.protocol.encoding import Chain
from gateway.protocol.signals import Cancel
from tests.connections.asking import ask, ask_large, asker_of, cancel, member, nothing_is_left, peer_of
from tests.connections.memory import TextPeer, World

LARGE = bytes(range(256)) * 80


def test_what_waits_is_not_sent_at_all() -> None:
    world = World()
    worker, asker = member(world, "worker"), asker_of(world)
    worker.transport.fill_up()
    for correlation in (1, 2, 3):
        ask(asker, correlation)
    world.settle()
    cancel(asker, 2)
    worker.transport.read_on()
    world.settle()
    assert worker.read().offsets == [1, 3]
    assert not worker.reader.cancels
    assert worker.session.connection.outbox is not None
    assert not worker.session.connection.outbox.waiting_bytes


def test_another_askers_request_of_the_same_number_stays() -> None:
    world = World()
    worker, asker, other = member(world, "worker"), asker_of(world), asker_of(world, client_id="other")
    worker.transport.fill_up()
    ask(other, 1)
    ask(asker, 1)
    world.settle()
    cancel(asker, 1)
    worker.transport.read_on()
    (request,) = worker.read().arrivals
    assert request.publisher == peer_of(other)


def test_a_cancel_comes_behind_its_request() -> None:
    """In the same turn of the loop the request waits to be written; the cancel must not pass it."""
    world = World()
    worker, asker = member(world, "worker"), asker_of(world)
    ask(asker, 1)
    cancel(asker, 1)
    world.settle()
    log = worker.read().log
    assert [type(entry).__name__ for entry in log] == ["Arrival", "Cancel"]


def test_a_cancel_waits_for_what_is_being_decoded() -> None:
    world = World()
    worker, asker = member(world, "worker"), asker_of(world)
    ask_large(asker, 1, LARGE, chain=Chain(codec="lz4")).end()
    cancel(asker, 1)
    assert not worker.read().log
    world.settle()
    assert [type(entry).__name__ for entry in worker.read().log] == ["Arrival", "Cancel"]


def test_a_large_request_that_was_sent_in_part_is_aborted() -> None:
    world = World()
    worker, asker = member(world, "worker"), asker_of(world)
    large = ask_large(asker, 1, LARGE)
    large.chunk()
    worker.transport.fill_up()
    large.end()
    world.settle()
    cancel(asker, 1)
    worker.transport.read_on()
    world.settle()
    assert [abort.code for abort in worker.read().aborts] == [Code.CANCELLED]
    assert not worker.reader.arrivals
    assert not worker.reader.cancels
    assert nothing_is_left(world)


def test_a_request_that_was_sent_is_called_off_behind_what_waits() -> None:
    world = World()
    worker, asker = member(world, "worker"), asker_of(world)
    ask(asker, 1)
    world.settle()
    worker.transport.fill_up()
    ask(asker, 2)
    world.settle()
    cancel(asker, 1)
    worker.transport.read_on()
    world.settle()
    assert worker.read().offsets == [1, 2]
    assert worker.reader.cancels == [Cancel(peer_of(asker), 1)]


def person_of_workers(world: World) -> TextPeer:
    person = TextPeer(world)
    person.send('{"message_type":"hello","client_type":"agent","payload":{"versions":[1],"client_id":"ann"}}')
    person.send('{"id":7,"message_type":"subscribe","payload":{"pattern":"group:workers"}}')
    person.texts()
    return person


def test_what_waits_as_text_is_not_sent_at_all() -> None:
    world = World()
    person, asker = person_of_workers(world), asker_of(world)
    person.transport.fill_up()
    ask(asker, 1)
    world.settle()
    outbox = person.session.connection.outbox
    assert outbox is not None
    waiting_bytes = outbox.waiting_bytes
    for correlation in range(2, 10):
        if correlation % 2:
            ask(asker, correlation, LARGE[:1000])
        else:
            ask_large(asker, correlation, LARGE).end()
        world.settle()
        cancel(asker, correlation)
        assert outbox.waiting_bytes == waiting_bytes
    person.transport.read_on()
    world.settle()
    (request,) = person.texts()
    assert b'"correlation":1' in request


def test_a_person_is_told_in_words_behind_what_waits() -> None:
    world = World()
    person, asker = person_of_workers(world), asker_of(world)
    ask_large(asker, 3, LARGE).end()
    world.settle()
    person.transport.fill_up()
    ask(asker, 4)
    world.settle()
    cancel(asker, 3)
    person.transport.read_on()
    world.settle()
    request, later, cancelled = person.texts()
    assert b'"message_type":"request"' in request
    assert b'"stream":"group:workers"' in request
    assert b'"correlation":4' in later
    assert b'"message_type":"cancel"' in cancelled
    assert b'"correlation":3' in cancelled
    assert f'"peer":{peer_of(asker)}'.encode() in cancelled
