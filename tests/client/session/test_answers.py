"""Requests and their answers, in one message or in parts."""

import asyncio
from collections.abc import Iterator

import pytest

from gateway.client.session.answers import Answers
from gateway.errors import Code, ConnectionFailed, RequestRefused
from gateway.protocol.messages import Account, Counts, Error, SessionMessage, Subscribe, Subscribed


class Sent:
    """A session that notes what is sent, and how often the sender has waited for room."""

    def __init__(self) -> None:
        self.messages: list[SessionMessage] = []
        self.complete = asyncio.Event()
        """Set by a last part."""
        self.waits = 0
        self.room = asyncio.Event()
        self.room.set()
        self.answers = Answers(self.send, self.drained)

    def send(self, message: SessionMessage) -> None:
        """Note a message."""
        self.messages.append(message)
        if isinstance(message, Subscribe) and message.pattern == "wf/last":
            self.complete.set()

    async def drained(self) -> None:
        """There is room at once, unless the test takes it away."""
        self.waits += 1
        await self.room.wait()


def parts(request: int, count: int = 3) -> Iterator[SessionMessage]:
    """A SUBSCRIBE in parts."""
    for number in range(count - 1):
        yield Subscribe(request, request, f"wf/{number}", more=True)
    yield Subscribe(request, request, "wf/last")


async def test_parts_are_sent_one_after_the_other_and_answered_once() -> None:
    sent = Sent()
    asking = asyncio.create_task(sent.answers.ask(parts))
    await sent.complete.wait()
    assert sent.waits >= 2
    sent.answers.received(Subscribed(1, 1))
    assert await asking == Subscribed(1, 1)


async def test_the_parts_of_two_requests_do_not_mix() -> None:
    sent = Sent()
    sent.room.clear()
    tasks = [asyncio.create_task(sent.answers.ask(parts)) for _ in range(2)]
    alone = asyncio.create_task(sent.answers.ask(lambda request: Subscribe(request, request, "wf/alone")))
    for _ in range(3):
        await asyncio.sleep(0)
    requests = [each.request for each in sent.messages if isinstance(each, Subscribe)]
    assert requests == [1, 3]  # what has no parts passes
    sent.room.set()
    for _ in range(2):
        sent.complete.clear()
        await sent.complete.wait()
    requests = [each.request for each in sent.messages if isinstance(each, Subscribe)]
    assert requests == [1, 3, 1, 1, 2, 2, 2]
    for number, task in enumerate([*tasks, alone], start=1):
        sent.answers.received(Subscribed(number, number))
        await task


async def test_a_request_that_is_cancelled_between_two_parts_is_refused_silently() -> None:
    sent = Sent()
    sent.room.clear()
    asking = asyncio.create_task(sent.answers.ask(parts))
    await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    refusal = Error(Code.INVALID_REQUEST, "INVALID_REQUEST", "another SUBSCRIBE has begun", request=1)
    assert [sent.answers.refused(refusal) for _ in range(2)] == [True, False]
    following = asyncio.create_task(sent.answers.ask(parts))
    sent.room.set()
    await sent.complete.wait()
    sent.answers.received(Subscribed(2, 2))
    assert await following == Subscribed(2, 2)


async def test_a_loss_between_two_parts_fails_the_request() -> None:
    sent = Sent()
    sent.room.clear()
    asking = asyncio.create_task(sent.answers.ask(parts))
    await asyncio.sleep(0)
    sent.answers.fail(ConnectionFailed("lost"))
    sent.room.set()
    with pytest.raises(ConnectionFailed, match="lost"):
        await asking


async def test_an_account_in_parts_is_joined() -> None:
    sent = Sent()
    asking = asyncio.create_task(sent.answers.ask(lambda request: Account(request, 4)))
    await asyncio.sleep(0)
    sent.answers.received(Account(1, 4, {"wf/a": Counts(1)}, more=True))
    sent.answers.received(Account(1, 4, {"wf/b": Counts(2)}, more=True))
    assert not asking.done()
    sent.answers.received(Account(1, 4, {"wf/c": Counts(3)}))
    assert await asking == Account(1, 4, {"wf/a": Counts(1), "wf/b": Counts(2), "wf/c": Counts(3)})


async def test_a_refusal_finds_its_request_and_others_do_not() -> None:
    sent = Sent()
    asking = asyncio.create_task(sent.answers.ask(lambda request: Account(request, 4)))
    await asyncio.sleep(0)
    assert not sent.answers.refused(Error(Code.FORBIDDEN, "FORBIDDEN", "no", request=7))
    assert sent.answers.refused(Error(Code.FORBIDDEN, "FORBIDDEN", "not yours", request=1))
    sent.answers.received(Account(1, 4, {}))  # late
    with pytest.raises(RequestRefused, match="not yours"):
        await asking


async def test_a_request_that_a_stopping_gateway_refuses_is_one_for_the_next_connection() -> None:
    sent = Sent()
    asking = asyncio.create_task(sent.answers.ask(lambda request: Account(request, 4)))
    await asyncio.sleep(0)
    sent.answers.refused(Error(Code.DRAINING, "DRAINING", "stopping", request=1))
    with pytest.raises(ConnectionFailed, match="stopping"):
        await asking
