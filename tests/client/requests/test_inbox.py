"""Tests the inbox and its requests without a connection."""

import asyncio
import copy
import pickle

import pytest

from gateway.client.messages.message import Message
from gateway.client.messages.read_flow_control import ReadFlowControl
from gateway.client.messages.receive_buffer import ReceiveBuffer
from gateway.client.requests.inbox import Inbox, InboxCore, Request
from gateway.client.sending.content import Headers
from gateway.protocol.wire import FLAG_FAILED, FLAG_MORE
from tests.client.waiting import until

Sent = tuple[object, Headers, str, int]


class Noted:
    """An inbox and what it did."""

    def __init__(self) -> None:
        self.started = 0
        self.stopped = 0
        self.sent: list[Sent] = []
        self.answered = asyncio.Event()
        self.answered.set()

    async def start(self, inbox: InboxCore) -> None:
        self.started += 1
        await self.answered.wait()

    async def stop(self, inbox: InboxCore) -> None:
        self.stopped += 1

    async def reply(self, request: Request, value: object, headers: Headers, codec: str, flags: int) -> None:
        self.sent.append((value, headers, codec, flags))

    def make(self) -> Inbox:
        core = InboxCore("agent:me", 0, ReceiveBuffer(1 << 20, ReadFlowControl(lambda reading: None)))
        return Inbox(core, start=self.start, stop=self.stop, client=None)

    def request(self, correlation: int) -> Request:
        message = Message("agent:me", None, 0, correlation, 4, 0, 0, {"n": correlation}, (), b"")
        return Request(message, "session", self.reply)


async def test_it_starts_and_stops_once() -> None:
    noted = Noted()
    inbox = noted.make()
    async with inbox:
        await inbox.start()
    await inbox.close()
    assert (noted.started, noted.stopped) == (1, 1)


async def test_after_a_cancelled_start_a_later_one_waits_until_the_inbox_is_open() -> None:
    noted = Noted()
    noted.answered.clear()
    inbox = noted.make()
    first = asyncio.ensure_future(inbox.start())
    await until(lambda: noted.started == 1)
    first.cancel()
    await asyncio.wait([first])
    assert first.cancelled()
    second = asyncio.ensure_future(inbox.start())
    await asyncio.wait([second], timeout=0)
    other = asyncio.ensure_future(Noted().make().start())
    assert await asyncio.wait([second, other], return_when=asyncio.FIRST_COMPLETED) == ({other}, {second})
    noted.answered.set()
    await second
    await inbox.close()
    assert (noted.started, noted.stopped) == (1, 1)


async def test_requests_come_in_order_until_it_is_closed() -> None:
    noted = Noted()
    inbox = noted.make()
    for correlation in range(3):
        inbox.core.buffer.put(noted.request(correlation))
    assert (await anext(inbox)).offset == 0
    assert noted.started == 1
    await inbox.close()
    assert [request.headers async for request in inbox] == [{"n": 1}, {"n": 2}]


async def test_a_request_is_replied_to_or_failed() -> None:
    noted = Noted()
    request = noted.request(1)
    await request.reply_partial(4)
    await request.reply(5, headers={"a": 1}, codec="lz4")
    await request.reply()
    await request.fail("no")
    assert noted.sent == [
        (4, None, "auto", FLAG_MORE),
        (5, {"a": 1}, "lz4", 0),
        (None, None, "auto", 0),
        (None, {"error": "no"}, "none", FLAG_FAILED),
    ]
    assert request.session == "session"
    assert repr(request) == "<Request agent:me offset 1 (no tensor)>"


async def test_one_that_never_started_is_not_stopped() -> None:
    noted = Noted()
    await noted.make().close()
    assert noted.stopped == 0
    inbox = noted.make()
    inbox.core.buffer.end()
    with pytest.raises(StopAsyncIteration):
        await anext(inbox)


async def test_a_request_that_is_cancelled_before_it_is_taken_is_left_out() -> None:
    noted = Noted()
    inbox = noted.make()
    requests = [noted.request(correlation) for correlation in range(3)]
    for request in requests:
        inbox.core.buffer.put(request)
    requests[0].cancel()
    assert await anext(inbox) is requests[1]
    assert not requests[1].cancelled


async def test_whoever_works_on_a_request_hears_once_that_it_is_cancelled() -> None:
    request = Noted().request(1)
    told: list[str] = []
    request.on_cancel(lambda: told.append("callback"))
    waiting = asyncio.ensure_future(request.wait_cancelled())
    await asyncio.sleep(0)
    assert not waiting.done()
    request.cancel()
    request.cancel()
    await waiting
    assert request.cancelled
    request.on_cancel(lambda: told.append("late callback"))
    assert told == ["callback", "late callback"]


async def test_a_callback_that_raises_disturbs_nobody(caplog: pytest.LogCaptureFixture) -> None:
    request = Noted().request(1)
    told: list[str] = []
    request.on_cancel(lambda: told[0])
    request.on_cancel(lambda: told.append("second"))
    request.cancel()
    assert told == ["second"]
    assert "IndexError" in caplog.text


async def test_a_copy_of_a_request_is_a_plain_message() -> None:
    request = Noted().request(7)
    for arrived in (pickle.loads(pickle.dumps(request)), copy.deepcopy(request)):  # noqa: S301
        assert type(arrived) is Message
        assert (arrived.stream, arrived.offset, arrived.headers) == ("agent:me", 7, {"n": 7})
