"""What the board makes of messages."""

import numpy as np
import pytest

from gateway.demo import streams
from gateway.demo.board import WINDOW_S, Board
from gateway.protocol.messages import Kind
from tests.cli.messages import message


def test_counts_and_rates() -> None:
    board = Board()
    for number in range(31):
        board.receive(message(offset=number), number / 10)
    row = board.rows["wf/x"]
    assert (row.messages, row.bytes, row.offset, row.tensors) == (31, 31 * 24, 30, "float32[2, 3]")
    assert row.latency_s == pytest.approx(0.002)
    assert row.rates(3.0) == (10.0, 240.0)
    assert board.rates(3.0) == (10.0, 240.0)
    assert board.rates(3.0 + WINDOW_S) == (0.0, 0.0)


def test_a_young_stream_has_the_rate_since_it_began() -> None:
    board = Board()
    for moment in (10.0, 10.5, 11.0, 11.5):
        board.receive(message(), moment)
    assert board.rates(12.0)[0] == 2.0


def test_conflation_is_counted_for_state_only() -> None:
    board = Board()
    for offset in (3, 4, 9):
        board.receive(message("wf/state", offset=offset), 0.0)
        board.receive(message("wf/event", offset=offset, kind=Kind.EVENT), 0.0)
    board.receive(message("wf/state", offset=50, epoch=2), 0.0)
    assert board.rows["wf/state"].conflated == board.conflated == 4


def test_curves_and_numbers() -> None:
    board = Board()
    board.receive(message(streams.LOSS, {"": np.array(0.5, np.float32)}, kind=Kind.EVENT), 0.0)
    board.receive(message(streams.ACCURACY, {"": np.array(0.75)}, kind=Kind.EVENT), 0.0)
    board.receive(message(streams.CONFUSION, {"": np.eye(10, dtype=np.int64)}), 0.0)
    weights = {"w1": np.zeros((2, 3), np.float32), "b1": np.zeros(3, np.float32)}
    board.receive(message(streams.WEIGHTS, weights, headers={"run": 2, "step": 9, "ratio": 1.5}), 0.0)
    board.receive(message(streams.WEIGHTS, weights, headers={"run": 2, "step": 10}, offset=8), 0.0)
    assert (list(board.losses), list(board.accuracies), board.run, board.step) == ([0.5], [0.75], 2, 10)
    assert board.confusion is not None
    assert board.confusion.sum() == 10
    assert (board.rows[streams.WEIGHTS].ratio, board.rows[streams.WEIGHTS].tensors) == (1.5, "float32[2, 3] +1")
    assert board.summary(0.5).startswith("run 2 step 10  loss 0.5000  accuracy 75.0%  4 streams  5 msg/s  ")
    assert board.total() == "5 messages of 4 streams, 0.0 MB, best accuracy 75.0%"


def test_an_empty_board() -> None:
    board = Board()
    assert board.summary(0.0).startswith("run 0 step 0  loss -  accuracy -  0 streams  0 msg/s")
    assert board.total() == "0 messages of 0 streams, 0.0 MB"


def test_a_message_without_tensors() -> None:
    board = Board()
    board.receive(message(tensors={}), 0.0)
    assert board.rows["wf/x"].tensors == ""


def test_one_stream_is_no_plural() -> None:
    board = Board()
    board.receive(message(streams.WEIGHTS), 0.0)
    assert "  1 stream  " in board.summary(0.5)
    assert board.total().startswith("1 message of 1 stream, ")
