"""Where a subscription stands: what it asks for, and what it is told of messages that came, came twice or were lost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import hypothesis.strategies as st
import pytest
from hypothesis import given

from gateway.client.subscribing.subscription_position import MAX_ENDED, Gap, StreamEnded, SubscriptionPosition
from gateway.errors import Code
from gateway.protocol.messages import BEGINNING, Counts, Kind, Since, StreamInfo

EVENT, STATE = Kind.EVENT, Kind.STATE


def info(
    since: int | None, recovered: bool | None = None, epoch: int = 1, kind: Kind = EVENT, stream: str = "wf/x"
) -> StreamInfo:
    return StreamInfo(7, stream, kind, epoch, 100, since=since, recovered=recovered)


@dataclass
class Joined:
    """A position on its first connection, and the gaps that it reported."""

    since: Since | None = None
    gaps: list[Gap] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.position = SubscriptionPosition(self.since, self.gaps.append)
        self.position.ask()
        self.position.join()

    def come(self, offset: int, count: int = 1, epoch: int = 1, kind: Kind = EVENT) -> int:
        """How many of the messages are given to the program."""
        return count - self.position.record_arrival("wf/x", kind, epoch, offset, count)

    def lost(self, first: int, last: int) -> bool:
        """Whether that is the only gap that was told."""
        return self.gaps == [Gap("wf/x", Code.HISTORY_LOST, first, last)]

    def reconnect(self, answer: StreamInfo) -> Since | None:
        """What it asks for on the next connection, which answers so."""
        self.position.leave()
        named = self.position.ask()
        assert named is not None
        wanted = {stream: position for stream, position, _ in named}
        self.position.join()
        self.position.announce(answer)
        return wanted

    @property
    def counts(self) -> Counts:
        """The account of the one stream."""
        return self.position.counts["wf/x"]


def test_it_asks_for_what_the_program_wants_and_then_for_what_it_missed() -> None:
    joined = Joined(BEGINNING)
    assert joined.position.since == BEGINNING
    assert SubscriptionPosition(BEGINNING, None).ask() is None
    joined.position.announce(info(0, recovered=True))
    assert joined.come(0, 5) == 5
    assert joined.reconnect(info(5, recovered=True)) == {"wf/x": (1, 5)}
    assert joined.come(5) == 1
    assert (joined.gaps, joined.counts) == ([], Counts(6, 0, 0, 0, 0))


def test_what_history_has_lost_is_a_gap() -> None:
    joined = Joined()
    joined.position.announce(info(3))
    assert joined.come(3) == 1
    joined.reconnect(info(9, recovered=False))
    assert joined.lost(4, 8)
    assert joined.come(9) == 1
    assert joined.counts.dropped == 5


def test_a_stream_of_which_nothing_came_is_resumed_as_well() -> None:
    joined = Joined()
    joined.position.announce(info(3))
    assert joined.reconnect(info(3, recovered=True)) == {"wf/x": (1, 3)}
    assert joined.come(4) == 1
    assert joined.gaps == [Gap("wf/x", Code.QUEUE_FULL, 3, 3)]


def test_an_offset_that_history_has_lost() -> None:
    joined = Joined(2)
    joined.position.announce(info(6, recovered=False))
    assert joined.lost(2, 5)


def test_a_position_in_another_incarnation() -> None:
    joined = Joined({"wf/x": (1, 50)})
    joined.position.announce(info(4, recovered=False, epoch=2))
    assert joined.lost(0, 3)
    assert joined.come(4, epoch=2) == 1


def test_a_stream_that_began_anew_while_it_was_away() -> None:
    joined = Joined()
    joined.position.announce(info(50))
    joined.come(50)
    joined.reconnect(info(0, recovered=False, epoch=2))
    assert joined.come(0, epoch=2) == 1
    assert joined.gaps == []


def test_of_a_state_what_lies_between_was_conflated() -> None:
    joined = Joined()
    joined.position.announce(info(3, kind=STATE))
    assert joined.come(3, kind=STATE) == 1
    joined.reconnect(info(9, recovered=True, kind=STATE))
    assert joined.come(9, kind=STATE) == 1
    assert (joined.counts, joined.gaps) == (Counts(2, 5, 0, 0, 0), [])


def test_of_a_new_incarnation_of_a_state_what_came_before_was_conflated() -> None:
    joined = Joined()
    joined.position.announce(info(3, kind=STATE))
    joined.come(3, kind=STATE)
    joined.reconnect(info(7, recovered=False, epoch=2, kind=STATE))
    assert joined.come(7, epoch=2, kind=STATE) == 1
    assert joined.counts.conflated == 7


def test_nothing_is_taken_before_its_own_start_is_known() -> None:
    """What comes for another subscription of the same client would look like a gap."""
    joined = Joined(BEGINNING)
    assert joined.come(90) == 0
    joined.position.announce(info(0, recovered=True))
    assert joined.come(0, 3) == 3
    joined.position.leave()
    assert joined.come(91) == 0
    joined.position.join()
    assert joined.come(91) == 0
    joined.position.announce(info(3, recovered=True))
    assert joined.come(3) == 1
    assert joined.gaps == []


def test_another_view_goes_on_and_may_bring_the_last_version_once_more() -> None:
    joined = Joined()
    view = replace(info(0, kind=STATE), lowered=False)
    joined.position.announce(view)
    assert joined.come(0, 4, kind=STATE) == 4
    joined.position.announce(replace(view, id=8, since=6, lowered=True))
    assert joined.position.lowered == {"wf/x"}
    assert joined.come(6, kind=STATE) == 1
    joined.position.announce(replace(view, id=8, since=3, lowered=True))
    assert joined.come(6, kind=STATE) == 0
    joined.position.announce(replace(view, id=9, since=6, lowered=False))
    assert joined.come(6, kind=STATE) == 1
    assert joined.position.lowered == frozenset()
    assert joined.counts == Counts(delivered=6, conflated=2)
    joined.position.announce(replace(view, id=10, since=7, lowered=True))
    assert joined.reconnect(replace(view, since=6, recovered=True)) == {"wf/x": (1, 6)}
    assert joined.come(6, kind=STATE) == 1
    assert joined.position.lowered == frozenset()


def test_a_version_that_was_asked_for_again_may_come_by_another_view() -> None:
    joined = Joined()
    view = replace(info(0, kind=STATE), lowered=False)
    joined.position.announce(view)
    assert joined.position.record_failure("wf/x", 1, 0, 1, again=True) == 1
    joined.position.announce(replace(view, id=8, since=1, lowered=True))
    assert joined.come(0, kind=STATE) == 1
    assert joined.come(0, kind=STATE) == 0


def test_what_comes_from_history_is_counted() -> None:
    joined = Joined(BEGINNING)
    joined.position.announce(info(0, recovered=True))
    joined.position.replay("wf/x", 0, 4)
    assert joined.come(0, 3) == 3
    assert joined.come(2, 5) == 4
    assert joined.come(7) == 1
    assert joined.counts == Counts(delivered=8, replayed=5)


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 5)), max_size=30))
def test_every_offset_is_given_once_or_lost_once(items: list[tuple[int, int]]) -> None:
    joined = Joined(0)
    joined.position.announce(info(0, recovered=True))
    given_offsets: list[int] = []
    for offset, count in items:
        fresh = joined.come(offset, count)
        given_offsets += range(offset + count - fresh, offset + count)
    lost = [offset for gap in joined.gaps for offset in range(gap.first, gap.last + 1)]
    assert sorted(given_offsets + lost) == list(range(max([offset + count for offset, count in items], default=0)))
    assert given_offsets == sorted(given_offsets)


def test_of_messages_that_come_with_one_that_was_asked_for_again_only_that_one_had_failed() -> None:
    joined = Joined()
    joined.come(4)
    joined.position.record_failure("wf/x", 1, 5, 1, again=True)
    (stream,) = joined.position
    assert (stream.failed, stream.delivered) == (1, 2)
    assert joined.come(5, 4) == 4
    assert (stream.failed, stream.delivered, stream.duplicates) == (0, 5, 0)


def test_a_stream_that_has_ended_starts_anew_and_its_account_goes_on() -> None:
    ended: list[StreamEnded] = []
    position = SubscriptionPosition(None, None, ended.append)
    position.ask()
    position.join()
    position.announce(info(0))
    position.record_arrival("wf/x", EVENT, 1, 0, 5)
    end = StreamEnded("wf/x", 1, "deleted")
    position.end(end, 7)
    assert ended == [end]
    assert position.id_of("wf/x") is None
    position.announce(replace(info(0, epoch=2, kind=STATE), id=9))
    assert position.record_arrival("wf/x", STATE, 2, 3, 1) == 0
    assert position.counts["wf/x"] == Counts(delivered=6, conflated=3)


def test_the_end_of_an_earlier_stream_of_the_name_changes_nothing() -> None:
    position = SubscriptionPosition(None, None)
    position.ask()
    position.join()
    position.announce(info(0))
    position.announce(replace(info(0, epoch=2), id=9))
    position.end(StreamEnded("wf/x", 1, "deleted"), 7)
    assert position.record_arrival("wf/x", EVENT, 2, 0, 1) == 0


def test_messages_of_an_earlier_stream_of_the_name_that_has_not_ended_leave_the_position() -> None:
    position = SubscriptionPosition(None, None)
    position.ask()
    position.join()
    position.announce(info(0))
    position.record_arrival("wf/x", EVENT, 1, 0, 5)
    position.announce(replace(info(0, epoch=2, kind=STATE), id=9))
    assert position.record_arrival("wf/x", EVENT, 1, 5, 2) == 0
    assert position.record_arrival("wf/x", STATE, 2, 3, 1) == 0
    position.end(StreamEnded("wf/x", 1, "deleted"), 7)
    assert position.counts["wf/x"] == Counts(delivered=8, conflated=3)
    position.leave()
    parts = position.ask()
    assert parts is not None
    assert [part.position for part in parts] == [(2, 4)]


def test_of_very_many_streams_that_have_ended_only_the_sums_are_kept() -> None:
    position = SubscriptionPosition(None, None)
    position.ask()
    position.join()
    for number in range(MAX_ENDED + 10):
        name = f"wf/{number}"
        position.announce(replace(info(0, stream=name), id=number))
        position.record_arrival(name, EVENT, 1, 0, 2)
        position.end(StreamEnded(name, 1, "expired"), number)
    assert len(position.counts) == MAX_ENDED
    assert sum(stream.delivered for stream in position) == 2 * (MAX_ENDED + 10)
    position.announce(info(0, stream="wf/0"))
    position.announce(replace(info(0, stream="wf/new"), id=3))
    position.end(StreamEnded("wf/new", 1, "expired"), 3)
    assert len(position.counts) == MAX_ENDED + 1


def test_of_streams_that_ended_on_earlier_connections_the_last_ones_are_kept() -> None:
    position = SubscriptionPosition(None, None)
    ended = 0
    for _ in range(3):
        position.leave()
        position.ask()
        position.join()
        for number in range(ended, ended + MAX_ENDED // 2 + 1):
            position.announce(replace(info(0, stream=f"wf/{number}"), id=number))
            position.record_arrival(f"wf/{number}", EVENT, 1, 0, 2)
            position.end(StreamEnded(f"wf/{number}", 1, "expired"), number)
        ended += MAX_ENDED // 2 + 1
    position.leave()
    assert list(position.counts) == [f"wf/{number}" for number in range(ended - MAX_ENDED, ended)]
    assert sum(stream.delivered for stream in position) == 2 * ended


def resumed(names: Sequence[str]) -> SubscriptionPosition:
    """A position of a connection on which these streams were announced, which has asked on the next one."""
    position = SubscriptionPosition(None, None)
    position.ask()
    position.join()
    for number, name in enumerate(names):
        position.announce(replace(info(0, stream=name), id=number))
        position.record_arrival(name, EVENT, 1, 0, 2)
    ask_again(position)
    return position


def ask_again(position: SubscriptionPosition) -> list[str]:
    """Lose the connection, and return the streams that the next SUBSCRIBE names."""
    position.leave()
    parts = position.ask()
    assert parts is not None
    return [part.stream for part in parts]


def test_streams_that_ended_without_a_connection_are_told_when_all_others_are_announced() -> None:
    gone: list[tuple[str, int]] = []
    position = resumed(["wf/a", "wf/b", "wf/c", "wf/d"])
    position.join(2, gone.extend)
    position.announce(info(2, stream="wf/a"))
    position.announce(info(0, stream="wf/d", epoch=2))  # ended as well, and begun anew
    position.announce(info(0, stream="wf/new", epoch=3))
    assert not gone
    position.announce(info(2, stream="wf/c"))
    assert gone == [("wf/b", 1)]
    position.announce(info(2, stream="wf/c"))
    assert gone == [("wf/b", 1)]
    assert set(position.counts) == {"wf/a", "wf/b", "wf/c", "wf/d", "wf/new"}


def test_positions_in_streams_that_ended_without_a_connection_have_a_bound() -> None:
    many = MAX_ENDED + 10
    position = resumed([f"wf/{number}" for number in range(many)])
    position.join(0)
    assert len(position.counts) == many
    named = ask_again(position)
    assert named == [f"wf/{number}" for number in range(10, many)]
    assert sum(stream.delivered for stream in position) == 2 * many


@pytest.mark.parametrize("answer", ["none", "no number", "a stream is missing"])
def test_no_position_is_forgotten_before_all_streams_that_exist_are_announced(answer: str) -> None:
    names = [f"wf/{number}" for number in range(MAX_ENDED + 10)]
    position = resumed(names)
    if answer != "none":
        position.join(None if answer == "no number" else 2)
        position.announce(info(2, stream=names[0]))
    assert ask_again(position) == names


def test_the_end_of_what_was_received_is_known_of_the_stream_that_the_connection_announced() -> None:
    joined = Joined()
    assert joined.position.end_of("wf/x", 1) is None
    joined.position.announce(info(3))
    assert joined.position.end_of("wf/x", 1) == (7, 3)
    joined.come(3, count=2)
    assert joined.position.end_of("wf/x", 1) == (7, 5)
    assert joined.position.end_of("wf/x", 2) is None
    joined.position.leave()
    assert joined.position.end_of("wf/x", 1) is None
