"""Tests the numbers of streams and the bookkeeping of sequences."""

import asyncio

import pytest

from gateway.client.sending import alias as module
from gateway.client.sending.alias import Alias, Aliases, AliasHolders
from gateway.client.sending.content import content_of
from gateway.client.sending.declaration import ANYTHING, Declaration
from gateway.client.sending.outbound_message import OutboundMessage
from gateway.client.session.session import Session
from gateway.errors import Code, ConnectionFailed, RequestRefused
from gateway.protocol.frames import body_of, iter_frames
from gateway.protocol.messages import Error, Kind, Open, StreamInfo
from gateway.protocol.session_body import parse_session
from gateway.protocol.wire import Opcode

INFO = StreamInfo(7, "wf/x", Kind.EVENT, 5, 0, alias=0)


class Holder:
    """A queue of which only the alias is looked at."""

    idle = True
    sent = 0
    forgettable = True


def session() -> Session:
    """One that is only compared."""
    return object.__new__(Session)


def alias_awaiting(*sequences: int) -> Alias:
    alias = Alias(session(), 0, "wf/x", Holder(), ANYTHING)
    for sequence in sequences:
        message = OutboundMessage(Opcode.MESSAGE, content_of(1, None), 0)
        message.sequence = sequence
        alias.expect(message)
    return alias


def test_numbers_count_up_and_find_their_alias() -> None:
    aliases, here = Aliases(), session()
    first, second = aliases.open(here, "wf/a", Holder()), aliases.open(here, "wf/b", Holder(), Declaration(Kind.EVENT))
    assert (first.number, second.number) == (0, 1)
    assert aliases.get(1) is second
    assert aliases.get(2) is None
    assert aliases.get(None) is None


def test_the_opening_declares_it() -> None:
    message = memoryview(Aliases().open(session(), "wf/b", Holder(), Declaration(Kind.EVENT)).opening())
    frame = next(iter_frames(message))
    assert parse_session(frame.opcode, body_of(message, frame)) == Open(0, "wf/b", Kind.EVENT)


@pytest.mark.parametrize(
    ("last", "count", "settled"),
    [(1, 1, [1]), (5, 5, [1, 3, 5]), (4, 2, [3]), (9, 10**9, [1, 3, 5, 9]), (2, 1, []), (9, 2, [9])],
)
def test_a_run_settles_what_it_covers(last: int, count: int, settled: list[int]) -> None:
    alias = alias_awaiting(1, 3, 5, 9)
    assert [message.sequence for message in alias.settle(last, count)] == settled
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
    alias = aliases.open(session(), "wf/x", Holder())
    message = OutboundMessage(Opcode.MESSAGE, content_of(1, None), 0)
    alias.awaiting[1] = message
    waiting = asyncio.ensure_future(alias.answered())
    await asyncio.sleep(0)
    assert aliases.clear(ConnectionFailed("lost")) == {"wf/x": [message]}
    assert aliases.get(0) is None
    with pytest.raises(ConnectionFailed, match="lost"):
        await waiting


def all_open(limit: int) -> tuple[Aliases, list[Holder], list[Alias]]:
    """As many aliases as there may be, all answered."""
    aliases, here, holders = Aliases(limit), session(), [Holder() for _ in range(limit)]
    opened = [aliases.open(here, f"wf/{number}", holder) for number, holder in enumerate(holders)]
    for alias in opened:
        alias.answer(INFO)
    return aliases, holders, opened


def test_the_alias_that_was_not_used_for_longest_is_opened_for_another_stream() -> None:
    aliases, holders, opened = all_open(3)
    first = aliases.open(session(), "wf/3", Holder())
    assert (first.number, opened[first.number].session) == (1, None)
    holders[2].sent = 5
    second = aliases.open(session(), "wf/4", Holder())
    assert (second.number, opened[0].session, opened[2].session is None) == (0, None, False)


def test_an_alias_with_something_outstanding_keeps_its_number() -> None:
    aliases, holders, opened = all_open(3)
    opened[0].awaiting[1] = OutboundMessage(Opcode.MESSAGE, content_of(1, None), 0)
    holders[1].idle = False
    assert aliases.open(session(), "wf/3", Holder()).number == 2
    assert not aliases.room, "the one that was just opened is not answered"
    with pytest.raises(RequestRefused, match=r"wf/4.*3 streams") as refused:
        aliases.open(session(), "wf/4", Holder())
    assert refused.value.code == Code.LIMIT_EXCEEDED
    holders[1].idle = True
    assert not aliases.room, "it is not looked for again before it is told to"
    assert aliases.look_again()
    assert aliases.open(session(), "wf/4", Holder()).number == 1


def test_a_refused_alias_is_given_to_another_stream() -> None:
    aliases = Aliases(1)
    aliases.open(session(), "wf/0", Holder()).refuse(RequestRefused(Code.FORBIDDEN, "no"))
    assert aliases.open(session(), "wf/1", Holder()).number == 0


def test_refused_messages_are_those_of_the_earlier_alias_until_the_new_one_is_answered() -> None:
    aliases, _, (earlier,) = all_open(1)
    later = aliases.open(session(), "wf/1", Holder())
    of_a_message = Error(Code.QUEUE_FULL, "QUEUE_FULL", "full", alias=0, sequence=7)
    of_the_opening = Error(Code.FORBIDDEN, "FORBIDDEN", "no", alias=0)
    assert aliases.refused_by(of_a_message) is earlier
    assert aliases.refused_by(of_the_opening) is later
    later.answer(INFO)
    assert aliases.refused_by(of_a_message) is later


@pytest.mark.parametrize(
    ("sequence", "stream", "old"),
    [(None, None, False), (None, "wf/new", False), (None, "wf/old", True), (3, None, True)],
)
def test_an_error_about_an_alias_that_was_opened_again(sequence: int | None, stream: str | None, old: bool) -> None:
    aliases, here = Aliases(limit=1), session()
    before = aliases.open(here, "wf/old", Holder())
    before.answer(INFO)
    aliases.look_again()
    alias = aliases.open(here, "wf/new", Holder())
    error = Error(Code.STREAM_ENDED, "STREAM_ENDED", "it has ended", alias=0, sequence=sequence, stream=stream)
    assert aliases.refused_by(error) is (before if old else alias)


def test_of_very_many_holders_those_that_can_be_are_forgotten_the_first_ones_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "KEPT_HOLDERS", 4)
    holders: AliasHolders[Holder] = AliasHolders()
    made = [Holder() for _ in range(30)]
    made[1].forgettable = False
    forgotten: list[Holder] = []
    for number, holder in enumerate(made):
        forgotten += holders.add(str(number), holder)
        assert len(holders) <= 2 * 4 + 2
    assert holders["1"] is made[1]
    assert forgotten == [holder for number, holder in enumerate(made) if str(number) not in holders]


def test_holders_that_cannot_be_forgotten_are_not_looked_at_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEPT_HOLDERS", 4)
    looked_at = 0

    class Busy(Holder):
        @property
        def forgettable(self) -> bool:  # type: ignore[override]
            nonlocal looked_at
            looked_at += 1
            return False

    holders: AliasHolders[Holder] = AliasHolders()
    for number in range(1000):
        assert not holders.add(str(number), Busy())
    assert len(holders) == 1000
    assert looked_at < 2000
