"""Displays of the demo: the full screen of a terminal, or a line a second where there is no terminal."""

from __future__ import annotations

from typing import Final, Protocol

from rich.console import Console
from rich.live import Live

from gateway.demo.board import Board
from gateway.demo.screen import screen

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
    """Display on the full screen of a terminal.

    Args:
        console: the terminal.
        title: text for the first line.
        hint: text for the last line.
    """

    pause_s = FRAME_S

    def __init__(self, console: Console, title: str, hint: str) -> None:
        self._title = title
        self._hint = hint
        self._live = Live(console=console, screen=True, auto_refresh=False)
        self._live.start()

    def show(self, board: Board, now_s: float) -> None:
        """Redraw the screen."""
        self._live.update(screen(board, now_s, title=self._title, hint=self._hint), refresh=True)

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
