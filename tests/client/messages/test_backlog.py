"""Tests what each kind's contract means when the application falls behind."""

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from gateway.client.messages.backlog import ITEM_OVERHEAD_BYTES, Backlog
from gateway.client.messages.read_flow_control import ReadFlowControl
from gateway.protocol.messages import Kind


@dataclass(frozen=True)
class Item:
    """Something with a place in a stream."""

    stream: str
    kind: Kind | None
    offset: int
    nbytes: int = 1000
    count: int = 1


SIZE = 1000 + ITEM_OVERHEAD_BYTES


def intake() -> ReadFlowControl:
    return ReadFlowControl(lambda reading: None)


def taken(backlog: Backlog[Item]) -> list[int]:
    """The offsets of everything that is there."""
    offsets = []
    while (item := backlog.take()) is not None:
        offsets.append(item.offset)
    return offsets


def test_below_the_bound_everything_is_kept_in_order() -> None:
    backlog: Backlog[Item] = Backlog(10 * SIZE, intake())
    for offset, kind in enumerate([Kind.STATE, Kind.EVENT, Kind.CONTROL, Kind.COLLABORATION, None]):
        assert backlog.put(Item("s", kind, offset))
    assert backlog.bytes == 5 * SIZE
    assert taken(backlog) == [0, 1, 2, 3, 4]
    assert backlog.bytes == 0


def test_at_the_bound_only_the_newest_of_a_state_stream_is_kept() -> None:
    gate = intake()
    backlog: Backlog[Item] = Backlog(2 * SIZE, gate)
    for offset in range(10):
        assert backlog.put(Item("s", Kind.STATE, offset))
    assert gate.reading
    assert backlog.conflated == 7
    assert taken(backlog) == [0, 1, 9]
    assert backlog.bytes == 0


def test_streams_are_conflated_each_for_itself() -> None:
    backlog: Backlog[Item] = Backlog(SIZE, intake())
    for offset in range(3):
        for stream in "ab":
            backlog.put(Item(stream, Kind.STATE, offset))
    assert taken(backlog) == [0, 2, 2]
    assert backlog.conflated == 3


def test_a_conflated_batch_counts_its_records() -> None:
    backlog: Backlog[Item] = Backlog(1, intake())
    for offset in (0, 5, 10):
        backlog.put(Item("s", Kind.STATE, offset, count=5))
    assert backlog.conflated == 5


def test_a_message_larger_than_the_bound_is_kept() -> None:
    backlog: Backlog[Item] = Backlog(1, intake())
    assert backlog.put(Item("s", Kind.STATE, 0, nbytes=1 << 20))
    assert backlog.put(Item("s", Kind.STATE, 1, nbytes=1 << 20))
    assert taken(backlog) == [0, 1]


def test_what_must_not_be_lost_stops_the_socket_until_half_is_taken() -> None:
    calls: list[bool] = []
    backlog: Backlog[Item] = Backlog(4 * SIZE, ReadFlowControl(calls.append))
    for offset in range(4):
        assert calls == []
        backlog.put(Item("s", Kind.EVENT, offset))
    assert calls == [False]
    backlog.take()
    assert calls == [False]
    backlog.take()
    assert calls == [False, True]


def test_while_an_answer_is_awaited_events_go_on_to_twice_the_bound_and_then_are_a_gap() -> None:
    gate = intake()
    gate.expect_answer()
    backlog: Backlog[Item] = Backlog(2 * SIZE, gate)
    kept = [backlog.put(Item("s", Kind.EVENT, offset)) for offset in range(6)]
    assert kept == [True] * 4 + [False] * 2
    assert gate.reading
    assert taken(backlog) == [0, 1, 2, 3]


def test_collaboration_and_control_stop_the_socket_then_and_are_never_dropped() -> None:
    for kind in (Kind.COLLABORATION, Kind.CONTROL, None):
        calls: list[bool] = []
        gate = ReadFlowControl(calls.append)
        gate.expect_answer()
        backlog: Backlog[Item] = Backlog(2 * SIZE, gate)
        assert all(backlog.put(Item("s", kind, offset)) for offset in range(6))
        assert calls == [False]
        assert taken(backlog) == list(range(6))
        assert calls == [False, True]


def test_there_is_room_for_what_does_not_reach_the_bound() -> None:
    backlog: Backlog[Item] = Backlog(3 * SIZE, intake())
    backlog.put(Item("s", Kind.EVENT, 0))
    assert backlog.has_room(Item("s", Kind.EVENT, 1))
    assert not backlog.has_room(Item("s", Kind.EVENT, 1, nbytes=1000 + SIZE))


def test_releasing_lets_the_socket_be_read() -> None:
    calls: list[bool] = []
    backlog: Backlog[Item] = Backlog(1, ReadFlowControl(calls.append))
    backlog.put(Item("s", Kind.EVENT, 0))
    backlog.release()
    assert calls == [False, True]


@given(st.lists(st.one_of(st.none(), st.sampled_from("ab")), max_size=60))
def test_a_state_stream_never_goes_back_and_ends_with_the_newest(steps: list[str | None]) -> None:
    backlog: Backlog[Item] = Backlog(3 * SIZE, intake())
    sent = {"a": 0, "b": 0}
    got: dict[str, list[int]] = {"a": [], "b": []}

    def take() -> bool:
        item = backlog.take()
        if item is not None:
            got[item.stream].append(item.offset)
        return item is not None

    for step in steps:
        if step is None:
            take()
        else:
            sent[step] += 1
            backlog.put(Item(step, Kind.STATE, sent[step]))
    while take():
        pass
    for stream, offsets in got.items():
        assert offsets == sorted(set(offsets))
        assert not sent[stream] or offsets[-1] == sent[stream]
    assert backlog.conflated == sum(sent.values()) - sum(len(offsets) for offsets in got.values())
    assert backlog.bytes == 0
