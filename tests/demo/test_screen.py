"""The live view fits the terminal and shows every stream."""

import numpy as np
import pytest
from rich.console import Console

from gateway.demo import streams
from gateway.demo.board import Board
from gateway.demo.screen import brief_line, screen
from gateway.protocol.messages import Kind
from tests.cli.messages import message


def full_board() -> Board:
    board = Board()
    scalars = {streams.LOSS: [2.5, 0.5, 0.1], streams.ACCURACY: [0.1, 0.9, 0.95]}
    for stream, values in scalars.items():
        for offset, value in enumerate(values):
            board.receive(message(stream, {"": np.array(value)}, offset=offset, kind=Kind.EVENT), 0.0)
    board.receive(message(streams.CONFUSION, {"": np.eye(10, dtype=np.int64)}), 0.0)
    board.receive(message(streams.WEIGHTS, headers={"run": 1, "step": 7, "ratio": 1.23}), 0.0)
    return board


def lines(board: Board, width: int, height: int) -> list[str]:
    console = Console(width=width, height=height, color_system=None)
    layout = screen(board, 1.0, title="ws://127.0.0.1:8765", hint="a hint")
    rendered = console.render_lines(layout, console.options.update(height=height))
    return ["".join(segment.text for segment in line) for line in rendered]


@pytest.mark.parametrize(("width", "height"), [(80, 24), (110, 30), (200, 60), (40, 10)])
def test_it_is_as_large_as_the_terminal(width: int, height: int) -> None:
    for board in (Board(), full_board()):
        shown = lines(board, width, height)
        assert [len(line) for line in shown] == [width] * height


def test_a_wide_terminal_has_everything() -> None:
    shown = "\n".join(lines(full_board(), 110, 30))
    for text in ("loss 0.1000", "accuracy 95.0%", "run 1, step 7", "ws://127.0.0.1:8765", "a hint", "2.00 ms", "1.23"):
        assert text in shown
    row = next(line for line in shown.splitlines() if "digits/weights" in line)
    assert row.split()[1:9] == ["digits/weights", "state", "7", "1.0", "0.00", "float32[2,", "3]", "2.00"]


def test_a_narrow_terminal_has_every_stream() -> None:
    shown = lines(full_board(), 80, 24)
    for name in ("loss", "accuracy", "confusion", "weights"):
        assert any(line.startswith(f"│ {name} ") for line in shown)
    assert any("float32[2, 3]" in line for line in shown)


def test_nothing_has_come_yet() -> None:
    assert sum("waiting" in line for line in lines(Board(), 110, 30)) == 1


def test_a_loss_of_nothing() -> None:
    board = full_board()
    board.receive(message(streams.LOSS, {"": np.array(0.0)}, kind=Kind.EVENT), 0.0)
    assert any("loss 0.0000" in line for line in lines(board, 110, 30))


def test_a_brief_line() -> None:
    assert "loss waiting  accuracy waiting" in brief_line(Board(), 0.0).plain
    shown = brief_line(full_board(), 0.0).plain
    assert "run 1, step 7" in shown
    assert "loss 0.1000   accuracy 95.0%" in shown
