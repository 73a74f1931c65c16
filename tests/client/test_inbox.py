"""Tests the inbox and its requests without a connection."""

import pytest

from gateway.client.content import Headers
from gateway.client.inbox import Inbox, Request
from gateway.client.intake import Intake
from gateway.client.message import Message

Sent = tuple[object, Headers, str, bool]


class Noted:
    """An inbox and what it did."""

    def __init__(self) -> None:
        self.started = 0
        self.stopped = 0
        self.sent: list[Sent] = []

    async def start(self, inbox: Inbox) -> None:
        self.started += 1

    async def stop(self, inbox: Inbox) -> None:
        self.stopped += 1

    async def reply(self, request: Request, value: object, headers: Headers, codec: str, failed: bool) -> None:
        self.sent.append((value, headers, codec, failed))

    def make(self) -> Inbox:
        return Inbox(intake=Intake(lambda reading: None), start=self.start, stop=self.stop, buffer_bytes=1 << 20)

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


async def test_requests_come_in_order_until_it_is_closed() -> None:
    noted = Noted()
    inbox = noted.make()
    for correlation in range(3):
        inbox.feed.put(noted.request(correlation))
    assert (await anext(inbox)).offset == 0
    assert noted.started == 1
    await inbox.close()
    assert [request.headers async for request in inbox] == [{"n": 1}, {"n": 2}]


async def test_a_request_is_replied_to_or_failed() -> None:
    noted = Noted()
    request = noted.request(1)
    await request.reply(5, headers={"a": 1}, codec="lz4")
    await request.reply()
    await request.fail("no")
    assert noted.sent == [
        (5, {"a": 1}, "lz4", False),
        (None, None, "auto", False),
        (None, {"error": "no"}, "none", True),
    ]
    assert request.session == "session"
    assert repr(request) == "<Request agent:me offset 1 (no tensor)>"


async def test_one_that_never_started_is_not_stopped() -> None:
    noted = Noted()
    await noted.make().close()
    assert noted.stopped == 0
    inbox = noted.make()
    inbox.feed.end()
    with pytest.raises(StopAsyncIteration):
        await anext(inbox)
