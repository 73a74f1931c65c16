"""Rest: time without plans behind failures, which doubles up to a bound, and is short again behind a good time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.connections.planning.rest import FIRST_REST_S, LAST_REST_S, Rest


def test_failures_one_behind_the_other_rest_for_twice_as_long_each_time() -> None:
    rest, now_s, lengths = Rest(), 100.0, []
    for _ in range(10):
        rest = rest.after_failure(now_s)
        lengths.append(rest.length_s)
        assert rest.left_s(now_s) == rest.length_s
        now_s = rest.until_s
        assert not rest.left_s(now_s)
    assert lengths == [60, 120, 240, 480, 960, 1920, 3600, 3600, 3600, 3600]
    assert rest.failures == 10


def test_a_failure_behind_a_good_time_is_a_first_one_again() -> None:
    rest = Rest().after_failure(0.0).after_failure(60.0)
    assert not rest.is_first
    assert not rest.after_failure(rest.until_s + rest.length_s - 1).is_first
    later = rest.after_failure(rest.until_s + rest.length_s)
    assert later.is_first
    assert later.failures == 3


@given(st.lists(st.floats(0, 2 * LAST_REST_S)))
def test_a_rest_is_never_longer_than_its_bound_nor_shorter_than_the_first(spans_s: list[float]) -> None:
    rest, now_s = Rest(), 0.0
    assert not rest.left_s(now_s)
    for span_s in spans_s:
        now_s = rest.until_s + span_s
        rest = rest.after_failure(now_s)
        assert FIRST_REST_S <= rest.length_s <= LAST_REST_S
