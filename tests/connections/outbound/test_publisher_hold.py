"""For which streams publishers wait for one receiver, and when it counts as slow."""

from __future__ import annotations

import pytest

from gateway.connections.outbound.publisher_hold import HoldChange, PublisherHold
from gateway.ids import Epoch, StreamId, StreamName
from gateway.protocol.messages import Kind
from gateway.streams.stream import Stream

ONE, TWO = [Stream(StreamId(number), StreamName(f"wf/{number}"), Kind.EVENT, Epoch(1)) for number in (1, 2)]


@pytest.fixture
def hold() -> PublisherHold:
    return PublisherHold(max_hold_s=5.0, least_bytes=100)


def test_publishers_wait_from_the_first_report_to_the_last(hold: PublisherHold) -> None:
    assert hold.update([ONE], 0, 1.0) == HoldChange([ONE], [])
    assert hold.update([ONE, TWO], 0, 2.0) == HoldChange([TWO], [])
    assert hold.update([TWO], 0, 3.0) == HoldChange([], [ONE])
    assert hold.update([], 0, 4.0) == HoldChange([], [TWO])
    assert not hold.behind


def test_who_takes_too_little_counts_as_slow_until_it_has_caught_up_once(hold: PublisherHold) -> None:
    hold.update([ONE], 1000, 1.0)
    assert hold.check(1000, 4.0) == 2.0
    assert hold.check(1099, 6.0) is None
    assert hold.slow
    assert hold.update([ONE], 1099, 6.0) == HoldChange([], [ONE])
    # However often more comes, no publisher waits for it again.
    assert hold.update([ONE, TWO], 1099, 7.0) == HoldChange([], [])
    assert hold.check(1099, 20.0) is None
    hold.update([], 5000, 30.0)
    assert hold.update([TWO], 5000, 31.0) == HoldChange([TWO], [])
    assert hold.check(5000, 32.0) == 4.0


def test_who_takes_enough_is_waited_for_however_long_it_takes(hold: PublisherHold) -> None:
    hold.update([ONE], 0, 0.0)
    for step in range(1, 10):
        assert hold.check(100 * step, 5.0 * step) == 5.0
    assert not hold.slow


def test_there_is_nothing_to_check_of_a_receiver_that_is_not_behind(hold: PublisherHold) -> None:
    assert hold.check(0, 100.0) is None
    hold.update([ONE], 0, 100.0)
    hold.update([], 0, 101.0)
    assert hold.check(0, 200.0) is None
    assert not hold.slow


def test_where_publishers_do_not_wait_every_receiver_counts_as_slow() -> None:
    hold = PublisherHold(max_hold_s=0.0, least_bytes=100)
    for behind in ([ONE], [], [TWO]):
        assert hold.slow
        assert hold.update(behind, 0, 1.0) == HoldChange([], [])
    assert hold.slow
