"""How publishers are told what became of their messages."""

from __future__ import annotations

from gateway.connections.sessions.notices import Author, Notices
from gateway.errors import Code
from gateway.ids import ClientId, StreamName
from gateway.protocol.messages import Notice
from tests.connections.memory import Peer, World


def expired(first: int, last: int | None = None, client_id: str = "worker") -> Notice:
    return Notice("wf/tasks", first, first if last is None else last, Code.EXPIRED, "late", client_id=client_id)


def notices_of(world: World) -> Notices:
    return Notices(world.core.pool, world.clock)


def author(peer: Peer) -> Author:
    return Author(peer.session.peer.id, ClientId(peer.client_id))


def test_offsets_that_follow_one_another_are_told_in_one() -> None:
    world = World()
    peer, notices = world.peer("author"), notices_of(world)
    assert notices.author_of(peer.session.peer.id) == author(peer)
    for offset in (1, 2, 4):
        notices.tell(author(peer), expired(offset))
    notices.tell(author(peer), expired(5, client_id="other"))
    assert not peer.read().notices
    world.turn()
    assert peer.read().notices == [expired(1, 2), expired(4), expired(5, client_id="other")]


def test_an_author_that_has_come_back_is_told_on_its_newest_connection() -> None:
    world = World()
    gone, notices = world.peer("author"), notices_of(world)
    told = author(gone)
    gone.drop()
    first, second = (world.peer("author", instance=1) for _ in range(2))
    notices.tell(told, expired(1))
    world.turn()
    assert [len(peer.read().notices) for peer in (first, second)] == [0, 1]


def test_an_author_that_is_gone_is_told_nothing() -> None:
    world = World()
    gone, other, notices = world.peer("author"), world.peer("other"), notices_of(world)
    told = author(gone)
    gone.drop()
    notices.tell(told, expired(1))
    world.turn()
    assert not other.read().notices


def test_the_author_of_a_message_of_the_gateway_before_is_who_publishes_for_its_producer() -> None:
    world = World()
    notices = notices_of(world)
    first = world.peer("author")
    first.produce(0, "wf/tasks")
    stream = world.core.streams.get(StreamName("wf/tasks"))
    assert stream is not None
    told = Author(window=world.core.producers.find(stream, 7))
    notices.tell(told, expired(1))
    world.turn()
    assert first.read().notices == [expired(1)]
    first.drop()
    notices.tell(told, expired(2))
    world.turn()
    second = world.peer("author")
    second.produce(0, "wf/tasks")
    notices.tell(told, expired(3))
    world.turn()
    assert second.read().notices == [expired(3)]
