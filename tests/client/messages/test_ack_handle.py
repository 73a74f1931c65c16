"""Tests when a unit is answered for, and how much credit is granted again, and when."""

import weakref
from collections.abc import Iterable

import pytest

from gateway.client.messages.ack_handle import AckHandle, AckScope, AckUnitRange, PendingAck, RecordAckHandle
from gateway.errors import InvalidArgument
from gateway.protocol.frames import frame_at
from gateway.protocol.messages import Credits
from gateway.protocol.signals import Credit
from gateway.protocol.wire import Buffer


def unit(first: int = 0, count: int = 1) -> AckUnitRange:
    return AckUnitRange(1, first, count, 8, None, None)


class Settled:
    """A unit in hand, and whether it was settled."""

    def __init__(self, count: int = 1) -> None:
        self.settled: list[PendingAck] = []
        self.reported: list[PendingAck] = []
        self.pending = PendingAck(unit(count=count), self.settled.append, self.reported.append)

    def handle(self) -> AckHandle:
        return AckHandle(self.pending, AckScope(None))


def test_a_unit_is_settled_when_all_have_answered() -> None:
    case = Settled()
    first, second = case.handle(), case.handle()
    first.done()
    first.done()
    assert case.settled == []
    second.done()
    assert case.settled == [case.pending]
    assert case.pending.processed


def test_the_first_word_counts() -> None:
    case = Settled()
    handle = case.handle()
    handle.refuse(5)
    handle.done()
    assert (case.pending.processed, case.pending.code, case.pending.refusers) == (False, 5, (handle.scope,))
    assert case.settled == [case.pending]


def test_a_subscription_that_is_over_answers_nothing() -> None:
    case = Settled()
    one, two = case.handle(), case.handle()
    one.scope.withdraw()
    assert not one.scope.handles
    two.done()
    assert case.settled == [case.pending]


@pytest.mark.parametrize("answers", ["each", "whole"])
def test_a_batch_is_answered_for_by_all_its_records_or_as_a_whole(answers: str) -> None:
    case = Settled(count=3)
    batch = case.handle()
    records = [RecordAckHandle(batch) for _ in range(3)]
    records[0].done()
    records[0].done()
    if answers == "each":
        records[1].done()
        assert case.settled == []
        records[2].done()
    else:
        batch.done()
    assert case.settled == [case.pending]


def test_a_record_that_is_refused_refuses_its_batch() -> None:
    case = Settled(count=2)
    batch = case.handle()
    first, second = RecordAckHandle(batch), RecordAckHandle(batch)
    first.done()
    second.refuse(7)
    assert (case.pending.processed, case.pending.code) == (False, 7)


@pytest.mark.parametrize("answer", ["done", "refuse", "withdraw"])
def test_it_holds_what_the_answer_needs_until_it_is_given(answer: str) -> None:
    case = Settled(count=2)
    batch = case.handle()
    record = RecordAckHandle(batch)
    needed = Settled()
    batch.hold(needed)
    needed_still = weakref.ref(needed)
    del needed
    record.done()
    assert needed_still() is not None
    getattr(batch, answer)(*[5] * (answer == "refuse"))
    assert needed_still() is None
    needed = Settled()
    batch.hold(needed)  # as another thread does that gives the message out at this moment
    needed_still = weakref.ref(needed)
    del needed
    assert needed_still() is None


def test_the_first_word_about_a_record_counts_and_lets_go_of_the_batch() -> None:
    case = Settled(count=2)
    batch = case.handle()
    record = RecordAckHandle(batch)
    record.done()
    record.refuse(7)
    record.in_progress()
    del batch
    assert (case.settled, case.reported, case.pending.held) == ([], [], False)


class Line:
    """Stands for a session: notes what is sent."""

    open = True

    def __init__(self) -> None:
        self.sent: list[Credit] = []

    def send_each(self, frames: Iterable[Buffer]) -> None:
        self.sent += [Credit.parse(frame, frame_at(frame, 0)) for frame in frames]


def begun(window: Credits | None) -> tuple[AckScope, Line]:
    scope, line = AckScope(window), Line()
    scope.begin(line, 3)
    return scope, line


def test_half_of_the_messages_or_of_the_bytes_are_granted_together() -> None:
    scope, line = begun(Credits(4, 100))
    scope.release(line, 10)
    assert line.sent == []
    scope.release(line, 10)
    assert line.sent == [Credit(3, 2, 20)]
    scope.release(line, 50)
    assert line.sent[1:] == [Credit(3, 1, 50)]


def test_what_came_on_an_earlier_session_or_without_credit_grants_nothing() -> None:
    scope, line = begun(Credits(1, 100))
    later = Line()
    scope.begin(later, 4)
    scope.release(line, 10)
    scope.release(None, 10)
    assert line.sent == later.sent == []


def test_without_a_window_the_gateway_knows() -> None:
    scope, line = begun(None)
    scope.release(line, 10)
    assert line.sent == []


@pytest.mark.parametrize("window", [Credits(0, 1), Credits(1, 0)])
def test_a_window_in_which_nothing_fits_is_refused(window: Credits) -> None:
    with pytest.raises(InvalidArgument, match="from 1 to"):
        AckScope(window)


def test_work_is_reported_until_it_is_answered() -> None:
    case = Settled(count=2)
    batch = case.handle()
    record = RecordAckHandle(batch)
    record.in_progress()
    batch.in_progress()
    assert case.reported == [case.pending] * 2
    batch.done()
    record.in_progress()
    assert len(case.reported) == 2


def test_a_unit_is_held_while_its_message_is() -> None:
    case = Settled(count=2)
    one, two = case.handle(), case.handle()
    record = RecordAckHandle(one)
    two.done()
    del one, two
    assert case.pending.held
    del record
    assert [scope.holds(case.pending) for scope in case.pending.open_scopes] == [False]
    assert case.settled == []


def test_a_unit_that_the_program_has_let_go_of_is_given_up_with_its_credit() -> None:
    scope, line = begun(Credits(2, 1000))
    settled: list[PendingAck] = []
    pending = PendingAck(AckUnitRange(1, 0, 1, 8, None, line), settled.append, settled.append)
    handle = AckHandle(pending, scope)
    assert scope.holds(pending)
    del handle
    assert not scope.holds(pending)
    assert pending.open_scopes == (scope,)
    scope.drop(pending)
    assert settled == [pending]
    assert line.sent == [Credit(3, 1, 8)]


def test_a_subscription_ends_with_units_that_the_program_has_let_go_of() -> None:
    case = Settled()
    handle = case.handle()
    scope = handle.scope
    del handle
    scope.withdraw()
    assert not scope.handles
    assert case.settled == [case.pending]
