"""The gateway is told where the program stands in each stream, some streams in each report, and knows it at last."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.client.messages.message import Message
from gateway.client.messages.read_flow_control import ReadFlowControl
from gateway.client.subscribing import told_positions
from gateway.client.subscribing.subscription_core import SubscriptionCore, SubscriptionOptions
from gateway.client.subscribing.told_positions import MAX_BEHIND, ToldPositions
from gateway.connections.links.program_positions import ProgramPositions
from gateway.protocol.messages import Kind, StreamInfo
from gateway.protocol.signals import ProgramPosition
from gateway.protocol.wire import KNOWN_POSITIONS, MAX_POSITIONS

EPOCH = 5


class Program:
    """A client's subscriptions, its streams by number, and what the gateway is told.

    Attributes:
        following: next offset of each stream, by number.
    """

    def __init__(self, subscriptions: int = 1, kind: Kind = Kind.EVENT) -> None:
        options = SubscriptionOptions(buffer_bytes=1 << 30)
        flow = ReadFlowControl(lambda reading: None)
        self.subscriptions = [
            SubscriptionCore("wf/*", options, flow=flow, report=lambda error: None) for _ in range(subscriptions)
        ]
        for subscription in self.subscriptions:
            subscription.position.join()
        self.kind = kind
        self.told = ToldPositions()
        self.following: dict[int, int] = {}

    def announce(self, *streams: int) -> None:
        for stream in streams:
            self.following[stream] = 0
            for subscription in self.subscriptions:
                subscription.position.announce(StreamInfo(stream, f"wf/{stream}", self.kind, EPOCH, 0, since=0))

    def come(self, stream: int, count: int = 1, epoch: int = EPOCH) -> None:
        for _ in range(count):
            offset = self.following[stream]
            self.following[stream] += 1
            message = Message(f"wf/{stream}", self.kind, epoch, offset, 1, 0, 0, None, (), b"")
            for subscription in self.subscriptions:
                subscription.deliver(message)

    def take(self, count: int = 1, subscription: int = 0) -> None:
        for _ in range(count):
            self.subscriptions[subscription].buffer.take()

    def tell(self) -> tuple[ProgramPosition, ...]:
        return self.told.changed(self.subscriptions)


def test_a_position_is_told_when_it_has_changed_and_its_end_when_the_program_has_caught_up() -> None:
    program = Program()
    program.announce(7, 8)
    assert program.tell() == ()
    program.come(7, 3)
    program.come(8, 2)
    assert program.tell() == (ProgramPosition(7, 3, 0), ProgramPosition(8, 2, 0))
    assert program.tell() == ()
    program.take(2)
    assert program.tell() == (ProgramPosition(7, 1, 2),)
    program.come(8)
    program.take()
    assert program.tell() == (ProgramPosition(7, 0, 3), ProgramPosition(8, 3, 0))
    program.take(3)
    assert program.tell() == (ProgramPosition(8, 0, 3),)
    assert program.tell() == ()


def test_of_a_state_the_versions_count_that_newer_ones_have_replaced() -> None:
    program = Program(kind=Kind.STATE)
    program.announce(7)
    program.come(7, 4)
    program.take()
    program.come(7, 6)
    assert program.tell() == (ProgramPosition(7, 6, 4),)


def test_of_several_subscriptions_the_one_furthest_behind_counts() -> None:
    program = Program(subscriptions=2)
    program.announce(7)
    program.come(7, 5)
    program.take(3, subscription=1)
    assert program.tell() == (ProgramPosition(7, 5, 0),)
    program.take(4, subscription=0)
    assert program.tell() == (ProgramPosition(7, 2, 3),)
    program.take(2, subscription=1)
    assert program.tell() == (ProgramPosition(7, 1, 4),)


def test_streams_that_the_connection_has_not_announced_are_left_out() -> None:
    program = Program()
    program.announce(7)
    program.come(7, 5)
    (subscription,) = program.subscriptions
    subscription.position.leave()
    assert program.tell() == ()
    subscription.position.join()
    subscription.position.announce(StreamInfo(9, "wf/7", Kind.EVENT, EPOCH, 5, since=5))
    assert program.tell() == (ProgramPosition(9, 5, 0),)


def test_messages_of_an_earlier_incarnation_have_no_position() -> None:
    program = Program()
    program.announce(7)
    program.come(7, 5)
    (subscription,) = program.subscriptions
    subscription.position.announce(StreamInfo(9, "wf/7", Kind.EVENT, EPOCH + 1, 0, since=0))
    program.following[7] = 0
    program.come(7, epoch=EPOCH + 1)
    assert program.tell() == ()
    program.take(5)
    assert program.tell() == (ProgramPosition(9, 1, 0),)


def test_messages_that_the_program_answers_are_left_out() -> None:
    program = Program(kind=Kind.COLLABORATION)
    program.announce(7)
    message = Message("wf/7", Kind.COLLABORATION, EPOCH, 0, 1, 0, 0, None, (), b"")
    message.ack_handle = object()  # type: ignore[assignment]
    program.subscriptions[0].buffer.put(message)
    assert program.tell() == ()


def test_each_of_thousands_has_its_turn() -> None:
    program, streams = Program(), 5 * MAX_POSITIONS
    program.announce(*range(streams))
    for stream in range(streams):
        program.come(stream)
    reports = [program.tell() for _ in range(2 * streams // MAX_POSITIONS)]
    assert {len(report) for report in reports} == {MAX_POSITIONS}
    assert {position.stream for report in reports[: len(reports) // 2] for position in report} == set(range(streams))
    counts = [sum(position.stream == stream for report in reports for position in report) for stream in range(streams)]
    assert set(counts) == {2}


def test_those_that_were_not_named_for_longest_come_first() -> None:
    program, streams = Program(), 2 * MAX_POSITIONS
    program.announce(*range(streams))
    for stream in range(streams):
        program.come(stream)
    first, second = program.tell(), program.tell()
    for _ in range(3):
        for stream in range(streams):
            program.come(stream)
        expected = [position.stream for position in first]
        first, second = second, program.tell()
        assert [position.stream for position in second] == expected


def test_a_position_behind_the_items_that_are_looked_at_is_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(told_positions, "MAX_LOOKED_AT", 4)
    program = Program()
    program.announce(7, 8)
    program.come(7, 2)
    program.come(8, 2)
    assert program.tell() == (ProgramPosition(7, 2, 0), ProgramPosition(8, 2, 0))
    program.come(7, 6)
    program.take(4)
    assert program.tell() == (ProgramPosition(7, 6, 2),)
    program.take(2)
    assert program.tell() == (ProgramPosition(8, 0, 2), ProgramPosition(7, 4, 4))


def test_no_number_is_larger_than_its_field() -> None:
    program = Program()
    program.announce(7)
    program.come(7)
    program.following[7] = 2**60
    program.come(7)
    assert program.tell() == (ProgramPosition(7, MAX_BEHIND, 0),)


def test_what_is_forgotten_is_told_again() -> None:
    program = Program()
    program.announce(7)
    program.come(7)
    assert program.tell() == (ProgramPosition(7, 1, 0),)
    program.told.forget()
    assert program.tell() == (ProgramPosition(7, 1, 0),)


acts = st.lists(
    st.tuples(st.just("come"), st.integers(0, KNOWN_POSITIONS + 80))
    | st.tuples(st.just("take"), st.integers(1, 400))
    | st.tuples(st.just("all come"), st.integers(1, 2))
    | st.tuples(st.just("report"), st.integers(1, 3)),
    max_size=25,
)


@given(acts, st.sampled_from([Kind.EVENT, Kind.STATE]))
def test_both_ends_know_the_same_and_it_was_true_when_it_was_told(steps: list[tuple[str, int]], kind: Kind) -> None:
    program, gateway = Program(kind=kind), ProgramPositions()
    streams = KNOWN_POSITIONS + 80
    program.announce(*range(streams + 1))
    taken: dict[int, int] = {}
    for act, number in steps:
        if act == "come":
            program.come(number)
        elif act == "all come":
            for stream in range(streams):
                program.come(stream, number)
        elif act == "take":
            for _ in range(number):
                item = program.subscriptions[0].buffer.take()
                if item is not None:
                    taken[int(item.stream.removeprefix("wf/"))] = item.offset + 1
        else:
            for _ in range(number):
                named = program.tell()
                gateway.take(named, program.following.get)
                for stream, behind, offset in named:
                    if behind:
                        assert (offset, offset + behind) == (taken.get(stream, 0), program.following[stream])
                    else:
                        assert offset <= taken[stream] == program.following[stream]
    assert list(gateway) == list(program.told._known.values())
    if program.subscriptions[0].buffer.bytes:
        for stream, _, offset in gateway:
            assert offset <= taken.get(stream, 0)
