"""Who published what: as bytes and back, and of a state also what is not there any more."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.streams.run import Origin
from gateway.streams.sqlite.origins import MAX_PAST, continued, pack, unpack

numbers = st.integers(0, 2**64 - 1)
publishes = st.lists(st.tuples(st.integers(1, 3), st.integers(0, 2), st.integers(0, 1)), max_size=30)


@given(st.lists(st.builds(Origin, numbers, numbers, numbers, numbers)))
def test_what_was_packed_is_unpacked(origins: list[Origin]) -> None:
    packed = pack(origins)
    assert list(unpack(packed or b"")) == origins
    assert list(unpack((packed or b"") * 2)) == origins * 2


def test_nothing_is_packed_as_nothing() -> None:
    assert pack([]) is None


@given(publishes)
def test_joined_ranges_say_of_each_message_the_same(published: list[tuple[int, int, int]]) -> None:
    """By count, producer, and sequences that are left out before."""
    origins: list[Origin] = []
    following = [1, 1, 1]
    offset = 0
    for count, producer, left_out in published:
        following[producer] += left_out
        origins.append(Origin(offset, count, producer, following[producer]))
        following[producer] += count
        offset += count
    joined: list[Origin] = []
    for origin in origins:
        joined = continued(joined, [origin])
    assert joined == continued([], origins)
    assert places(joined) == places(origins)


def places(origins: list[Origin]) -> dict[tuple[int, int], int]:
    """By producer and sequence, the offset."""
    return {
        (origin.producer, origin.sequence + index): origin.first + index
        for origin in origins
        for index in range(origin.count)
    }


def test_one_publisher_takes_one_range_and_of_many_the_last_are_kept() -> None:
    assert continued([], [Origin(n, 1, 7, n + 1) for n in range(1000)]) == [Origin(0, 1000, 7, 1)]
    in_turns = [Origin(n, 1, n % 2, n // 2) for n in range(1000)]
    assert continued([], in_turns) == in_turns[-MAX_PAST:]
