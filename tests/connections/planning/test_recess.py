"""Recess: time without plans behind failures, which doubles up to a bound, and is short again behind a good time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.connections.planning.recess import FIRST_RECESS_S, LAST_RECESS_S, Recess


def test_failures_one_behind_the_other_have_recesses_twice_as_long_each_time() -> None:
    recess, now_s, lengths = Recess(), 100.0, []
    for _ in range(10):
        recess = recess.after_failure(now_s)
        lengths.append(recess.length_s)
        assert recess.left_s(now_s) == recess.length_s
        now_s = recess.until_s
        assert not recess.left_s(now_s)
    assert lengths == [60, 120, 240, 480, 960, 1920, 3600, 3600, 3600, 3600]
    assert recess.failures == 10


def test_a_failure_behind_a_good_time_is_a_first_one_again() -> None:
    recess = Recess().after_failure(0.0).after_failure(60.0)
    assert not recess.is_first
    assert not recess.after_failure(recess.until_s + recess.length_s - 1).is_first
    later = recess.after_failure(recess.until_s + recess.length_s)
    assert later.is_first
    assert later.failures == 3


@given(st.lists(st.floats(0, 2 * LAST_RECESS_S)))
def test_a_recess_is_never_longer_than_its_bound_nor_shorter_than_the_first(spans_s: list[float]) -> None:
    recess, now_s = Recess(), 0.0
    assert not recess.left_s(now_s)
    for span_s in spans_s:
        now_s = recess.until_s + span_s
        recess = recess.after_failure(now_s)
        assert FIRST_RECESS_S <= recess.length_s <= LAST_RECESS_S
