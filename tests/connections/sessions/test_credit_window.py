"""What a receiver still takes."""

from __future__ import annotations

import pytest

from gateway.connections.sessions.credit_window import WINDOW_BYTES, WINDOW_MESSAGES, CreditWindow


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
