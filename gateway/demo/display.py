"""Where the demo is shown: on a whole terminal, or as a line a second where there is none."""

from __future__ import annotations

from typing import Final, Protocol

from rich.console import Console
from rich.live import Live

from gateway.demo.board import Board
from gateway.demo.screen import screen

FRAME_S: Final = 0.125
LINE_S: Final = 1.0


class Display(Protocol):
    """Shows a board again and again."""

    @property
    def pause_s(self) -> float:
        """Between two pictures."""

    def show(self, board: Board, now_s: float) -> None:
        """Show how things stand."""

    def close(self) -> None:
        """Leave the terminal as it was."""


class TerminalDisplay:
    """The whole terminal.

    Args:
        console: the terminal.
        title: names what is shown.
        hint: what else one can do.
    """

    pause_s = FRAME_S

    def __init__(self, console: Console, title: str, hint: str) -> None:
        self._title = title
        self._hint = hint
        self._live = Live(console=console, screen=True, auto_refresh=False)
        self._live.start()

    def show(self, board: Board, now_s: float) -> None:
        """See :class:`Display`."""
        self._live.update(screen(board, now_s, title=self._title, hint=self._hint), refresh=True)

    def close(self) -> None:
        """See :class:`Display`."""
        self._live.stop()


class LineDisplay:
    """A line a second."""

    pause_s = LINE_S

    def show(self, board: Board, now_s: float) -> None:
        """See :class:`Display`."""
        print(board.summary(now_s), flush=True)

    def close(self) -> None:
        """See :class:`Display`."""
