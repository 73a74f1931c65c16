"""Accounts of many streams, answered in parts as the peer reads them."""

import json
from itertools import count, islice

import pytest

from gateway.connections import account_answer
from gateway.connections.account_answer import STEP_STREAMS
from gateway.connections.outbound.frame_writer import DeliverySettings
from gateway.protocol.json_size import MAX_BODY_BYTES
from gateway.protocol.messages import Account, Counts, EndReason, Kind, StreamInfo, Subscribe
from tests.connections.memory import Peer, TextPeer, World
from tests.connections.reader import Arrival

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


def asking() -> tuple[World, Peer, set[str]]:
    """A peer that has asked for the account of many streams, which is made one step a turn from now on."""
    world, names = world_of(MANY)
    peer = world.subscriber("**")
    world.settle()
    peer.forget()
    world.take_one_step_a_turn()
    peer.say(Account(7, 1))
    return world, peer, names


def end(world: World, name: str) -> None:
    """End a stream, as if somebody had deleted it."""
    world.core.hub.end(next(stream for stream in world.core.streams if stream.name == name), EndReason.DELETED)


def parts_of(peer: Peer) -> list[Account]:
    """The answers that have come."""
    return [each for each in peer.read().log if isinstance(each, Account)]


def asked(world: World, peer: Peer) -> list[Account]:
    """The answers to ACCOUNT."""
    peer.forget()
    peer.say(Account(7, 1))
    world.settle()
    return parts_of(peer)


@pytest.mark.parametrize("many", [0, 1, 20, MANY])
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


def publish_at_once(world: World, publisher: Peer, alias: int) -> None:
    """Publish as a client within the gateway does; input of sockets has no more time in a turn than long work has."""
    world.core.receive(publisher.session, b"".join(publisher.message(alias, b"x")))


@pytest.mark.parametrize("kind", [Kind.STATE, Kind.EVENT, Kind.COLLABORATION])
@pytest.mark.parametrize("name", ["wf/{number}", "wf/{number}/" + "x" * 200], ids=["short", "long"])
def test_every_part_covers_the_frames_before_it(kind: Kind, name: str) -> None:
    world = World()
    names = [name.format(number=number) for number in range(MANY)]
    publisher = world.publisher(*names, kind=kind)
    peer = world.subscriber("wf/**")
    world.settle()
    peer.forget()
    world.take_one_step_a_turn()
    peer.say(Account(7, 1))
    while not any(part.more is None for part in parts_of(peer)):
        for alias in range(0, MANY, 10):
            publish_at_once(world, publisher, alias)
        world.turns(1)
    arrived: dict[str, int] = {}
    for each in peer.read().log:
        if isinstance(each, Arrival):
            stream = peer.reader.streams[each.stream].stream
            arrived[stream] = arrived.get(stream, 0) + 1
        elif isinstance(each, Account):
            for stream, counts in (each.streams or {}).items():
                assert counts.delivered == arrived.get(stream, 0), stream
    assert len(parts_of(peer)) > 2
    assert sum(arrived.values()) > MANY


def test_a_stream_that_is_announced_meanwhile_is_named_once() -> None:
    world, peer, names = asking()
    publisher = world.publisher("wf/new", kind=Kind.STATE)
    publisher.publish(0, b"y")
    world.settle()
    counted = [each for part in parts_of(peer) for each in (part.streams or {}).items()]
    assert len(counted) == MANY + 1
    assert dict(counted) == dict.fromkeys({*names, "wf/new"}, Counts(1))


@pytest.mark.parametrize("named", [True, False], ids=["behind_its_part", "before_its_part"])
def test_a_stream_that_ends_and_begins_anew_meanwhile_is_named_once(*, named: bool) -> None:
    world, peer, names = asking()
    while not parts_of(peer):
        world.turns(1)
    answered = parts_of(peer)[0].streams or {}
    renewed = next(name for name in sorted(names) if (name in answered) is named)
    end(world, renewed)
    publisher = world.publisher(renewed, kind=Kind.STATE)
    publisher.publish(0, b"y")
    world.settle()
    assert [each.stream for each in peer.read().log if isinstance(each, StreamInfo)] == [renewed, renewed]
    counted = [each for part in parts_of(peer) for each in (part.streams or {}).items()]
    assert len(counted) == MANY
    assert dict(counted) == {**dict.fromkeys(names, Counts(1)), renewed: Counts(1 if named else 2)}


def test_a_stream_that_ends_meanwhile_is_named_once() -> None:
    world, peer, names = asking()
    ended = max(names)
    end(world, ended)
    world.settle()
    counted = [name for part in parts_of(peer) for name in part.streams or ()]
    assert sorted(counted) == sorted(names)


@pytest.mark.parametrize("ends_again", [False, True], ids=["announced", "announced_and_ended"])
@pytest.mark.parametrize("long", [False, True], ids=["last_part", "next_part"])
def test_a_stream_without_an_account_that_is_announced_meanwhile_is_named_once(*, long: bool, ends_again: bool) -> None:
    world, names = world_of(MANY if long else 2)
    peer = world.subscriber("**")
    world.settle()
    for name in names:
        end(world, name)
    world.settle()
    peer.forget()
    publisher = world.peer("another")
    world.take_one_step_a_turn()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(account_answer, "STEP_STREAMS", 1)
        peer.say(Account(7, 1))
        for alias, name in enumerate(sorted(names, reverse=True)):  # the last ones of the answer first
            publisher.open(alias, name, Kind.STATE)
            world.turns(1)
            if ends_again:
                end(world, name)
        world.settle()
    counted = [name for part in parts_of(peer) for name in part.streams or ()]
    assert sorted(counted) == sorted(names)


def test_the_answer_has_an_end_however_many_streams_are_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(account_answer, "STEP_STREAMS", 2)
    monkeypatch.setattr(account_answer, "ROUNDS", 3)
    world, names = world_of(8)
    peer = world.subscriber("**")
    world.settle()
    peer.forget()
    world.take_one_step_a_turn()
    publisher = world.peer("another")
    peer.say(Account(7, 1))
    aliases = count()
    while not parts_of(peer):
        for alias in islice(aliases, 3):
            publisher.open(alias, f"new/{alias}", Kind.STATE)
        world.turns(1)
    (part,) = parts_of(peer)
    assert part.more is None
    counted = set(part.streams or {})
    announced = [each.stream for each in peer.read().log if isinstance(each, StreamInfo)]
    assert names < counted < names | set(announced)
    # The next request names them all.
    world.settle()
    assert {name for part in asked(world, peer) for name in part.streams or {}} == names | set(announced)


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
            publish_at_once(world, publisher, alias)
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


def test_streams_that_have_ended_and_those_that_are_not_announced_are_named_as_well() -> None:
    world, names = world_of(MANY)
    peer = world.peer("reader")
    carried = {f"wf/future{number}": Counts(number) for number in range(300)}
    peer.say(Subscribe(1, 1, "**", account={**carried, next(iter(names)): Counts(5)}))
    world.settle()
    for stream in list(world.core.streams)[::2]:
        world.core.hub.end(stream, EndReason.DELETED)
    world.settle()
    parts = asked(world, peer)
    counted = [entry for part in parts for entry in (part.streams or {}).items()]
    assert len(counted) == len(dict(counted)) == len(names) + len(carried)
    assert dict(counted) == {**dict.fromkeys(names, Counts(1)), **carried, next(iter(names)): Counts(6)}
