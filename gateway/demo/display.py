"""Displays of the demo: the screen of a terminal or a line of it, or a line a second where there is no terminal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from rich.console import Console, RenderableType
from rich.live import Live

from gateway.demo.board import Board

FRAME_S: Final = 0.125
LINE_S: Final = 1.0


class Display(Protocol):
    """Output of the board, updated at regular times."""

    @property
    def pause_s(self) -> float:
        """Seconds between two updates."""

    def show(self, board: Board, now_s: float) -> None:
        """Show the board."""

    def close(self) -> None:
        """Restore the terminal."""


class TerminalDisplay:
    """Display in a terminal.

    Args:
        console: the terminal.
        draw: returns the picture of a board at a time.
        is_full_screen: whether the picture takes the whole screen, and not its own lines only.
    """

    pause_s = FRAME_S

    def __init__(self, console: Console, draw: Callable[[Board, float], RenderableType], is_full_screen: bool) -> None:
        self._draw = draw
        self._live = Live(console=console, screen=is_full_screen, transient=True, auto_refresh=False)
        self._live.start()

    def show(self, board: Board, now_s: float) -> None:
        """Redraw the picture."""
        self._live.update(self._draw(board, now_s), refresh=True)

    def close(self) -> None:
        """Restore the terminal."""
        self._live.stop()


class LineDisplay:
    """Display of one line a second."""

    pause_s = LINE_S

    def show(self, board: Board, now_s: float) -> None:
        """Print a line."""
        print(board.summary(now_s), flush=True)

    def close(self) -> None:
        """Leave the terminal, which shows lines only, as it is."""
