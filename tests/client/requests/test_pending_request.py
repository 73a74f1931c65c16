"""Tests what replies make of the one who waits for them, without a connection."""

import asyncio

import pytest

from gateway.client.decoding.inbound_frame import InboundFrame
from gateway.client.messages.message import Message
from gateway.client.messages.read_flow_control import ReadFlowControl
from gateway.client.messages.receive_buffer import ReceiveBuffer
from gateway.client.requests.pending_request import ENDED_EARLY, PendingRequest, RequestFailed
from gateway.client.sending.content import content_of
from gateway.client.sending.outbound_message import OutboundMessage
from gateway.errors import Code, RequestRefused
from gateway.protocol.data import parse_data
from gateway.protocol.frames import iter_frames
from gateway.protocol.wire import FLAG_FAILED, FLAG_MORE, Opcode
from tests.client.frames import data_frame


def pending(parts: ReceiveBuffer[Message] | None = None) -> tuple[PendingRequest, asyncio.Future[object]]:
    done: asyncio.Future[object] = asyncio.get_running_loop().create_future()
    return PendingRequest("agent:bob", OutboundMessage(Opcode.REQUEST, content_of(1, None), 0, done=done), parts), done


def deliver(asked: PendingRequest, value: int, flags: int = 0, headers: dict[str, object] | None = None) -> None:
    message = memoryview(b"".join(data_frame(Opcode.REPLY, 1, value, flags=flags, headers=headers)))
    arrival = InboundFrame(parse_data(message, next(iter_frames(message))), 0)
    arrival.check()
    asked.deliver(arrival, arrival.frame.payload)


async def test_the_last_reply_is_the_result() -> None:
    asked, done = pending()
    deliver(asked, 1, FLAG_MORE)
    assert (done.done(), asked.over) == (False, False)
    deliver(asked, 2)
    assert (done.done(), asked.over) == (True, True)
    reply = await done
    assert isinstance(reply, Message)
    assert reply.tensor == 2


async def test_all_replies_are_parts_for_one_who_wants_them() -> None:
    parts: ReceiveBuffer[Message] = ReceiveBuffer(1 << 20, ReadFlowControl(lambda reading: None))
    asked, done = pending(parts)
    for value, flags in ((1, FLAG_MORE), (2, FLAG_MORE), (3, 0)):
        deliver(asked, value, flags)
    assert done.done()
    assert [int((await parts.next()).tensor) for _ in range(3)] == [1, 2, 3]


async def test_a_failure_ends_it_whatever_else_it_says() -> None:
    asked, done = pending()
    deliver(asked, 1, FLAG_FAILED | FLAG_MORE, {"error": "out of paper"})
    assert asked.over
    with pytest.raises(RequestFailed, match="agent:bob failed the request: out of paper"):
        await done


@pytest.mark.parametrize("code", sorted(ENDED_EARLY))
async def test_a_large_reply_that_is_cut_off_is_not_the_end(code: Code) -> None:
    asked, done = pending()
    asked.fail(RequestRefused(code, "ended by its sender"), None)
    assert not done.done()
    deliver(asked, 2)
    assert done.done()


async def test_a_reply_that_cannot_be_read_is_the_end_here_but_not_for_the_gateway() -> None:
    asked, done = pending()
    asked.fail(RequestRefused(Code.CORRUPT_PAYLOAD, "broken"), None)
    assert not asked.over
    with pytest.raises(RequestRefused, match="broken"):
        await done


async def test_what_the_gateway_refuses_is_over() -> None:
    asked, done = pending()
    asked.refuse(RequestRefused(Code.PEER_GONE, "left"))
    assert asked.over
    with pytest.raises(RequestRefused, match="left"):
        await done
