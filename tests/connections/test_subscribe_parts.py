"""SUBSCRIBEs in parts: what adds up, what is answered, and what is kept of those that never become complete."""

import json

import pytest

from gateway.connections.subscribe_parts import CONNECTIONS_OF_FUTURE, SubscribeParts
from gateway.errors import Code
from gateway.protocol.json_size import MAX_BODY_BYTES
from gateway.protocol.limits import Limits
from gateway.protocol.messages import (
    Account,
    Counts,
    Error,
    Kind,
    StreamInfo,
    Subscribe,
    Subscribed,
    Unsubscribe,
    Unsubscribed,
)
from gateway.protocol.wire import FRAME_START, PADDING, Opcode
from tests.connections.memory import Peer, TextPeer, World

FEW = 3
"""Streams of a gateway that may have few."""


def answers(peer: Peer) -> list[object]:
    """What came, but for announcements of streams."""
    return [each for each in peer.news().log if not isinstance(each, StreamInfo)]


def frame(opcode: Opcode, body: str) -> bytes:
    """A frame with a body that may be no JSON."""
    text = body.encode()
    size = FRAME_START.size + len(text)
    return FRAME_START.pack(size, opcode, 0, 0) + text + PADDING[-size % 8]


@pytest.fixture
def world() -> World:
    """A gateway with two streams, of which each has had five messages."""
    world = World()
    publisher = world.publisher("wf/a", "wf/b")
    for alias in (0, 1):
        for number in range(5):
            publisher.publish(alias, bytes([number]))
    world.settle()
    return world


def epoch_of(world: World, name: str) -> int:
    """The incarnation of a stream."""
    return next(stream.epoch for stream in world.core.streams if stream.name == name)


def test_parts_add_up_and_the_last_is_answered(world: World) -> None:
    peer = world.peer()
    since = {name: (epoch_of(world, name), 4) for name in ("wf/a", "wf/b")}
    peer.say(Subscribe(1, 9, "wf/*", {"wf/a": since["wf/a"]}, account={"wf/a": Counts(3)}, more=True))
    assert peer.news().log == []
    peer.say(Subscribe(1, 9, "wf/*", account={"wf/b": Counts(2, dropped=2)}, more=True))
    peer.say(Subscribe(1, 9, "wf/*", {"wf/b": since["wf/b"]}))
    log = peer.news().log
    assert log[0] == Subscribed(1, 9, positions=2)
    assert {each.stream: (each.since, each.recovered) for each in log if isinstance(each, StreamInfo)} == {
        "wf/a": (4, True),
        "wf/b": (4, True),
    }
    peer.say(Account(2, 9))
    counts = {"wf/a": Counts(4, replayed=1), "wf/b": Counts(3, dropped=2, replayed=1)}
    assert answers(peer)[-1] == Account(2, 9, counts)


def test_the_answer_tells_how_many_of_the_named_streams_exist_in_the_named_epoch(world: World) -> None:
    world.publisher("wf/c", "other/d")
    peer = world.peer()
    epochs = {name: epoch_of(world, name) for name in ("wf/a", "wf/b", "wf/c", "other/d")}
    first = {"wf/a": (epochs["wf/a"], 4), "wf/gone": (1, 1), "other/d": (epochs["other/d"], 0)}
    peer.say(Subscribe(1, 9, "wf/*", first, more=True))
    peer.say(Subscribe(1, 9, "wf/*", {"wf/a": first["wf/a"], "wf/b": (epochs["wf/b"] - 1, 1)}, more=True))
    peer.say(Subscribe(1, 9, "wf/*", {"wf/c": (epochs["wf/c"], 0)}))
    assert answers(peer)[0] == Subscribed(1, 9, positions=2)
    peer.say(Subscribe(2, 8, "wf/*", since=0))
    assert answers(peer)[0] == Subscribed(2, 8)


def test_other_frames_may_come_in_between(world: World) -> None:
    peer = world.peer()
    peer.say(Subscribe(1, 9, "wf/*", {}, more=True))
    peer.say(Subscribe(2, 8, "wf/a"))
    peer.open(0, "wf/c", Kind.EVENT)
    peer.publish(0, b"x", ack=True)
    peer.say(Subscribe(1, 9, "wf/*", {}))
    assert [each for each in answers(peer) if isinstance(each, Subscribed)] == [
        Subscribed(2, 8),
        Subscribed(1, 9, positions=0),
    ]


def test_a_part_of_something_else_is_answered_once_with_the_last(world: World) -> None:
    peer = world.peer()
    peer.say(Subscribe(1, 9, "wf/*", {}, more=True))
    peer.say(Subscribe(1, 9, "wf/a", {}, more=True))
    peer.say(Subscribe(1, 9, "wf/*", {}, more=True))
    assert answers(peer) == []
    peer.say(Subscribe(1, 9, "wf/*", {}))
    (error,) = answers(peer)
    assert isinstance(error, Error)
    assert (error.code, error.request) == (Code.INVALID_REQUEST, 1)
    peer.say(Subscribe(1, 9, "wf/*", {}))
    assert answers(peer)[0] == Subscribed(1, 9, positions=0)


@pytest.mark.parametrize(
    "wrong",
    [
        '{"request":1,"subscription":9,"pattern":"wf/*","since":{"wf/a":"new"},"more":true}',
        '{"request":1,"subscription":9,"pattern":"wf/*","since":"beginning","more":true}',
        '{"request":1,"subscription":9,"pattern":"wf//*","since":{},"more":true}',
    ],
)
@pytest.mark.parametrize("first", [True, False])
def test_an_error_in_a_part_is_answered_with_the_last(world: World, wrong: str, *, first: bool) -> None:
    peer = world.peer()
    good = Subscribe(1, 9, "wf/*", {}, more=True)
    if first:
        peer.send(frame(Opcode.SUBSCRIBE, wrong))
        peer.say(good)
    else:
        peer.say(good)
        peer.send(frame(Opcode.SUBSCRIBE, wrong))
    assert answers(peer) == []
    peer.say(Subscribe(1, 9, "wf/*", {}))
    (error,) = answers(peer)
    assert isinstance(error, Error)
    assert error.request == 1


def test_a_last_part_that_cannot_be_read_ends_them_all(world: World) -> None:
    peer = world.peer()
    peer.say(Subscribe(1, 9, "wf/*", {}, more=True))
    peer.send(frame(Opcode.SUBSCRIBE, '{"request":1,"subscription":9,"pattern":"wf/*","since":{"wf/a":"new"}}'))
    (error,) = answers(peer)
    assert isinstance(error, Error)
    assert error.request == 1
    peer.say(Subscribe(1, 9, "wf/*"))
    assert answers(peer)[0] == Subscribed(1, 9)


def test_what_cannot_be_read_at_all_may_have_been_a_part(world: World) -> None:
    peer = world.peer()
    peer.say(Subscribe(1, 9, "wf/*", {}, more=True))
    peer.send(frame(Opcode.SUBSCRIBE, "{"))
    peer.say(Subscribe(1, 9, "wf/*", {}))
    assert [getattr(each, "request", 0) for each in answers(peer)] == [None, 1]


def test_another_one_in_parts_gives_the_first_one_up(world: World) -> None:
    peer = world.peer()
    peer.say(Subscribe(1, 9, "wf/*", {}, more=True))
    peer.say(Subscribe(2, 8, "wf/*", {}, more=True))
    (error,) = answers(peer)
    assert isinstance(error, Error)
    assert (error.code, error.request) == (Code.INVALID_REQUEST, 1)
    peer.say(Subscribe(2, 8, "wf/*", {}))
    assert answers(peer)[0] == Subscribed(2, 8, positions=0)


def test_unsubscribe_gives_an_incomplete_one_up(world: World) -> None:
    peer = world.peer()
    peer.say(Subscribe(1, 9, "wf/*", {}, more=True))
    peer.say(Unsubscribe(2, 9))
    assert answers(peer) == [Unsubscribed(2, 9)]
    peer.say(Unsubscribe(3, 9))
    assert isinstance(answers(peer)[0], Error)


def test_parts_of_text(world: World) -> None:
    peer = TextPeer(world)
    peer.send('{"message_type":"hello","client_type":"agent","payload":{"versions":[1]}}')
    world.settle()
    peer.texts()
    since = [epoch_of(world, "wf/a"), 5]
    part = {"pattern": "wf/*", "since": {"wf/a": since}, "more": True}
    peer.send(json.dumps({"id": 1, "message_type": "subscribe", "payload": part}))
    world.settle()
    assert peer.texts() == []
    rest = {"pattern": "wf/*", "account": {"wf/a": {"delivered": 7}}}
    peer.send(json.dumps({"id": 1, "message_type": "subscribe", "payload": rest}))
    peer.send('{"id":2,"message_type":"account","payload":{"subscription":1}}')
    world.settle()
    texts = [json.loads(text) for text in peer.texts()]
    assert texts[0]["message_type"] == "subscribed"
    accounts = [text["payload"]["streams"] for text in texts if text["message_type"] == "account"]
    assert accounts[0]["wf/a"]["delivered"] == 7


def test_an_error_in_a_part_of_text_is_answered_with_the_last(world: World) -> None:
    peer = TextPeer(world)
    peer.send('{"message_type":"hello","client_type":"agent","payload":{"versions":[1]}}')
    world.settle()
    peer.texts()
    peer.send('{"id":1,"message_type":"subscribe","payload":{"pattern":"wf/*","since":{"wf/a":1},"more":true}}')
    world.settle()
    assert peer.texts() == []
    peer.send('{"id":1,"message_type":"subscribe","payload":{"pattern":"wf/*"}}')
    world.settle()
    (error,) = [json.loads(text) for text in peer.texts()]
    assert error["payload"]["request"] == 1


def test_text_that_cannot_be_read_at_all_may_have_been_a_part(world: World) -> None:
    peer = TextPeer(world)
    peer.send('{"message_type":"hello","client_type":"agent","payload":{"versions":[1]}}')
    world.settle()
    peer.texts()
    part = '{"id":1,"message_type":"subscribe","payload":{"pattern":"wf/*","since":{},"more":true}}'
    for text in (
        part,
        '{"id":2,"message_type":"request","stream":"agent:nobody"}',
        part,
        "{",
        part.replace("true", "null"),
    ):
        peer.send(text)
    world.settle()
    payloads = [json.loads(text)["payload"] for text in peer.texts()]
    assert [(payload["code"], payload.get("request")) for payload in payloads] == [
        (Code.NO_SUCH_PEER, 2),
        (Code.INVALID_REQUEST, None),
        (Code.INVALID_REQUEST, 1),
    ]
    peer.send(part)
    peer.send('{"id":3,"message_type":"request","stream":"agent:nobody"}')  # refused, and no part
    peer.send(part.replace("true", "null"))
    world.settle()
    assert "subscribed" in [json.loads(text)["message_type"] for text in peer.texts()]


def test_a_body_that_is_too_large_is_not_read(world: World) -> None:
    peer = world.peer()
    names = {f"wf/{number}": (1, 1) for number in range(MAX_BODY_BYTES // 10)}
    peer.say(Subscribe(1, 9, "wf/*", names))
    (error,) = answers(peer)
    assert isinstance(error, Error)
    assert error.code == Code.MESSAGE_TOO_BIG
    assert "in parts" in error.message


# What is kept.


@pytest.fixture
def small() -> tuple[World, SubscribeParts]:
    """A gateway that may have few streams, and another register of parts for it."""
    world = World(limits=Limits(max_streams=FEW))
    return world, SubscribeParts(world.core.streams, FEW)


def test_of_streams_that_do_not_exist_no_position_is_kept(small: tuple[World, SubscribeParts]) -> None:
    world, parts = small
    world.publisher("wf/a")
    session = world.peer().session
    pairs = {"wf/a": (1, 1), "wf/none": (1, 1), "not a name": (1, 1)}
    assert parts.joined(session, Subscribe(1, 9, "wf/*", pairs, resume=pairs, more=True)) is None
    complete = parts.joined(session, Subscribe(1, 9, "wf/*"))
    assert complete is not None
    assert complete.request.since == complete.request.resume == {"wf/a": (1, 1)}


def test_counts_of_streams_that_may_come_are_kept_up_to_a_bound(small: tuple[World, SubscribeParts]) -> None:
    world, parts = small
    peers = [world.peer(f"peer-{number}") for number in range(CONNECTIONS_OF_FUTURE + 1)]
    kept = []
    for peer in peers:
        named = {name: Counts(1) for name in ("other/a", "no name", *[f"wf/{number}" for number in range(FEW + 5)])}
        complete = parts.joined(peer.session, Subscribe(1, 9, "wf/*", account=named))
        assert complete is not None
        kept.append(len(complete.request.account or ()))
    assert kept == [FEW] * CONNECTIONS_OF_FUTURE + [0]
    for peer in peers:
        parts.drop(peer.session)
    assert parts.named_without_stream == 0
