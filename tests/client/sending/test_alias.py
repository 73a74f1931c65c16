"""Tests the numbers of streams and the bookkeeping of sequences."""

import asyncio

import pytest

from gateway.client.sending.alias import Alias, Aliases
from gateway.client.sending.content import content_of
from gateway.client.sending.declaration import ANYTHING, Declaration
from gateway.client.sending.outbound_message import OutboundMessage
from gateway.client.session.session import Session
from gateway.errors import Code, ConnectionFailed, RequestRefused
from gateway.protocol.frames import body_of, iter_frames
from gateway.protocol.messages import Kind, Open, StreamInfo
from gateway.protocol.session_body import parse_session
from gateway.protocol.wire import Opcode

INFO = StreamInfo(7, "wf/x", Kind.EVENT, 5, 0, alias=0)


def session() -> Session:
    """One that is only compared."""
    return object.__new__(Session)


def alias_awaiting(*sequences: int) -> Alias:
    alias = Alias(session(), 0, "wf/x", ANYTHING)
    for sequence in sequences:
        alias.awaiting[sequence] = OutboundMessage(Opcode.MESSAGE, content_of(1, None), 0)
    return alias


def test_numbers_count_up_and_find_their_alias() -> None:
    aliases, here = Aliases(), session()
    first, second = aliases.open(here, "wf/a"), aliases.open(here, "wf/b", Declaration(Kind.EVENT))
    assert (first.number, second.number) == (0, 1)
    assert aliases.get(1) is second
    assert aliases.get(2) is None
    assert aliases.get(None) is None


def test_the_opening_declares_it() -> None:
    message = memoryview(Aliases().open(session(), "wf/b", Declaration(Kind.EVENT)).opening())
    frame = next(iter_frames(message))
    assert parse_session(frame.opcode, body_of(message, frame)) == Open(0, "wf/b", Kind.EVENT)


@pytest.mark.parametrize(
    ("last", "count", "settled"),
    [(1, 1, [1]), (5, 5, [1, 3, 5]), (4, 2, [3]), (9, 10**9, [1, 3, 5, 9]), (2, 1, []), (9, 2, [9])],
)
def test_a_run_settles_what_it_covers(last: int, count: int, settled: list[int]) -> None:
    alias = alias_awaiting(1, 3, 5, 9)
    assert [sequence for sequence, _ in alias.settle(last, count)] == settled
    assert sorted(alias.awaiting) == sorted({1, 3, 5, 9} - set(settled))


async def test_the_answer_is_waited_for() -> None:
    alias = alias_awaiting()
    waiting = [asyncio.ensure_future(alias.answered()) for _ in range(2)]
    await asyncio.sleep(0)
    alias.answer(INFO)
    assert [await each for each in waiting] == [INFO, INFO]
    assert await alias.answered() == INFO


async def test_a_refusal_is_an_answer() -> None:
    alias = alias_awaiting()
    waiting = asyncio.ensure_future(alias.answered())
    await asyncio.sleep(0)
    alias.refuse(RequestRefused(Code.FORBIDDEN, "no"))
    with pytest.raises(RequestRefused, match="no"):
        await waiting


async def test_clearing_gives_back_what_was_awaited_and_fails_who_waits() -> None:
    aliases = Aliases()
    alias = aliases.open(session(), "wf/x")
    message = OutboundMessage(Opcode.MESSAGE, content_of(1, None), 0)
    alias.awaiting[1] = message
    waiting = asyncio.ensure_future(alias.answered())
    await asyncio.sleep(0)
    assert aliases.clear(ConnectionFailed("lost")) == {"wf/x": [message]}
    assert aliases.get(0) is None
    with pytest.raises(ConnectionFailed, match="lost"):
        await waiting
