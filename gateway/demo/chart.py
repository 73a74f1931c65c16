"""Curves and matrices drawn with the block characters of a terminal, as large as the space they are given."""

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
    """At most so many values: the means of as many neighbours each."""
    if len(values) <= columns:
        return list(values)
    return [float(part.mean()) for part in np.array_split(np.asarray(values), columns)]


def curve(shares: Sequence[float], columns: int, rows: int) -> list[str]:
    """A curve as lines of text, the uppermost first.

    Args:
        shares: 0 stands at the lower edge, 1 at the upper; what is beyond is cut off.
        columns: width.
        rows: height.
    """
    levels = [round(min(max(share, 0.0), 1.0) * rows * 8) for share in resample(shares, columns)]
    return [
        "".join(EIGHTHS[min(8, max(0, level - row * 8))] for level in levels).ljust(columns)
        for row in reversed(range(rows))
    ]


def shares_of(values: Sequence[float], low: float, high: float, *, log: bool = False) -> list[float]:
    """Where values stand between two others, on a linear or a logarithmic axis.

    Args:
        values: any; above 0 for a logarithmic axis.
        low: becomes 0.
        high: becomes 1; more than ``low``.
        log: equal ratios take equal room.
    """
    scaled, edges = np.asarray(values, np.float64), np.array([low, high])
    if log:
        scaled, edges = np.log(np.maximum(scaled, low)), np.log(edges)
    return [float(share) for share in (scaled - edges[0]) / (edges[1] - edges[0])]


class Curve:
    """A curve that fills its space.

    Args:
        shares: as in :func:`curve`.
        style: its colour.
    """

    def __init__(self, shares: Sequence[float], style: str) -> None:
        self._shares = shares
        self._style = style

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for line in curve(self._shares, options.max_width, options.height or DEFAULT_ROWS):
            yield Text(line, style=self._style, no_wrap=True)


class Heat:
    """A confusion matrix: what is right shines green, what is wrong red; each row by its own sum.

    Args:
        matrix: (n, n); a row takes half a line, a line, or more, as there is space.
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
    """Red, green and blue of each cell of a confusion matrix."""
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    return [
        [_colour(float(share), right=row == column) for column, share in enumerate(line)]
        for row, line in enumerate(shares)
    ]


def _colour(share: float, *, right: bool) -> RGB:
    if right or share == 0:
        return _mix(share, RIGHT)
    # Errors are few: one among a hundred is to be seen, also on a terminal of 256 colours.
    return _mix(0.35 + 0.65 * share**0.5, WRONG)


def _mix(strength: float, colour: RGB) -> RGB:
    red, green, blue = (round(start + (end - start) * strength) for start, end in zip(NOTHING, colour, strict=True))
    return red, green, blue


def _rgb(colour: RGB) -> str:
    return f"rgb({colour[0]},{colour[1]},{colour[2]})"
