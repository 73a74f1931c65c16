"""Accounts of many streams, answered in parts as the peer reads them."""

import json

import pytest

from gateway.connections.account_answer import STEP_STREAMS
from gateway.connections.outbound.frame_writer import DeliverySettings
from gateway.protocol.messages import Account, Counts, EndReason, Kind
from gateway.protocol.session_body import MAX_BODY_BYTES
from tests.connections.memory import Peer, TextPeer, World

MANY = 4 * STEP_STREAMS + 3


def world_of(many: int, delivery: DeliverySettings | None = None) -> tuple[World, set[str]]:
    """A gateway with streams of long names, each of which has had a message."""
    world = World(delivery=delivery)
    names = [f"wf/{number:05}/{'x' * 200}" for number in range(many)]
    publisher = world.peer("publisher")
    for alias, name in enumerate(names):
        publisher.open(alias, name, Kind.STATE)
        publisher.publish(alias, b"x")
    world.settle()
    return world, set(names)


def asked(world: World, peer: Peer) -> list[Account]:
    """The answers to ACCOUNT."""
    peer.forget()
    peer.say(Account(7, 1))
    world.settle()
    return [each for each in peer.news().log if isinstance(each, Account)]


@pytest.mark.parametrize("many", [0, 1, 100, MANY])
def test_all_parts_together_name_every_stream_once(many: int) -> None:
    world, names = world_of(many)
    peer = world.subscriber("**")
    world.settle()
    parts = asked(world, peer)
    assert [part.more for part in parts] == [*[True] * (len(parts) - 1), None]
    assert (len(parts) > 1) is (many == MANY)
    counted = [name for part in parts for name in part.streams or ()]
    assert len(counted) == len(names)
    assert set(counted) == names
    assert {counts for part in parts for counts in (part.streams or {}).values()} <= {Counts(1)}


def test_parts_have_a_bounded_size_and_wait_for_the_peer() -> None:
    world, names = world_of(MANY, DeliverySettings(urgent_limit_bytes=64 * 1024))
    peer = world.subscriber("**")
    world.settle()
    peer.forget()
    peer.transport.stalled = True
    peer.say(Account(7, 1))
    world.settle()
    sent = peer.transport.writes
    assert peer.transport.closed is None
    assert max(map(len, sent)) <= MAX_BODY_BYTES
    assert sum(map(len, sent)) < MANY * 300 / 2
    assert not peer.transport.is_reading()
    peer.transport.read_on()
    world.settle()
    parts = [each for each in peer.news().log if isinstance(each, Account)]
    assert {name for part in parts for name in part.streams or ()} == names
    assert peer.transport.is_reading()


def test_what_the_peer_says_later_waits_for_the_answer() -> None:
    world, names = world_of(MANY)
    peer = world.subscriber("**")
    world.settle()
    peer.forget()
    peer.say(Account(7, 1))
    peer.unsubscribe(1)
    world.settle()
    parts = [each for each in peer.news().log if isinstance(each, Account)]
    assert {name for part in parts for name in part.streams or ()} == names


def test_streams_may_come_and_go_meanwhile() -> None:
    world, names = world_of(MANY)
    peer = world.subscriber("**")
    world.settle()
    peer.forget()
    peer.say(Account(7, 1))
    publisher = world.publisher("wf/new", kind=Kind.STATE)
    publisher.publish(0, b"y")
    ended = next(iter(names))
    world.core.hub.end(next(stream for stream in world.core.streams if stream.name == ended), EndReason.DELETED)
    world.settle()
    parts = [each for each in peer.news().log if isinstance(each, Account)]
    counted = {name for part in parts for name in part.streams or ()}
    assert names - {ended} <= counted <= names | {"wf/new"}
    assert parts[-1].more is None


def test_each_part_covers_all_messages_that_were_sent_before_it() -> None:
    world, names = world_of(MANY)
    peer = world.subscriber("**")
    publisher = world.peer("another")
    for alias, name in enumerate(sorted(names)):
        publisher.open(alias, name)
    world.settle()
    world.take_one_step_a_turn()
    peer.forget()
    peer.say(Account(7, 1))
    parts: list[Account] = []
    while not parts or parts[-1].more:
        parts += [each for each in peer.news().log if isinstance(each, Account)]
        for alias in range(MANY):
            publisher.publish(alias, b"y")
        world.turns(1)
    delivered = [{counts.delivered for counts in (part.streams or {}).values()} for part in parts]
    assert {len(counts) for counts in delivered if counts} == {1}
    assert len({min(counts) for counts in delivered if counts}) > 2


def test_parts_of_text() -> None:
    world, names = world_of(MANY)
    peer = TextPeer(world)
    peer.send('{"message_type":"hello","client_type":"agent","payload":{"versions":[1]}}')
    peer.send('{"id":1,"message_type":"subscribe","payload":{"pattern":"**"}}')
    world.settle()
    peer.send('{"id":2,"message_type":"account","payload":{"subscription":1}}')
    world.settle()
    texts = [json.loads(text) for text in peer.texts()]
    parts = [text["payload"] for text in texts if text["message_type"] == "account"]
    assert [part.get("more") for part in parts] == [*[True] * (len(parts) - 1), None]
    assert {name for part in parts for name in part["streams"]} == names
