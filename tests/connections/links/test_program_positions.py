"""Positions of a program are those that it can have, in streams that it receives, and of thousands the last ones."""

from __future__ import annotations

from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from gateway.connections.links.program_positions import ProgramPositions
from gateway.protocol.signals import ProgramPosition
from gateway.protocol.wire import KNOWN_POSITIONS, MAX_POSITIONS

OFFSETS = {7: 20, 8: 1000}


def taken(*reports: list[ProgramPosition]) -> ProgramPositions:
    positions = ProgramPositions()
    for report in reports:
        positions.take(report, OFFSETS.get)
    return positions


def test_a_program_is_behind_until_it_says_otherwise() -> None:
    behind, further = ProgramPosition(7, 3, 15), ProgramPosition(8, 200, 100)
    positions = taken([behind, further])
    assert list(positions) == [behind, further]
    assert positions.most_behind == 200
    assert positions.furthest(1) == [further]
    positions.take([ProgramPosition(8, 0, 300)], OFFSETS.get)
    assert list(positions) == [behind]
    assert positions.most_behind == 3
    positions.take([ProgramPosition(7, 5, 15)], OFFSETS.get)
    assert list(positions) == [ProgramPosition(7, 5, 15)]


def test_streams_that_it_does_not_receive_are_left_out_also_when_it_leaves_them_later() -> None:
    assert list(taken([ProgramPosition(9, 3, 15)])) == []
    positions = taken([ProgramPosition(7, 3, 15)])
    positions.take([ProgramPosition(8, 0, 0)], {8: 1000}.get)
    assert (list(positions), positions.most_behind) == ([], 0)


def test_it_cannot_be_behind_what_was_never_published() -> None:
    assert list(taken([ProgramPosition(7, 100, 15)])) == [ProgramPosition(7, 5, 15)]
    assert list(taken([ProgramPosition(7, 100, 20), ProgramPosition(8, 1, 2**64 - 1)])) == []


def test_those_named_last_are_kept() -> None:
    positions = ProgramPositions()
    for first in range(0, 2 * KNOWN_POSITIONS, MAX_POSITIONS):
        numbers = range(first, first + MAX_POSITIONS)
        positions.take([ProgramPosition(number, 1, 0) for number in numbers], lambda stream: 10)
    positions.take([ProgramPosition(KNOWN_POSITIONS, 2, 0)], lambda stream: 10)
    kept = [position.stream for position in positions]
    assert kept == [*range(KNOWN_POSITIONS + 1, 2 * KNOWN_POSITIONS), KNOWN_POSITIONS]


def test_streams_that_have_ended_here_count_until_the_client_has_heard_of_it() -> None:
    """Else the client would forget another position, and never name that again."""
    offsets, positions = dict.fromkeys(range(KNOWN_POSITIONS + 1), 10), ProgramPositions()

    def take(numbers: Iterable[int], behind: int = 1) -> None:
        positions.take([ProgramPosition(number, behind, 0) for number in numbers], offsets.get)

    take(range(KNOWN_POSITIONS))
    del offsets[KNOWN_POSITIONS - 1]
    take([KNOWN_POSITIONS])
    take([KNOWN_POSITIONS - 1], behind=0)
    assert [position.stream for position in positions] == [*range(1, KNOWN_POSITIONS - 1), KNOWN_POSITIONS]


numbers = st.integers(0, 2**32 - 1)
reports = st.lists(st.builds(ProgramPosition, st.integers(6, 9) | numbers, numbers, st.integers(0, 2**64 - 1)))


@given(st.lists(reports))
def test_whatever_is_named_positions_are_within_what_was_given(named: list[list[ProgramPosition]]) -> None:
    positions = taken(*named)
    assert len(positions) <= len(OFFSETS)
    for stream, behind, offset in positions:
        assert 0 < behind <= OFFSETS[stream] - offset
        assert behind <= positions.most_behind
