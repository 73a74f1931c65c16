"""Charts for a terminal: curves and matrices of block characters that fill the space they are given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from rich.console import Console, ConsoleOptions, RenderResult
from rich.style import Style
from rich.text import Text

EIGHTHS: Final = " ▁▂▃▄▅▆▇█"
UPPER_HALF: Final = "▀"
DEFAULT_ROWS: Final = 8

RGB = tuple[int, int, int]

NOTHING: Final = (28, 30, 36)
RIGHT: Final = (46, 194, 126)
WRONG: Final = (237, 76, 92)


def resample(values: Sequence[float], columns: int) -> list[float]:
    """Return at most ``columns`` values, each the mean of equally many neighbours."""
    if len(values) <= columns:
        return list(values)
    return [float(part.mean()) for part in np.array_split(np.asarray(values), columns)]


def curve(shares: Sequence[float], columns: int, rows: int) -> list[str]:
    """Return a curve as lines of text, from the top down.

    Args:
        shares: heights, from 0 at the lower edge to 1 at the upper; others are clipped.
        columns: width in characters.
        rows: height in lines.
    """
    levels = [round(min(max(share, 0.0), 1.0) * rows * 8) for share in resample(shares, columns)]
    return [
        "".join(EIGHTHS[min(8, max(0, level - row * 8))] for level in levels).ljust(columns)
        for row in reversed(range(rows))
    ]


def shares_of(values: Sequence[float], low: float, high: float, *, log: bool = False) -> list[float]:
    """Return values as shares of an axis.

    Args:
        values: the values; above 0 for a logarithmic axis.
        low: value of share 0.
        high: value of share 1; more than ``low``.
        log: make the axis logarithmic.
    """
    scaled, edges = np.asarray(values, np.float64), np.array([low, high])
    if log:
        scaled, edges = np.log(np.maximum(scaled, low)), np.log(edges)
    return [float(share) for share in (scaled - edges[0]) / (edges[1] - edges[0])]


class Curve:
    """Renderable curve that fills its space.

    Args:
        shares: heights, as in :func:`curve`.
        style: its colour.
    """

    def __init__(self, shares: Sequence[float], style: str) -> None:
        self._shares = shares
        self._style = style

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for line in curve(self._shares, options.max_width, options.height or DEFAULT_ROWS):
            yield Text(line, style=self._style, no_wrap=True)


class Heat:
    """Renderable confusion matrix, with right answers in green and wrong ones in red, each as a share of its row.

    Args:
        matrix: (n, n). A row takes half a line, a line or more, depending on the space.
    """

    def __init__(self, matrix: npt.NDArray[Any]) -> None:
        self._matrix = matrix

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        count = len(self._matrix)
        yield Text("   " + "".join(f"{column:>2}" for column in range(count)), style="dim")
        lines_per_row = ((options.height or DEFAULT_ROWS) - 1) // count
        colours = colours_of(self._matrix)
        for row in range(0, count, 1 if lines_per_row else 2):
            line = Text(f"{row:>2} ", style="dim")
            for column in range(count):
                if lines_per_row:
                    line.append("  ", Style(bgcolor=_rgb(colours[row][column])))
                else:
                    lower = colours[min(row + 1, count - 1)][column]
                    line.append(UPPER_HALF * 2, Style(color=_rgb(colours[row][column]), bgcolor=_rgb(lower)))
            yield line
            for _ in range(1, lines_per_row):
                yield Text("   ").append_text(line[3:])


def colours_of(matrix: npt.NDArray[Any]) -> list[list[RGB]]:
    """Return red, green and blue of each cell of a confusion matrix."""
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    return [
        [_colour(float(share), right=row == column) for column, share in enumerate(line)]
        for row, line in enumerate(shares)
    ]


def _colour(share: float, *, right: bool) -> RGB:
    if right or share == 0:
        return _mix(share, RIGHT)
    # Errors are few: one among a hundred is visible, even on a terminal of 256 colours.
    return _mix(0.35 + 0.65 * share**0.5, WRONG)


def _mix(strength: float, colour: RGB) -> RGB:
    red, green, blue = (round(start + (end - start) * strength) for start, end in zip(NOTHING, colour, strict=True))
    return red, green, blue


def _rgb(colour: RGB) -> str:
    return f"rgb({colour[0]},{colour[1]},{colour[2]})"
