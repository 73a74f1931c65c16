"""Invariant: of the positions that were named, the last ones are known, each as it was named last."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.protocol.named_positions import remember
from gateway.protocol.signals import ProgramPosition
from gateway.protocol.wire import KNOWN_POSITIONS

named = st.lists(st.builds(ProgramPosition, st.integers(0, 9), st.integers(0, 2), st.integers(0, 99)), max_size=20)


@given(st.lists(named, max_size=5))
def test_each_stream_has_the_position_named_last_and_those_that_have_caught_up_have_none(
    reports: list[list[ProgramPosition]],
) -> None:
    known: dict[int, ProgramPosition] = {}
    for report in reports:
        remember(known, report)
    last = {position.stream: position for report in reports for position in report}
    assert known == {stream: position for stream, position in last.items() if position.behind}


def test_those_named_longest_ago_are_forgotten() -> None:
    known: dict[int, ProgramPosition] = {}
    remember(known, [ProgramPosition(stream, 1, 0) for stream in range(KNOWN_POSITIONS)])
    remember(known, [ProgramPosition(0, 2, 0), ProgramPosition(KNOWN_POSITIONS, 1, 0)])
    assert list(known) == [*range(2, KNOWN_POSITIONS), 0, KNOWN_POSITIONS]
