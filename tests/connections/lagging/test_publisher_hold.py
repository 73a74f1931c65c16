"""How long publishers wait for one receiver, and when it counts as slow."""

from __future__ import annotations

import pytest

from gateway.connections.lagging.publisher_hold import PublisherHold


@pytest.fixture
def hold() -> PublisherHold:
    return PublisherHold(max_hold_s=5.0, least_bytes=100)


def states_of(hold: PublisherHold) -> tuple[bool, bool]:
    return hold.behind, hold.slow


def test_a_receiver_is_behind_until_it_has_caught_up(hold: PublisherHold) -> None:
    seen = [states_of(hold)]
    for behind in (True, True, False, False):
        hold.update(0, 1.0, behind=behind)
        seen.append(states_of(hold))
    assert seen == [(False, False), (True, False), (True, False), (False, False), (False, False)]


def test_who_takes_too_little_counts_as_slow_until_it_has_caught_up_once(hold: PublisherHold) -> None:
    hold.update(1000, 1.0, behind=True)
    assert hold.check(1000, 4.0) == 2.0
    assert hold.check(1099, 6.0) is None
    assert hold.slow
    # However often more comes, no publisher waits for it again.
    hold.update(1099, 7.0, behind=True)
    assert states_of(hold) == (True, True)
    assert hold.check(1099, 20.0) is None
    hold.update(5000, 30.0, behind=False)
    hold.update(5000, 31.0, behind=True)
    assert states_of(hold) == (True, False)
    assert hold.check(5000, 32.0) == 4.0


def test_who_takes_enough_is_waited_for_however_long_it_takes(hold: PublisherHold) -> None:
    hold.update(0, 0.0, behind=True)
    for step in range(1, 10):
        assert hold.check(100 * step, 5.0 * step) == 5.0
    assert not hold.slow


def test_there_is_nothing_to_check_of_a_receiver_that_is_not_behind(hold: PublisherHold) -> None:
    assert hold.check(0, 100.0) is None
    hold.update(0, 100.0, behind=True)
    hold.update(0, 101.0, behind=False)
    assert hold.check(0, 200.0) is None
    assert not hold.slow


def test_where_publishers_do_not_wait_every_receiver_counts_as_slow() -> None:
    hold = PublisherHold(max_hold_s=0.0, least_bytes=100)
    for behind in (True, False, True):
        assert hold.slow
        hold.update(0, 1.0, behind=behind)
    assert hold.slow
