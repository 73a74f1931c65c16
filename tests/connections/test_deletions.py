"""Deletions: who may end which streams, and when they are told that it is done."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from gateway.connections.deletions import LOOKED_AT, MAX_DELETED
from gateway.connections.sessions.grant import UniformGrant
from gateway.connections.sessions.local import DeleteOutcome, LocalConnection
from gateway.errors import Code, RequestRefused, StoreFailed
from gateway.ids import StreamName
from gateway.protocol.durability import Durability
from gateway.protocol.messages import ClientType, Delete, Deleted, Error, Kind, Open, StreamInfo
from gateway.protocol.names import Pattern
from gateway.streams.stream import Stream
from tests.connections.memory import Peer, TextPeer, World
from tests.connections.step_store import StepStore


def names(world: World) -> list[str]:
    return [stream.name for stream in world.core.streams]


def answers(peer: Peer) -> list[Deleted]:
    return [entry for entry in peer.read().log if isinstance(entry, Deleted)]


def delete(world: World, peer: Peer, pattern: str) -> Deleted:
    """Delete, and return the only answer."""
    peer.forget()
    peer.say(Delete(9, pattern))
    world.settle()
    (answer,) = answers(peer)
    assert answer.request == 9
    return answer


def test_a_stream_by_its_name() -> None:
    world = World()
    world.publisher("wf/a", "wf/b")
    assert delete(world, world.peer(), "wf/a") == Deleted(9, ("wf/a",))
    assert names(world) == ["wf/b"]


def test_a_stream_that_does_not_exist_or_not_any_more() -> None:
    world = World()
    world.publisher("wf/a")
    peer = world.peer()
    delete(world, peer, "wf/a")
    peer.say(Delete(10, "wf/a"))
    (error,) = peer.read().errors
    assert (error.code, error.request) == (Code.UNKNOWN_STREAM, 10)


def test_a_pattern_that_matches_nothing_is_answered_by_an_empty_list() -> None:
    world = World()
    world.publisher("wf/a")
    assert delete(world, world.peer(), "other/*") == Deleted(9, ())
    assert names(world) == ["wf/a"]


def test_a_pattern_of_many_streams_takes_several_requests() -> None:
    world = World()
    world.publisher(*[f"wf/{number}" for number in range(2 * MAX_DELETED + 1)], "other/a")
    peer = world.peer()
    found = [delete(world, peer, "wf/*") for _ in range(3)]
    assert [len(answer.streams) for answer in found] == [MAX_DELETED, MAX_DELETED, 1]
    assert [answer.more for answer in found] == [True, True, None]
    assert names(world) == ["other/a"]


def test_others_are_served_while_names_are_compared() -> None:
    world = World()
    world.publisher(*[f"wf/{number}" for number in range(3 * LOOKED_AT)], "other/a")
    peer = world.peer()
    peer.say(Delete(9, "other/*"))
    assert not answers(peer)
    world.settle()
    assert answers(peer) == [Deleted(9, ("other/a",))]


def test_the_next_frame_finds_the_streams_ended() -> None:
    world = World()
    world.publisher(*[f"wf/{number}" for number in range(3 * LOOKED_AT)])
    peer = world.peer()
    epoch = next(iter(world.core.streams)).epoch
    world.take_one_step_a_turn()
    peer.say(Delete(9, f"*/{LOOKED_AT}"), Delete(10, "*/none"), Delete(11, "wf/0"), Delete(12, "wf/0"))
    peer.say(Delete(13, "*/1"), Open(0, "wf/1", Kind.STATE))
    world.settle()
    deleted, none, literal, error, another, opened = peer.read().log
    assert (deleted, none) == (Deleted(9, (f"wf/{LOOKED_AT}",)), Deleted(10, ()))
    assert (literal, another) == (Deleted(11, ("wf/0",)), Deleted(13, ("wf/1",)))
    assert isinstance(error, Error)
    assert (error.code, error.request) == (Code.UNKNOWN_STREAM, 12)
    assert isinstance(opened, StreamInfo)
    assert (opened.stream, opened.kind) == ("wf/1", Kind.STATE)
    assert (opened.epoch or 0) > epoch


def test_a_connection_has_one_search_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    world.publisher(*[f"wf/{number}" for number in range(3 * LOOKED_AT)])
    at_once, most = 0, []
    pieces = world.core.streams.pieces

    def counted(pattern: Pattern, size: int) -> Iterator[list[Stream]]:
        nonlocal at_once
        at_once += 1
        most.append(at_once)
        yield from pieces(pattern, size)
        at_once -= 1

    monkeypatch.setattr(world.core.streams, "pieces", counted)
    peer = world.peer()
    peer.say(*[Delete(number, "*/other") for number in range(8)])
    assert len(most) == 1
    world.settle()
    assert most == [1] * 8
    assert answers(peer) == [Deleted(number, ()) for number in range(8)]


def test_what_a_lost_connection_has_asked_for_is_done() -> None:
    world = World()
    world.publisher(*[f"wf/{number}" for number in range(2 * LOOKED_AT)], "other/a")
    peer = world.peer()
    peer.say(Delete(9, "*/a"))
    peer.drop()
    assert "other/a" in names(world)
    world.settle()
    assert "other/a" not in names(world)


def test_a_local_connection_waits_in_the_same_way() -> None:
    world = World()
    world.publisher(*[f"wf/{number}" for number in range(2 * LOOKED_AT)])
    connection = LocalConnection(world.core, client_type=ClientType.ADMIN_PANEL)
    outcomes: list[DeleteOutcome] = []
    connection.delete("*/0", outcomes.append)
    connection.delete("wf/0", outcomes.append)
    paused = [connection.paused]
    assert not outcomes
    world.settle()
    paused.append(connection.paused)
    assert paused == [True, False]
    deleted, refused = outcomes
    assert deleted == Deleted(1, ("wf/0",))
    assert isinstance(refused, RequestRefused)
    assert refused.code == Code.UNKNOWN_STREAM
    connection.close()


def test_others_are_served_while_streams_end() -> None:
    world = World()
    world.publisher(*[f"wf/{number}" for number in range(MAX_DELETED)])
    peer, other = world.peer("one"), world.peer("other")
    world.take_one_step_a_turn()
    peer.say(Delete(9, "wf/*"))
    while len(names(world)) == MAX_DELETED:
        world.turns(1)
    assert len(names(world)) == MAX_DELETED - 1
    assert answers(peer) == []
    # A stream that is deleted by somebody else meanwhile is in the answer to the other only.
    other.say(Delete(1, f"wf/{MAX_DELETED - 1}"))
    world.settle()
    assert answers(other) == [Deleted(1, (f"wf/{MAX_DELETED - 1}",))]
    (answer,) = answers(peer)
    assert len(answer.streams) == MAX_DELETED - 1
    assert names(world) == []


def test_names_that_cannot_be_deleted() -> None:
    world = World()
    peer = world.peer()
    for pattern in ("agent:peer", "group:g", "wf", "wf//a", "**/a"):
        peer.say(Delete(9, pattern))
    assert peer.read().codes == [Code.INVALID_NAME] * 5
    assert {error.request for error in peer.read().errors} == {9}
    for pattern in ("wf", "*"):
        peer.say(Delete(9, pattern))
        (error,) = peer.news().errors
        assert "did you mean" not in error.message


@pytest.mark.parametrize(
    ("count", "line"),
    [
        (3, "one (no agent named) deletes wf/0, wf/1, wf/2"),
        (4, "one (no agent named) deletes wf/0, wf/1, wf/2 and 1 other, by wf/*"),
        (5, "one (no agent named) deletes wf/0, wf/1, wf/2 and 2 others, by wf/*"),
    ],
)
def test_the_log_tells_who_has_deleted(caplog: pytest.LogCaptureFixture, count: int, line: str) -> None:
    world = World()
    world.publisher(*[f"wf/{number}" for number in range(count)])
    with caplog.at_level("INFO"):
        delete(world, world.peer("one"), "wf/*")
    assert caplog.messages == [line]


def test_the_permission_to_control_is_needed() -> None:
    world = World()
    world.publisher("wf/a")
    peer = world.peer()
    peer.session.grant = UniformGrant(permitted=False)
    peer.say(Delete(9, "wf/a"))
    assert peer.read().codes == [Code.FORBIDDEN]
    assert names(world) == ["wf/a"]


def test_requests_that_continue_one_another_are_logged_twice(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    world.publisher(*[f"wf/{number}" for number in range(4 * MAX_DELETED + 1)])
    peer = world.peer("one")
    with caplog.at_level("INFO"):
        while delete(world, peer, "wf/*").more:
            pass
    who, others = "one (no agent named)", MAX_DELETED - 3
    assert caplog.messages == [
        f"{who} deletes wf/0, wf/1, wf/2 and more than {others} others, by wf/*",
        f"{who} has deleted {4 * MAX_DELETED + 1} streams by wf/*",
    ]


def test_the_sum_is_logged_of_a_client_that_does_not_ask_for_the_rest(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    world.publisher(*[f"{workflow}/{number}" for workflow in ("wf", "b") for number in range(4 * MAX_DELETED)])
    one, two, others = world.peer("one"), world.peer("two"), MAX_DELETED - 3
    with caplog.at_level("INFO"):
        assert delete(world, one, "wf/*").more
        assert delete(world, two, "b/*").more
        assert delete(world, one, "wf/*").more
        assert delete(world, two, "wf/200") == Deleted(9, ("wf/200",))
        one.drop()
        world.settle()
    assert caplog.messages == [
        f"one (no agent named) deletes wf/0, wf/1, wf/2 and more than {others} others, by wf/*",
        f"two (no agent named) deletes b/0, b/1, b/2 and more than {others} others, by b/*",
        f"two (no agent named) has deleted {MAX_DELETED} streams by b/*",
        "two (no agent named) deletes wf/200",
        f"one (no agent named) has deleted {2 * MAX_DELETED} streams by wf/*",
    ]


def test_the_sum_is_logged_although_others_have_deleted_the_rest(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    world.publisher(*[f"wf/{number}" for number in range(MAX_DELETED + 1)])
    one = world.peer("one")
    with caplog.at_level("INFO"):
        assert delete(world, one, "wf/*").more
        (left,) = names(world)
        delete(world, world.peer("two"), left)
        assert delete(world, one, "wf/*") == Deleted(9, ())
    assert caplog.messages[1:] == [
        f"two (no agent named) deletes {left}",
        f"one (no agent named) has deleted {MAX_DELETED} streams by wf/*",
    ]


def test_a_gateway_that_stops_deletes_nothing() -> None:
    world = World()
    world.publisher("wf/a")
    peer = world.peer()
    world.core.go_away("stopping", 1.0)
    peer.say(Delete(9, "wf/a"))
    assert peer.read().codes == [Code.DRAINING]


def test_a_deletion_is_answered_when_it_is_stored() -> None:
    store = StepStore()
    world = World(store=store, durability=Durability.FSYNC)
    world.publisher("wf/a", "wf/b")
    peer = world.peer()
    peer.say(Delete(9, "wf/*"))
    world.settle()
    assert names(world) == []
    first, second = store.forgetting
    first(None)
    assert not answers(peer)
    second(None)
    assert answers(peer) == [Deleted(9, ("wf/a", "wf/b"))]


def test_a_store_that_fails_is_told() -> None:
    store = StepStore()
    world = World(store=store, durability=Durability.OS)
    world.publisher("wf/a")
    peer = world.peer()
    store.problem = "the disk is full"
    peer.say(Delete(9, "wf/a"))
    assert peer.news().codes == [Code.QUEUE_FULL]
    assert names(world) == ["wf/a"]
    store.problem = None
    peer.say(Delete(9, "wf/a"))
    store.forgetting.pop()(StoreFailed("the disk is full"))
    (error,) = peer.news().errors
    assert (error.code, error.request) == (Code.QUEUE_FULL, 9)
    assert "come back" in error.message


def test_a_json_client_deletes() -> None:
    world = World()
    world.publisher("wf/a")
    peer = TextPeer(world)
    peer.send('{"message_type":"hello","client_type":"agent","payload":{"versions":[1]}}')
    peer.texts()
    peer.send('{"id":4,"message_type":"delete","payload":{"pattern":"wf/a"}}')
    (text,) = peer.texts()
    assert b'"message_type":"deleted"' in text
    assert b'"payload":{"request":4,"streams":["wf/a"]}' in text
    assert world.core.streams.get(StreamName("wf/a")) is None


def test_a_json_client_waits_in_the_same_way() -> None:
    world = World()
    world.publisher(*[f"wf/{number}" for number in range(2 * LOOKED_AT)])
    peer = TextPeer(world)
    peer.send('{"message_type":"hello","client_type":"agent","payload":{"versions":[1]}}')
    peer.texts()
    peer.send('{"id":4,"message_type":"delete","payload":{"pattern":"*/0"}}')
    peer.send('{"id":5,"message_type":"delete","payload":{"pattern":"wf/0"}}')
    assert not peer.texts()
    world.settle()
    deleted, refused = (json.loads(text) for text in peer.texts())
    assert deleted["payload"] == {"request": 4, "streams": ["wf/0"]}
    assert refused["payload"]["code"] == Code.UNKNOWN_STREAM
