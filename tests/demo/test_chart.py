"""Curves and matrices of block characters."""

import numpy as np
import pytest
from rich.console import Console

from gateway.demo.chart import DEFAULT_ROWS, NOTHING, RIGHT, Curve, Heat, colours_of, curve, resample, shares_of


def test_resample() -> None:
    assert resample([1.0, 2.0], 3) == [1.0, 2.0]
    assert resample([1.0, 3.0, 5.0, 7.0], 2) == [2.0, 6.0]


def test_a_curve() -> None:
    assert curve([0.0, 0.5, 1.0, 2.0, -1.0], 6, 2) == ["  ██  ", " ███  "]
    assert curve([1 / 16, 9 / 16], 2, 2) == [" ▁", "▁█"]
    assert curve([], 3, 1) == ["   "]


def test_axes() -> None:
    assert shares_of([1.0, 2.0, 3.0], 1.0, 3.0) == [0.0, 0.5, 1.0]
    assert shares_of([0.0, 1.0, 10.0, 100.0], 1.0, 100.0, log=True) == pytest.approx([0.0, 0.0, 0.5, 1.0])


def test_colours() -> None:
    matrix = np.zeros((3, 3), np.int64)
    matrix[0] = [99, 1, 0]
    matrix[1, 1] = 5
    colours = colours_of(matrix)
    assert colours[1][1] == RIGHT
    assert colours[0][2] == colours[2][2] == NOTHING
    # One error among a hundred stands out: more red than anything.
    assert colours[0][1][0] > 2 * colours[0][1][1]


@pytest.mark.parametrize(
    ("height", "lines"), [(6, 6), (11, 11), (24, 21)], ids=["half a line", "one line", "two lines"]
)
def test_a_matrix_fits_its_space(height: int, lines: int) -> None:
    console = Console(width=40, color_system=None)
    with console.capture() as capture:
        console.print(Heat(np.eye(10)), height=height)
    shown = capture.get().rstrip("\n").splitlines()
    assert shown[0].split() == [str(column) for column in range(10)]
    rows = [line.split()[0] for line in shown if line[:3].strip()]
    assert rows == [str(row) for row in range(0, 10, 1 if lines > 10 else 2)]
    assert len(shown) == lines


def test_a_curve_fills_its_space() -> None:
    console = Console(width=12, color_system=None)
    lines = console.render_lines(Curve([1.0] * 50, "red"), console.options.update(height=3), pad=False)
    assert ["".join(segment.text for segment in line) for line in lines] == ["█" * 12] * 3
    lines = console.render_lines(Curve([1.0], "red"), console.options, pad=False)
    assert len(lines) == DEFAULT_ROWS
