"""Requests: to whoever holds the inbox, the replies back, and everybody who leaves in between."""

from __future__ import annotations

import pytest

from gateway.connections.outbound.frame_writer import DeliverySettings
from gateway.errors import Code
from gateway.protocol.encoding import Chain
from gateway.protocol.limits import Limits
from gateway.protocol.messages import GoAway, Unsubscribe
from gateway.protocol.signals import Abort, Cancel
from gateway.protocol.transfers import write_chunk
from gateway.protocol.wire import FLAG_FAILED, Opcode
from tests.connections.asking import ask, data_frame, reply
from tests.connections.memory import EVERY_CODEC, LargePublish, Peer, World


def pair(limits: Limits | None = None, **codecs: tuple[str, ...]) -> tuple[World, Peer, Peer]:
    world = World(limits=limits)
    replier = world.subscriber("agent:replier", "replier", codecs.get("replier", ()))
    replier.forget()
    asker = world.peer("asker", codecs.get("asker", EVERY_CODEC))
    asker.open(0, "agent:replier")
    asker.forget()
    return world, asker, replier


def test_a_request_and_its_reply() -> None:
    world, asker, replier = pair()
    ask(asker, 77)
    world.settle()
    (request,) = replier.read().arrivals
    assert (request.opcode, request.stream, request.offset) == (Opcode.REQUEST, 0, 77)
    assert request.publisher == asker.session.peer.id
    assert request.payload == b"question"
    reply(replier, asker, 77)
    world.settle()
    (answer,) = asker.read().arrivals
    assert (answer.opcode, answer.stream, answer.offset) == (Opcode.REPLY, 0, 77)
    assert answer.publisher == replier.session.peer.id
    assert answer.payload == b"answer"
    assert not asker.session.requests.asked
    assert not replier.session.requests.owed


def test_a_failed_reply_says_so() -> None:
    world, asker, replier = pair()
    ask(asker, 1)
    reply(replier, asker, 1, b"", FLAG_FAILED)
    world.settle()
    (answer,) = asker.read().arrivals
    assert answer.flags & FLAG_FAILED


def test_a_large_request_and_a_large_reply() -> None:
    world, asker, replier = pair()
    payload = bytes(range(256)) * 50
    question = LargePublish(asker, 1, payload)
    question.begin(Opcode.REQUEST, 0, 5)
    question.end()
    world.settle()
    (request,) = replier.read().arrivals
    assert (request.offset, request.payload, request.large) == (5, payload, True)
    answer = LargePublish(replier, 1, payload[::-1])
    answer.begin(Opcode.REPLY, asker.session.peer.id, 5)
    answer.end()
    world.settle()
    (arrived,) = asker.read().arrivals
    assert (arrived.opcode, arrived.offset, arrived.payload) == (Opcode.REPLY, 5, payload[::-1])


def test_a_request_is_decoded_for_a_replier_that_cannot() -> None:
    world, asker, replier = pair()
    payload = bytes(100_000)
    asker.open(1, "wf/x")
    encoded = asker.message(1, payload, chain=Chain(codec="zstd"))
    frame = bytearray(b"".join(encoded))
    frame[4], frame[8:12], frame[16:24] = Opcode.REQUEST, bytes(4), (9).to_bytes(8, "little")
    asker.send(bytes(frame))
    world.settle()
    (request,) = replier.read().arrivals
    assert (request.payload, request.offset) == (payload, 9)


@pytest.mark.parametrize("address", ["agent:nobody", "group:workers", "agent:asker"])
def test_nobody_holds_the_inbox(address: str) -> None:
    _, asker, _ = pair()
    asker.open(1, address)
    ask(asker, 3, alias=1)
    (error,) = asker.read().errors
    assert (error.code, error.correlation) == (Code.NO_SUCH_PEER, 3)
    ask(asker, 3)
    assert asker.read().codes == [Code.NO_SUCH_PEER]


def test_the_replier_leaves_before_it_has_replied() -> None:
    _, asker, replier = pair()
    for correlation in (1, 2):
        ask(asker, correlation)
    reply(replier, asker, 1)
    replier.drop()
    (error,) = asker.read().errors
    assert (error.code, error.correlation) == (Code.PEER_GONE, 2)
    ask(asker, 2)
    assert asker.read().codes == [Code.PEER_GONE, Code.NO_SUCH_PEER]


def test_the_asker_leaves_before_it_is_answered() -> None:
    world, asker, replier = pair()
    ask(asker, 1)
    asker.drop()
    world.settle()
    assert replier.read().cancels == [Cancel(asker.session.peer.id, 1)]
    reply(replier, asker, 1)
    assert not replier.read().errors
    reply(replier, asker, 1)
    (error,) = replier.read().errors
    assert (error.code, error.correlation) == (Code.NOT_REQUESTED, 1)
    assert error.peer == asker.session.peer.id


def test_a_client_that_asks_itself_and_leaves() -> None:
    world, asker, _ = pair()
    asker.subscribe("agent:asker")
    asker.open(1, "agent:asker")
    ask(asker, 1, alias=1)
    world.settle()
    assert asker.read().arrivals[0].opcode == Opcode.REQUEST
    asker.drop()
    assert not asker.transport.late
    assert len(world.core.pool) == 1


def test_a_reply_that_nobody_waits_for() -> None:
    _, asker, replier = pair()
    ask(asker, 1)
    reply(replier, asker, 2)
    reply(replier, asker, 1)
    reply(replier, asker, 1)
    replier.send(data_frame(Opcode.REPLY, 4711, 1))
    assert replier.read().codes == [Code.NOT_REQUESTED] * 3


def test_only_the_one_who_was_asked_may_reply() -> None:
    world, asker, replier = pair()
    thief = world.peer("thief")
    ask(asker, 1)
    reply(thief, asker, 1)
    assert thief.read().codes == [Code.NOT_REQUESTED]
    reply(replier, asker, 1)
    world.settle()
    assert len(asker.read().arrivals) == 1


def test_a_correlation_that_is_outstanding() -> None:
    _, asker, replier = pair()
    ask(asker, 1)
    ask(asker, 1)
    assert asker.read().codes == [Code.INVALID_REQUEST]
    reply(replier, asker, 1)
    ask(asker, 1)
    assert asker.read().codes == [Code.INVALID_REQUEST]


def test_too_many_requests() -> None:
    _, asker, _ = pair(Limits(max_requests=2))
    for correlation in range(3):
        ask(asker, correlation)
    (error,) = asker.read().errors
    assert (error.code, error.correlation) == (Code.LIMIT_EXCEEDED, 2)


@pytest.mark.parametrize(("stream", "code"), [("wf/a", Code.INVALID_NAME), (None, Code.UNKNOWN_STREAM)])
def test_a_request_that_leads_to_no_address(stream: str | None, code: Code) -> None:
    _, asker, _ = pair()
    if stream is not None:
        asker.open(1, stream)
    ask(asker, 1, alias=1)
    assert asker.read().codes == [code]


def test_a_program_that_takes_over_gets_the_requests_once_it_opens_the_inbox() -> None:
    world, asker, replier = pair()
    ask(asker, 1)
    world.settle()
    second = world.peer("replier")
    assert asker.read().codes == [Code.PEER_GONE]
    ask(asker, 2)
    assert asker.read().codes == [Code.PEER_GONE, Code.NO_SUCH_PEER]
    second.subscribe("agent:replier")
    ask(asker, 3)
    world.settle()
    assert (replier.read().offsets, second.read().offsets) == ([1], [3])
    second.drop()
    ask(asker, 4)
    assert asker.read().codes[2:] == [Code.PEER_GONE, Code.NO_SUCH_PEER]


def test_an_inbox_that_is_closed_again() -> None:
    _, asker, replier = pair()
    replier.say(Unsubscribe(9, 1))
    ask(asker, 1)
    assert asker.read().codes == [Code.NO_SUCH_PEER]


def test_no_new_requests_while_the_gateway_stops_but_replies() -> None:
    world, asker, replier = pair()
    ask(asker, 1)
    world.core.go_away("stop", 1.0)
    ask(asker, 2)
    reply(replier, asker, 1)
    world.settle()
    assert asker.read().codes == [Code.DRAINING]
    assert len(asker.reader.arrivals) == 1
    assert any(isinstance(entry, GoAway) for entry in replier.read().log)


def test_a_replier_without_room() -> None:
    world = World(delivery=DeliverySettings(outbox_limit_bytes=1000))
    replier = world.subscriber("agent:replier", "replier")
    asker = world.peer("asker")
    asker.open(0, "agent:replier")
    replier.transport.fill_up()
    ask(asker, 1, bytes(2000))
    ask(asker, 2, bytes(2000))
    world.settle()
    ask(asker, 3)
    (error,) = asker.read().errors
    assert (error.code, error.correlation) == (Code.QUEUE_FULL, 3)
    replier.transport.read_on()
    ask(asker, 3)
    world.settle()
    assert replier.read().offsets == [1, 2, 3]


def test_a_large_request_that_is_aborted_is_not_outstanding() -> None:
    world, asker, replier = pair()
    question = LargePublish(asker, 1, bytes(10_000))
    question.begin(Opcode.REQUEST, 0, 5)
    question.chunk()
    asker.send(Abort(1, Code.TRANSFER_ABORTED).write())
    world.settle()
    assert len(replier.read().aborts) == 1
    assert not asker.session.requests.asked
    assert not replier.session.requests.owed


def test_a_large_request_that_is_broken_is_not_outstanding() -> None:
    world, asker, replier = pair()
    question = LargePublish(asker, 1, bytes(10_000))
    question.begin(Opcode.REQUEST, 0, 5)
    asker.send(write_chunk(1, 0, (bytes(8),)))
    world.settle()
    (error,) = asker.read().errors
    assert (error.code, error.correlation) == (Code.BROKEN_TRANSFER, 5)
    assert not asker.session.requests.asked
    ask(asker, 5)
    world.settle()
    assert replier.read().offsets == [5]


def test_a_replier_that_vanishes_in_the_middle_of_a_large_request() -> None:
    world, asker, replier = pair()
    question = LargePublish(asker, 1, bytes(10_000))
    question.begin(Opcode.REQUEST, 0, 5)
    question.chunk()
    replier.drop()
    question.end()
    world.settle()
    (error,) = asker.read().errors
    assert (error.code, error.correlation) == (Code.PEER_GONE, 5)
    assert asker.close_code() is None


def test_a_replier_that_vanishes_in_the_middle_of_its_reply() -> None:
    world, asker, replier = pair()
    ask(asker, 5)
    answer = LargePublish(replier, 1, bytes(10_000))
    answer.begin(Opcode.REPLY, asker.session.peer.id, 5)
    answer.chunk()
    replier.drop()
    world.settle()
    assert asker.read().aborts
    assert [(error.code, error.correlation) for error in asker.reader.errors] == [(Code.PEER_GONE, 5)]
