"""Requests whose replier will not answer, or whose asker does not want it any more."""

from __future__ import annotations

import pytest

from gateway.connections.sessions.outstanding_requests import RequestSettings
from gateway.errors import Code
from gateway.protocol.encoding import Chain
from gateway.protocol.messages import Unsubscribe
from gateway.protocol.signals import Abort, Cancel
from gateway.protocol.wire import FLAG_MORE, Opcode
from tests.connections.asking import (
    ask,
    ask_large,
    asker_of,
    cancel,
    member,
    nothing_is_left,
    peer_of,
    reply,
    reply_large,
)
from tests.connections.memory import Peer, World

LARGE = bytes(range(256)) * 80


def workers(world: World, count: int) -> list[Peer]:
    return [member(world, f"worker-{number}") for number in range(count)]


def codes(asker: Peer) -> list[tuple[int, int | None]]:
    return [(error.code, error.correlation) for error in asker.read().errors]


def test_what_a_lost_member_owes_goes_to_the_others_in_order() -> None:
    world = World()
    first, asker = member(world, "first"), asker_of(world)
    for correlation in (4, 2, 9):
        ask(asker, correlation, bytes([correlation]))
    world.settle()
    second = member(world, "second")
    first.drop()
    world.settle()
    again = second.read().arrivals
    assert [(request.offset, request.payload) for request in again] == [(4, b"\4"), (2, b"\2"), (9, b"\x09")]
    assert {(request.stream, request.publisher) for request in again} == {(7, peer_of(asker))}
    for correlation in (9, 4, 2):
        reply(second, asker, correlation)
    world.settle()
    assert asker.read().offsets == [9, 4, 2]
    assert {answer.publisher for answer in asker.reader.arrivals} == {peer_of(second)}
    assert not asker.reader.errors
    assert nothing_is_left(world)


def test_others_share_what_a_lost_member_owes() -> None:
    world = World()
    first, asker = member(world, "first"), asker_of(world)
    for correlation in range(4):
        ask(asker, correlation)
    others = workers(world, 2)
    first.drop()
    world.settle()
    assert [other.read().offsets for other in others] == [[0, 2], [1, 3]]


def test_without_another_member_the_asker_is_told() -> None:
    world = World()
    only, asker = member(world, "only"), asker_of(world)
    ask(asker, 1)
    only.drop()
    (error,) = asker.read().errors
    assert (error.code, error.correlation) == (Code.PEER_GONE, 1)
    assert error.message == "only left before it replied to request 1: group:workers has no other member now"
    assert nothing_is_left(world)


def test_a_request_that_kills_does_not_kill_all() -> None:
    world = World(requests=RequestSettings(max_handovers=2))
    staff, asker = workers(world, 5), asker_of(world)
    ask(asker, 1)
    for victim in staff[:3]:
        assert not asker.read().errors
        world.settle()
        assert victim.read().offsets == [1]
        victim.drop()
    (error,) = asker.read().errors
    assert error.code == Code.PEER_GONE
    assert "max_handovers=2" in error.message
    world.settle()
    assert not staff[3].read().arrivals
    assert nothing_is_left(world)


def test_a_request_to_an_inbox_is_not_given_to_anybody_else() -> None:
    world = World()
    named, asker = world.subscriber("agent:named", "named"), asker_of(world, "agent:named")
    second = world.subscriber("agent:named", "named")
    ask(asker, 1)
    second.drop()
    world.settle()
    assert codes(asker) == [(Code.PEER_GONE, 1)]
    assert not named.read().arrivals


def test_a_reply_that_had_begun_is_not_begun_again() -> None:
    world = World()
    first, second = workers(world, 2)
    asker = asker_of(world)
    ask(asker, 1)
    reply(first, asker, 1, b"so far", FLAG_MORE)
    first.drop()
    world.settle()
    assert asker.read().offsets == [1]
    assert codes(asker) == [(Code.PEER_GONE, 1)]
    assert not second.read().arrivals
    assert nothing_is_left(world)


def test_a_large_reply_that_was_cut_off_is_given_by_another() -> None:
    world = World()
    first, second = workers(world, 2)
    asker = asker_of(world)
    ask(asker, 1)
    reply_large(first, asker, 1, LARGE).chunk()
    first.drop()
    world.settle()
    assert [abort.code for abort in asker.read().aborts] == [Code.TRANSFER_ABORTED]
    assert second.read().offsets == [1]
    reply_large(second, asker, 1, LARGE).end()
    world.settle()
    (answer,) = asker.read().arrivals
    assert answer.payload == LARGE
    assert not asker.reader.errors
    assert nothing_is_left(world)


@pytest.mark.parametrize("codecs", [(), ("zstd",)])
def test_a_large_request_goes_to_another_whole(codecs: tuple[str, ...]) -> None:
    world = World()
    first, second = member(world, "first"), member(world, "second", codecs=codecs)
    asker = asker_of(world)
    ask_large(asker, 5, LARGE).end()
    world.settle()
    assert first.read().offsets == [5]
    first.drop()
    world.settle()
    (request,) = second.read().arrivals
    assert (request.stream, request.offset, request.payload, request.large) == (7, 5, LARGE, True)
    reply(second, asker, 5)
    world.settle()
    assert asker.read().offsets == [5]
    assert nothing_is_left(world)


@pytest.mark.parametrize("leave", [False, True])
def test_a_large_request_under_way_goes_on_to_another(leave: bool) -> None:
    world = World()
    first, second = workers(world, 2)
    asker = asker_of(world)
    question = ask_large(asker, 5, LARGE)
    question.chunk()
    question.chunk()
    if leave:
        first.say(Unsubscribe(9, 7))
        assert len(first.read().aborts) == 1
    else:
        first.drop()
    question.end()
    world.settle()
    (request,) = second.read().arrivals
    assert (request.offset, request.payload) == (5, LARGE)
    reply(second, asker, 5)
    assert nothing_is_left(world)


def test_an_encoded_request_is_decoded_for_the_next_one_who_cannot() -> None:
    world = World()
    first, second = member(world, "first", codecs=("zstd",)), member(world, "second")
    asker = world.peer("asker", ("zstd",))
    asker.open(0, "group:workers")
    asker.open(1, "wf/x")
    payload = bytes(100_000)
    frame = bytearray(b"".join(asker.message(1, payload, chain=Chain(codec="zstd"))))
    frame[4], frame[8:12], frame[16:24] = Opcode.REQUEST, bytes(4), (9).to_bytes(8, "little")
    asker.send(bytes(frame))
    world.settle()
    assert first.read().arrivals[0].encoded
    first.drop()
    world.settle()
    (request,) = second.read().arrivals
    assert (request.payload, request.offset, request.encoded) == (payload, 9, False)


def test_who_leaves_its_group_is_told_to_stop_and_may_say_what_it_likes() -> None:
    world = World()
    first, second = workers(world, 2)
    asker = asker_of(world)
    ask(asker, 1)
    world.settle()
    first.say(Unsubscribe(9, 7))
    world.settle()
    assert first.read().cancels == [Cancel(peer_of(asker), 1)]
    assert second.read().offsets == [1]
    reply(first, asker, 1, b"too late")
    reply(second, asker, 1, b"in time")
    world.settle()
    (answer,) = asker.read().arrivals
    assert answer.payload == b"in time"
    assert not first.read().errors
    assert nothing_is_left(world)


def test_the_last_one_to_leave_a_group_finishes_what_it_has() -> None:
    world = World()
    only, asker = member(world, "only"), asker_of(world)
    ask(asker, 1)
    only.say(Unsubscribe(9, 7))
    world.settle()
    assert only.read().offsets == [1]
    assert not only.reader.cancels
    ask(asker, 2)
    assert codes(asker) == [(Code.NO_SUCH_PEER, 2)]
    reply(only, asker, 1)
    world.settle()
    assert asker.read().offsets == [1]
    assert nothing_is_left(world)


def test_who_has_begun_to_reply_goes_on_after_it_has_left() -> None:
    world = World()
    first, second = workers(world, 2)
    asker = asker_of(world)
    ask(asker, 1)
    reply(first, asker, 1, b"so far", FLAG_MORE)
    first.say(Unsubscribe(9, 7))
    reply(first, asker, 1, b"the rest")
    world.settle()
    assert [answer.payload for answer in asker.read().arrivals] == [b"so far", b"the rest"]
    assert not second.read().arrivals
    assert not first.read().cancels


def test_a_cancelled_request_is_forgotten_by_all() -> None:
    world = World()
    worker, asker = member(world, "worker"), asker_of(world)
    ask(asker, 1)
    world.settle()
    cancel(asker, 1)
    cancel(asker, 1)
    cancel(asker, 77)
    assert worker.read().cancels == [Cancel(peer_of(asker), 1)]
    assert nothing_is_left(world)
    reply(worker, asker, 1)
    world.settle()
    assert not worker.read().errors
    assert not asker.read().log
    reply(worker, asker, 1)
    assert worker.read().codes == [Code.NOT_REQUESTED]


def test_late_partial_and_large_replies_are_dropped_up_to_the_last() -> None:
    world = World()
    worker, asker = member(world, "worker"), asker_of(world)
    ask(asker, 1)
    cancel(asker, 1)
    reply(worker, asker, 1, b"so far", FLAG_MORE)
    reply_large(worker, asker, 1, LARGE, flags=FLAG_MORE).end()
    reply_large(worker, asker, 1, LARGE).end()
    world.settle()
    assert not worker.read().errors
    assert not asker.read().log
    assert not worker.session.requests.released


def test_cancelling_aborts_a_large_request_under_way() -> None:
    world = World()
    worker, asker = member(world, "worker"), asker_of(world)
    question = ask_large(asker, 1, LARGE)
    question.chunk()
    cancel(asker, 1)
    assert [abort.code for abort in worker.read().aborts] == [Code.CANCELLED]
    assert not worker.reader.cancels
    question.end()
    world.settle()
    assert not asker.read().errors
    assert not worker.read().arrivals
    assert nothing_is_left(world)


def test_cancelling_aborts_a_large_reply_under_way() -> None:
    world = World()
    worker, asker = member(world, "worker"), asker_of(world)
    ask(asker, 1)
    answer = reply_large(worker, asker, 1, LARGE)
    answer.chunk()
    cancel(asker, 1)
    answer.end()
    world.settle()
    assert [abort.code for abort in asker.read().aborts] == [Code.CANCELLED]
    assert worker.read().cancels
    assert not worker.reader.errors
    assert nothing_is_left(world)


def test_a_lost_asker_cancels_all_that_it_asked() -> None:
    world = World()
    worker, named = member(world, "worker"), world.subscriber("agent:named", "named")
    asker = asker_of(world)
    asker.open(1, "agent:named")
    ask(asker, 1)
    ask(asker, 2, alias=1)
    reply_large(worker, asker, 1, LARGE).chunk()
    world.settle()
    asker.drop()
    assert worker.read().cancels == [Cancel(peer_of(asker), 1)]
    assert named.read().cancels == [Cancel(peer_of(asker), 2)]
    assert nothing_is_left(world)


def test_an_asker_that_gives_up_its_large_request_is_not_answered() -> None:
    world = World()
    worker, asker = member(world, "worker"), asker_of(world)
    ask_large(asker, 1, LARGE).chunk()
    asker.send(Abort(1, Code.TRANSFER_ABORTED).write())
    world.settle()
    assert len(worker.read().aborts) == 1
    assert nothing_is_left(world)
    worker.drop()
    assert not asker.read().log
