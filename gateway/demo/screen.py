"""Screen of the demo: curves, the confusion matrix, and a row for each stream."""

from __future__ import annotations

from typing import Final

from rich import box
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.layout import Layout
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from gateway.demo.board import Board, StreamRow
from gateway.demo.chart import Curve, Heat, shares_of
from gateway.demo.streams import WORKFLOW

MATRIX_COLUMNS: Final = 27
TABLE_FRAME: Final = 3
"""Lines of the table beside its streams: border and head."""
CURVES_LINES: Final = 8
"""Fewest lines of the curves."""
WIDE: Final = 100
"""Width from which all columns of the table have room."""
ACCURACY_FLOOR: Final = 0.5
"""Lower edge of the accuracy's axis."""


def screen(board: Board, now_s: float, *, title: str, hint: str) -> Layout:
    """Return the board as a layout of the size of the terminal.

    Args:
        board: the board.
        now_s: the time.
        title: text for the first line.
        hint: text for the last line.
    """
    layout = Layout()
    layout.split_column(
        Layout(_heading(board, now_s, title), size=1),
        Layout(name="curves", minimum_size=CURVES_LINES),
        Layout(_panel(StreamTable(board, now_s), f"streams of {WORKFLOW}/", hint), size=len(board.rows) + TABLE_FRAME),
    )
    layout["curves"].split_row(
        Layout(_loss(board)),
        Layout(_accuracy(board)),
        Layout(
            _panel(Text("waiting", style="dim") if board.confusion is None else Heat(board.confusion), "confusion"),
            size=MATRIX_COLUMNS,
        ),
    )
    return layout


def brief_line(board: Board, now_s: float) -> Text:
    """Return the board in one line, for those who see the rest elsewhere."""
    loss = f"{board.losses[-1]:.4f}" if board.losses else "waiting"
    accuracy = f"{board.accuracies[-1]:.1%}" if board.accuracies else "waiting"
    return _heading(board, now_s, f"loss {loss:<7}  accuracy {accuracy}")


def _heading(board: Board, now_s: float, rest: str) -> Text:
    messages, size = board.rates(now_s)
    return Text.assemble(
        (" frys demo ", "bold black on cyan"),
        (f"  {messages:,.0f} msg/s  {size / 1e6:.1f} MB/s", "bold"),
        f"  run {board.run}, step {board.step}  ",
        (rest, "dim"),
        no_wrap=True,
        overflow="ellipsis",
    )


class StreamTable:
    """Table with a row for each stream; a narrow one has fewer columns.

    Args:
        board: the board.
        now_s: the time.
    """

    def __init__(self, board: Board, now_s: float) -> None:
        self._board = board
        self._now_s = now_s

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        wide = options.max_width >= WIDE
        table = Table(box=None, expand=True, pad_edge=False, padding=(0, 2 if wide else 1, 0, 0), header_style="bold")
        table.add_column("stream", style="cyan", no_wrap=True)
        if wide:
            table.add_column("kind", style="dim", no_wrap=True)
        for heading in ("offset", "msg/s", "MB/s"):
            table.add_column(heading, justify="right", no_wrap=True)
        table.add_column("tensor", ratio=1, no_wrap=True, overflow="ellipsis")
        for heading in ("latency", "ratio", "conflated" if wide else "confl."):
            table.add_column(heading, justify="right", no_wrap=True)
        for name, row in sorted(self._board.rows.items()):
            shown = (name, row.kind or "") if wide else (name.removeprefix(f"{WORKFLOW}/"),)
            table.add_row(*shown, *_cells(row, self._now_s))
        yield table


def _cells(row: StreamRow, now_s: float) -> tuple[str, ...]:
    messages, size = row.rates(now_s)
    return (
        f"{row.offset:,}",
        f"{messages:.1f}",
        f"{size / 1e6:.2f}",
        escape(row.tensors),
        "" if row.latency_s is None else f"{row.latency_s * 1e3:.2f} ms",
        "" if row.ratio is None else f"{row.ratio:.2f}",
        f"{row.conflated:,}",
    )


def _loss(board: Board) -> Panel:
    if not board.losses:
        return _panel(Text("waiting", style="dim"), "loss")
    low, high = min(board.losses), max(board.losses)
    # A tenth of room below, so that the least loss is visible; it also keeps low and high apart.
    shares = shares_of(list(board.losses), low * 0.9, high, log=True) if low > 0 else []
    return _panel(
        Curve(shares, "magenta"), f"loss [bold magenta]{board.losses[-1]:.4f}", f"log {low:.2g} to {high:.2g}"
    )


def _accuracy(board: Board) -> Panel:
    if not board.accuracies:
        return _panel(Text("waiting", style="dim"), "accuracy")
    shares = shares_of(list(board.accuracies), ACCURACY_FLOOR, 1.0)
    title = f"accuracy [bold green]{board.accuracies[-1]:.1%}"
    return _panel(Curve(shares, "green"), title, f"{ACCURACY_FLOOR:.0%} to 100%, held-out set")


def _panel(content: RenderableType, title: str, subtitle: str | None = None) -> Panel:
    return Panel(
        content,
        title=title,
        title_align="left",
        subtitle=subtitle and f"[dim]{subtitle}",
        subtitle_align="left",
        border_style="bright_black",
        box=box.ROUNDED,
    )
