"""Requests to groups, replies in parts, deadlines: what a request goes through between its asker and its last reply."""

from __future__ import annotations

import json

import pytest

from gateway.connections.outbound.frame_writer import DeliverySettings
from gateway.connections.sessions.outstanding_requests import RequestSettings
from gateway.errors import Code
from gateway.protocol.signals import Cancel
from gateway.protocol.wire import FLAG_FAILED, FLAG_MORE, Opcode
from tests.connections.asking import (
    ask,
    ask_large,
    asker_of,
    cancel,
    data_frame,
    member,
    nothing_is_left,
    peer_of,
    reply,
    reply_large,
)
from tests.connections.frames import START_NS
from tests.connections.memory import Peer, TextPeer, World

SECOND_NS = 1_000_000_000


def pair() -> tuple[World, Peer, Peer]:
    """Somebody who asks one agent by its name."""
    world = World()
    replier = world.subscriber("agent:replier", "replier")
    replier.forget()
    return world, asker_of(world, "agent:replier"), replier


def test_each_request_to_a_group_goes_to_one_member() -> None:
    world = World()
    staff = [member(world, f"worker-{number}") for number in range(3)]
    asker = asker_of(world)
    for correlation in range(6):
        ask(asker, correlation)
    world.settle()
    assert [worker.read().offsets for worker in staff] == [[0, 3], [1, 4], [2, 5]]
    reply(staff[1], asker, 4)
    reply(staff[1], asker, 1)
    ask(asker, 6)
    world.settle()
    assert staff[1].news().offsets == [6]
    assert {answer.publisher for answer in asker.read().arrivals} == {peer_of(staff[1])}


def test_a_member_whose_queue_is_full_is_passed_over() -> None:
    world = World(delivery=DeliverySettings(outbox_limit_bytes=1000))
    first, second = member(world, "first"), member(world, "second")
    asker = asker_of(world)
    first.transport.fill_up()
    second.transport.fill_up()
    for correlation in range(1, 5):
        ask(asker, correlation, bytes(2000))
        world.settle()
    ask(asker, 5)
    assert asker.read().codes == [Code.QUEUE_FULL]
    second.transport.read_on()
    ask(asker, 5)
    world.settle()
    assert second.read().offsets == [2, 4, 5]


def test_only_so_much_of_group_requests_is_kept() -> None:
    world = World(requests=RequestSettings(kept_bytes_per_asker=20_000))
    worker, asker = member(world, "worker"), asker_of(world)
    large = ask_large(asker, 1, bytes(15_000))
    large.chunk()
    ask_large(asker, 2, bytes(5_001), transfer=2)
    (error,) = asker.read().errors
    assert (error.code, error.correlation) == (Code.LIMIT_EXCEEDED, 2)
    assert "kept_bytes_per_asker=20000" in error.message
    large.end()
    reply(worker, asker, 1)
    ask(asker, 2, bytes(15_000))
    world.settle()
    assert worker.read().offsets == [1, 2]
    cancel(asker, 2)
    assert nothing_is_left(world)


def test_requests_to_an_inbox_are_not_kept() -> None:
    world = World(requests=RequestSettings(kept_bytes=0))
    world.subscriber("agent:named", "named")
    asker = asker_of(world, "agent:named")
    ask(asker, 1, bytes(20_000))
    assert not asker.read().errors
    assert not asker.session.requests.kept_bytes


def test_replies_come_in_parts_up_to_the_one_without_more() -> None:
    world, asker, replier = pair()
    ask(asker, 1)
    parts = [b"first", bytes(range(256)) * 80, b"third"]
    reply(replier, asker, 1, parts[0], FLAG_MORE)
    reply_large(replier, asker, 1, parts[1], flags=FLAG_MORE).end()
    assert asker.session.requests.asked
    reply(replier, asker, 1, parts[2])
    world.settle()
    arrived = asker.read().arrivals
    assert [answer.payload for answer in arrived] == parts
    assert [bool(answer.flags & FLAG_MORE) for answer in arrived] == [True, True, False]
    assert nothing_is_left(world)
    reply(replier, asker, 1)
    assert replier.read().codes == [Code.NOT_REQUESTED]


def test_a_failure_ends_a_reply_in_parts_whatever_else_it_says() -> None:
    world, asker, replier = pair()
    ask(asker, 1)
    reply(replier, asker, 1, b"", FLAG_MORE)
    reply(replier, asker, 1, b"", FLAG_MORE | FLAG_FAILED)
    assert nothing_is_left(world)


def test_one_reply_after_the_other() -> None:
    world, asker, replier = pair()
    ask(asker, 1)
    answer = reply_large(replier, asker, 1, bytes(10_000), flags=FLAG_MORE)
    answer.chunk()
    reply(replier, asker, 1)
    (error,) = replier.read().errors
    assert (error.code, error.correlation, error.peer) == (Code.BROKEN_TRANSFER, 1, peer_of(asker))
    answer.end()
    reply(replier, asker, 1)
    world.settle()
    assert len(asker.read().arrivals) == 2


def slow_asker(limit_bytes: int, lowered_to_bytes: int | None = None) -> tuple[World, Peer, Peer]:
    """Somebody who has asked one agent for a lot, and reads nothing; under pressure the bound may be lower."""
    world = World(delivery=DeliverySettings(outbox_limit_bytes=limit_bytes))
    worker, asker = member(world, "worker"), asker_of(world)
    ask(asker, 1)
    asker.transport.fill_up()
    if lowered_to_bytes is not None:
        asker.session.connection.made_outbox().set_bound(lowered_to_bytes)
    return world, worker, asker


@pytest.mark.parametrize("bounds", [(3000,), (30_000, 3000)])
def test_a_part_that_finds_no_room_at_the_asker_ends_the_request(bounds: tuple[int, ...]) -> None:
    """A later part must not follow as if nothing had been between. It need not wait: it may take twice the bound."""
    world, worker, asker = slow_asker(*bounds)
    for part in range(7):
        reply(worker, asker, 1, bytes([part]) * 2000, FLAG_MORE)
        world.settle()
    (error,) = worker.read().errors
    assert (error.code, error.correlation, error.peer) == (Code.LIMIT_EXCEEDED, 1, peer_of(asker))
    asker.transport.read_on()
    reply(worker, asker, 1, b"the rest")
    world.settle()
    assert [answer.payload[0] for answer in asker.read().arrivals] == [0, 1, 2, 3]
    assert [(error.code, error.correlation) for error in asker.reader.errors] == [(Code.LIMIT_EXCEEDED, 1)]
    assert not worker.news().errors
    assert nothing_is_left(world)


def test_a_large_reply_that_finds_no_room_is_sent_again_before_any_other_of_its_request() -> None:
    world, worker, asker = slow_asker(5000)
    for part in range(4):
        reply(worker, asker, 1, bytes([part]) * 2000, FLAG_MORE)
        world.settle()
    # One more is taken of each sender.
    reply_large(worker, asker, 1, bytes(9000), 1, FLAG_MORE, resuming=True).end()
    reply_large(worker, asker, 1, bytes(9000), 2, FLAG_MORE, resuming=True).end()
    world.settle()
    (error,) = worker.read().errors
    assert (error.code, error.correlation, error.peer) == (Code.QUEUE_FULL, 1, peer_of(asker))
    assert worker.transport.is_reading()
    assert [(resume.transfer, resume.index) for resume in worker.reader.resumes] == [(1, 0)]
    asker.transport.read_on()
    world.settle()
    assert asker.read().errors == [], "the request goes on"
    reply_large(worker, asker, 1, bytes(9000), 3, resuming=True).end()
    world.settle()
    assert [resume.transfer for resume in worker.read().resumes] == [1, 3]
    assert [len(answer.payload) for answer in asker.read().arrivals] == [2000] * 4 + [9000] * 2
    assert nothing_is_left(world)


def test_a_small_reply_finds_room_behind_large_ones_that_are_more_than_the_bound() -> None:
    world, worker, asker = slow_asker(3000)
    for transfer in (1, 2):
        reply_large(worker, asker, 1, bytes(9000), transfer, FLAG_MORE, resuming=True).end()
    for part in range(5):
        reply(worker, asker, 1, bytes([part]) * 100, FLAG_MORE)
    reply(worker, asker, 1, b"the rest")
    world.settle()
    assert not worker.read().errors
    asker.transport.read_on()
    world.settle()
    assert len(asker.read().arrivals) == 8
    assert not asker.reader.errors
    assert nothing_is_left(world)


def test_who_waits_to_send_a_large_reply_is_told_that_nobody_wants_it() -> None:
    world, worker, asker = slow_asker(5000)
    cancel(asker, 1)
    world.settle()
    worker.forget()
    reply_large(worker, asker, 1, bytes(9000), resuming=True)
    assert [(found.peer, found.correlation) for found in worker.news().cancels] == [(peer_of(asker), 1)]
    assert worker.reader.errors == []


def test_a_reply_that_is_wrong_ends_the_request() -> None:
    world, asker, replier = pair()
    ask(asker, 1)
    frame = bytearray(data_frame(Opcode.REPLY, peer_of(asker), 1, bytes(8)))
    frame[36] = 9  # the descriptor says nine bytes
    replier.send(bytes(frame))
    for peer in (asker, replier):
        assert [(error.code, error.correlation) for error in peer.read().errors] == [(Code.SIZE_MISMATCH, 1)]
    assert nothing_is_left(world)


def test_a_request_that_came_too_late_goes_to_nobody() -> None:
    world, asker, replier = pair()
    ask(asker, 1, deadline_ns=START_NS - 1)
    (error,) = asker.read().errors
    assert (error.code, error.correlation) == (Code.EXPIRED, 1)
    assert not replier.read().arrivals
    assert nothing_is_left(world)


def test_a_request_that_is_not_answered_in_time_is_called_off() -> None:
    world, asker, replier = pair()
    ask(asker, 1, deadline_ns=START_NS + SECOND_NS)
    ask(asker, 2, deadline_ns=START_NS + SECOND_NS)
    ask(asker, 3, deadline_ns=START_NS + 5 * SECOND_NS)
    world.settle()
    reply(replier, asker, 1)
    world.clock.advance(0.5)
    assert not asker.read().errors
    world.clock.advance(1)
    (error,) = asker.read().errors
    assert (error.code, error.correlation) == (Code.EXPIRED, 2)
    assert replier.read().cancels == [Cancel(peer_of(asker), 2)]
    reply(replier, asker, 2)
    assert not replier.read().errors
    reply(replier, asker, 3)
    assert nothing_is_left(world)


def test_a_request_that_is_not_delivered_in_time_is_not_delivered_later() -> None:
    world, asker, replier = pair()
    replier.transport.fill_up()
    ask(asker, 1, deadline_ns=START_NS + SECOND_NS)
    world.settle()
    world.clock.advance(1.2)
    replier.transport.read_on()
    world.settle()
    assert asker.read().codes == [Code.EXPIRED]
    assert not replier.read().log


def test_what_a_closed_member_owes_goes_to_another_before_its_transport_is_gone() -> None:
    world = World()
    silent, second = member(world, "silent"), member(world, "second")
    asker = asker_of(world)
    ask(asker, 1)
    world.settle()
    silent.session.connection.close(Code.HEARTBEAT_TIMEOUT, "nothing was heard")
    world.clock.advance(0.2)
    world.settle()
    assert second.read().offsets == [1]
    silent.drop()
    reply(second, asker, 1)
    world.settle()
    assert asker.read().offsets == [1]
    assert not asker.reader.errors


def test_a_person_asks_streams_and_cancels_in_words() -> None:
    world = World()
    person, worker = TextPeer(world), member(world, "worker")
    person.send('{"message_type":"hello","client_type":"agent","payload":{"versions":[1]}}')
    person.texts()
    deadline_s = (START_NS + SECOND_NS) / 1e9
    for id in (1, 2, 3):
        request = {"id": id, "message_type": "request", "stream": "group:workers", "deadline": deadline_s}
        person.send(json.dumps(request))
    world.settle()
    assert worker.read().offsets == [1, 2, 3]
    peer = int(person.session.peer.id)
    worker.send(data_frame(Opcode.REPLY, peer, 1, b"so far", FLAG_MORE), data_frame(Opcode.REPLY, peer, 1, b"all"))
    person.send('{"message_type":"cancel","correlation":2}')
    world.clock.advance(1.2)
    world.settle()
    assert worker.read().cancels == [Cancel(peer, 2), Cancel(peer, 3)]
    told = [json.loads(text) for text in person.texts()]
    replies = [text for text in told if text["message_type"] == "reply"]
    assert [text.get("more") for text in replies] == [True, None]
    (error,) = [text["payload"] for text in told if text["message_type"] == "error"]
    assert (error["error"], error["correlation"]) == ("EXPIRED", 3)
    assert nothing_is_left(world)
