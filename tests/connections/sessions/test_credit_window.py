"""What a receiver still takes."""

from __future__ import annotations

import pytest

from gateway.connections.sessions.credit_window import (
    WINDOW_BYTES,
    WINDOW_MESSAGES,
    WOKEN,
    CreditWindow,
    allowed,
    pass_on,
)


class Waiting:
    """Counts how often it is woken."""

    def __init__(self) -> None:
        self.woken = 0

    def wake(self) -> None:
        self.woken += 1


def test_messages_and_bytes_are_used_up() -> None:
    credit = CreditWindow(2, 100, replenished=False)
    assert credit.allows(100)
    credit.take(60)
    assert not credit.allows(41)
    assert credit.allows(40)
    credit.take(40)
    assert not credit.allows(0)


def test_what_is_done_is_granted_again_by_the_receiver_only_or_at_once() -> None:
    granted, window = CreditWindow(1, 10, replenished=False), CreditWindow(1, 10, replenished=True)
    for credit in (granted, window):
        credit.take(10)
        credit.settle(10)
    assert not granted.allows(1)
    assert window.allows(10)
    granted.add(1, 5)
    assert granted.allows(5)


def test_a_message_larger_than_what_is_left_passes_alone_and_is_made_up_for() -> None:
    credit = CreditWindow(10, 100, replenished=False)
    credit.take(60)
    assert not credit.allows(500)
    credit.settle(60)
    assert credit.allows(500)
    credit.take(500)
    credit.settle(500)
    assert credit.nbytes == -460
    assert not credit.allows(0)
    credit.add(1, 460)
    assert credit.allows(0)
    assert not credit.allows(1)


@pytest.mark.parametrize("more", ["add", "settle"])
def test_who_waits_is_woken_once(more: str) -> None:
    credit, waiting = CreditWindow(1, 10, replenished=True), Waiting()
    credit.take(10)
    credit.wait(waiting)
    credit.wait(waiting)
    for _ in range(2):
        if more == "add":
            credit.add(1, 1)
        else:
            credit.settle(10)
    assert waiting.woken == 1


def test_who_names_none_has_a_window() -> None:
    credit = CreditWindow.window()
    assert (credit.messages, credit.nbytes) == (WINDOW_MESSAGES, WINDOW_BYTES)
    credit.take(5)
    credit.settle(5)
    assert (credit.messages, credit.nbytes) == (WINDOW_MESSAGES, WINDOW_BYTES)


def test_one_message_that_is_done_wakes_one_of_many_that_wait() -> None:
    credit = CreditWindow(1, 10, replenished=True)
    credit.take(1)
    senders = [Waiting() for _ in range(1000)]
    for sender in senders:
        assert not allowed((credit,), 1, sender)
    credit.settle(1)
    assert [sender.woken for sender in senders] == [1, *[0] * 999]


def test_whoever_leaves_credit_wakes_another_one_until_nobody_waits() -> None:
    credit, other = CreditWindow(0, 10, replenished=False), CreditWindow(1, 10, replenished=False)
    senders = [Waiting() for _ in range(2 * WOKEN)]
    for sender in senders:
        assert not allowed((other, credit), 0, sender)
    credit.add(1000, 0)
    assert sum([sender.woken for sender in senders]) == WOKEN
    for sender in senders[:WOKEN]:
        pass_on((credit,), sender)
    assert [sender.woken for sender in senders] == [1] * len(senders)


def test_a_sender_that_waits_again_leaves_the_credit_to_nobody() -> None:
    credit = CreditWindow(0, 10, replenished=False)
    large, small = Waiting(), Waiting()
    for sender in (large, small):
        assert not allowed((credit,), 0, sender)
    credit.add(1, 0)
    credit.take(20)
    assert not allowed((credit,), 5, large)
    pass_on((credit,), large)
    assert (large.woken, small.woken) == (1, 0)


def test_a_sender_that_is_gone_leaves_its_credit_to_another_one() -> None:
    credit = CreditWindow(0, 10, replenished=False)
    first, second = Waiting(), Waiting()
    for sender in (first, second):
        credit.wait(sender)
    credit.add(1, 0)
    credit.leave(first)
    assert (first.woken, second.woken) == (1, 1)
    credit.wait(first)
    credit.leave(first)
    credit.add(1, 0)
    assert first.woken == 1
