"""Tests what a subscription learns from offsets."""

from gateway.client.cursor import Cursor, Step


def test_the_first_message_skips_nothing_wherever_it_stands() -> None:
    assert Cursor().advance(1, 100, 1) == Step(0, 0)


def test_the_next_one_skips_nothing_either() -> None:
    cursor = Cursor()
    cursor.advance(1, 100, 5)
    assert cursor.advance(1, 105, 1) == Step(0, 0)


def test_a_jump_is_told() -> None:
    cursor = Cursor()
    cursor.advance(1, 0, 1)
    assert cursor.advance(1, 4, 1) == Step(3, 0)


def test_what_was_seen_is_told_and_does_not_move_it_back() -> None:
    cursor = Cursor()
    cursor.advance(1, 0, 10)
    assert cursor.advance(1, 9, 1) == Step(0, 1)
    assert cursor.advance(1, 10, 1) == Step(0, 0)


def test_another_epoch_starts_anew() -> None:
    cursor = Cursor()
    cursor.advance(1, 50, 1)
    assert cursor.advance(2, 0, 1) == Step(0, 0)
    assert cursor.advance(2, 1, 1) == Step(0, 0)


def test_a_batch_may_overlap_what_was_seen() -> None:
    cursor = Cursor()
    cursor.advance(1, 0, 10)
    assert cursor.advance(1, 7, 5) == Step(0, 3)
    assert cursor.advance(1, 3, 2) == Step(0, 2)
    assert cursor.advance(1, 12, 1) == Step(0, 0)
