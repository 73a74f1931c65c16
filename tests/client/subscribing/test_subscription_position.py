"""Where a subscription stands: what it asks for, and what it is told of messages that came, came twice or were lost."""

from __future__ import annotations

from dataclasses import dataclass, field

import hypothesis.strategies as st
from hypothesis import given

from gateway.client.subscribing.subscription_position import Gap, SubscriptionPosition
from gateway.errors import Code
from gateway.protocol.messages import BEGINNING, Counts, Kind, Since, StreamInfo

EVENT, STATE = Kind.EVENT, Kind.STATE


def info(
    since: int | None, recovered: bool | None = None, epoch: int = 1, kind: Kind = EVENT, stream: str = "wf/x"
) -> StreamInfo:
    return StreamInfo(7, stream, kind, epoch, 100, since=since, recovered=recovered)


@dataclass
class Stand:
    """A standing on its first connection, and the gaps that it told."""

    since: Since | None = None
    gaps: list[Gap] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.standing = SubscriptionPosition(self.since, self.gaps.append)
        self.standing.ask()
        self.standing.join()

    def come(self, offset: int, count: int = 1, epoch: int = 1, kind: Kind = EVENT) -> int:
        """How many of the messages are given to the program."""
        return count - self.standing.pass_by("wf/x", kind, epoch, offset, count)

    def lost(self, first: int, last: int) -> bool:
        """Whether that is the only gap that was told."""
        return self.gaps == [Gap("wf/x", Code.HISTORY_LOST, first, last)]

    def reconnect(self, answer: StreamInfo) -> Since | None:
        """What it asks for on the next connection, which answers so."""
        self.standing.leave()
        wanted, _ = self.standing.ask()
        self.standing.join()
        self.standing.announce(answer)
        return wanted

    @property
    def counts(self) -> Counts:
        """The account of the one stream."""
        return self.standing.counts["wf/x"]


def test_it_asks_for_what_the_program_wants_and_then_for_what_it_missed() -> None:
    stand = Stand(BEGINNING)
    assert SubscriptionPosition(BEGINNING, None).ask() == (BEGINNING, None)
    stand.standing.announce(info(0, recovered=True))
    assert stand.come(0, 5) == 5
    assert stand.reconnect(info(5, recovered=True)) == {"wf/x": (1, 5)}
    assert stand.come(5) == 1
    assert (stand.gaps, stand.counts) == ([], Counts(6, 0, 0, 0, 0))


def test_what_history_has_lost_is_a_gap() -> None:
    stand = Stand()
    stand.standing.announce(info(3))
    assert stand.come(3) == 1
    stand.reconnect(info(9, recovered=False))
    assert stand.lost(4, 8)
    assert stand.come(9) == 1
    assert stand.counts.dropped == 5


def test_a_stream_of_which_nothing_came_is_resumed_as_well() -> None:
    stand = Stand()
    stand.standing.announce(info(3))
    assert stand.reconnect(info(3, recovered=True)) == {"wf/x": (1, 3)}
    assert stand.come(4) == 1
    assert stand.gaps == [Gap("wf/x", Code.QUEUE_FULL, 3, 3)]


def test_an_offset_that_history_has_lost() -> None:
    stand = Stand(2)
    stand.standing.announce(info(6, recovered=False))
    assert stand.lost(2, 5)


def test_a_position_in_another_incarnation() -> None:
    stand = Stand({"wf/x": (1, 50)})
    stand.standing.announce(info(4, recovered=False, epoch=2))
    assert stand.lost(0, 3)
    assert stand.come(4, epoch=2) == 1


def test_a_stream_that_began_anew_while_it_was_away() -> None:
    stand = Stand()
    stand.standing.announce(info(50))
    stand.come(50)
    stand.reconnect(info(0, recovered=False, epoch=2))
    assert stand.come(0, epoch=2) == 1
    assert stand.gaps == []


def test_of_a_state_what_lies_between_was_conflated() -> None:
    stand = Stand()
    stand.standing.announce(info(3, kind=STATE))
    assert stand.come(3, kind=STATE) == 1
    stand.reconnect(info(9, recovered=True, kind=STATE))
    assert stand.come(9, kind=STATE) == 1
    assert (stand.counts, stand.gaps) == (Counts(2, 5, 0, 0, 0), [])


def test_of_a_new_incarnation_of_a_state_what_came_before_was_conflated() -> None:
    stand = Stand()
    stand.standing.announce(info(3, kind=STATE))
    stand.come(3, kind=STATE)
    stand.reconnect(info(7, recovered=False, epoch=2, kind=STATE))
    assert stand.come(7, epoch=2, kind=STATE) == 1
    assert stand.counts.conflated == 7


def test_nothing_is_taken_before_its_own_start_is_known() -> None:
    """What comes for another subscription of the same client would look like a gap."""
    stand = Stand(BEGINNING)
    assert stand.come(90) == 0
    stand.standing.announce(info(0, recovered=True))
    assert stand.come(0, 3) == 3
    stand.standing.leave()
    assert stand.come(91) == 0
    stand.standing.join()
    assert stand.come(91) == 0
    stand.standing.announce(info(3, recovered=True))
    assert stand.come(3) == 1
    assert stand.gaps == []


def test_what_comes_from_history_is_counted() -> None:
    stand = Stand(BEGINNING)
    stand.standing.announce(info(0, recovered=True))
    stand.standing.replay("wf/x", 0, 4)
    assert stand.come(0, 3) == 3
    assert stand.come(2, 5) == 4
    assert stand.come(7) == 1
    assert stand.counts == Counts(delivered=8, replayed=5)


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 5)), max_size=30))
def test_every_offset_is_given_once_or_lost_once(items: list[tuple[int, int]]) -> None:
    stand = Stand(0)
    stand.standing.announce(info(0, recovered=True))
    given_offsets: list[int] = []
    for offset, count in items:
        fresh = stand.come(offset, count)
        given_offsets += range(offset + count - fresh, offset + count)
    lost = [offset for gap in stand.gaps for offset in range(gap.first, gap.last + 1)]
    assert sorted(given_offsets + lost) == list(range(max([offset + count for offset, count in items], default=0)))
    assert given_offsets == sorted(given_offsets)


def test_of_messages_that_come_with_one_that_was_asked_for_again_only_that_one_had_failed() -> None:
    stand = Stand()
    stand.come(4)
    stand.standing.pass_failed("wf/x", 1, 5, 1, again=True)
    (stream,) = stand.standing
    assert (stream.failed, stream.delivered) == (1, 2)
    assert stand.come(5, 4) == 4
    assert (stream.failed, stream.delivered, stream.duplicates) == (0, 5, 0)
