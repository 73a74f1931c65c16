"""Printers of ``frys sub``: plain lines, JSON, or a terminal with rates and progress bars below the lines."""

from __future__ import annotations

import errno
import io
import os
import select
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final, Protocol

import orjson
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TransferSpeedColumn
from rich.text import Text

from gateway.cli import text
from gateway.client import Message
from gateway.protocol.dtypes import dtype_name

MAX_HELD_LINES: Final = 1000
"""Most lines held back for a terminal: each print redraws the status below the lines, so lines are collected."""


class Printer(Protocol):
    """Output of a subscription for a user or a program."""

    def message(self, message: Message, saved: Path | None, *, more: bool) -> None:
        """Show a message.

        Args:
            message: the message.
            saved: the file that it was saved in, if any.
            more: further messages wait already.
        """

    def progress(self, stream: str, received: int, total: int) -> None:
        """Show that ``received`` of ``total`` bytes of a large message have come."""

    def tick(self, status: str) -> None:
        """Show the status of the subscription; called at regular times.

        Raises:
            BrokenPipeError: nobody reads the output any more.
        """

    def close(self) -> None:
        """Show the lines that are held back, and restore the terminal."""


def line_of(message: Message, saved: Path | None) -> str:
    """Return one line of text about a message."""
    headers = text.printable(orjson.dumps(message.headers).decode()) if message.headers else ""
    parts = (
        message.stream,
        f"offset {message.offset}",
        text.tensors(message.specs),
        "" if message.quantization is None else f"scale {message.quantization.scale:.3g}",
        text.size(message.nbytes),
        f"latency {text.duration(message.latency_s)}",
        headers,
        f"saved to {saved}" if saved else "",
    )
    return "  ".join(part for part in parts if part)


def json_of(message: Message, saved: Path | None) -> str:
    """Return one JSON object about a message."""
    fields = {
        "stream": message.stream,
        "kind": message.kind,
        "epoch": message.epoch,
        "offset": message.offset,
        "timestamp_ns": message.timestamp_ns,
        "latency_s": message.latency_s,
        "bytes": message.nbytes,
        "tensors": [
            {"name": spec.name, "dtype": dtype_name(spec.dtype), "shape": spec.shape} for spec in message.specs
        ],
        "headers": message.headers,
    }
    if message.quantization is not None:
        quantized = message.quantization
        fields["quantized"] = {
            "dtype": dtype_name(quantized.dtype),
            "scale": quantized.scale,
            "zero_point": quantized.zero_point,
        }
    if saved is not None:
        fields["saved"] = str(saved)
    return orjson.dumps(fields).decode()


class LinePrinter:
    """Printer of one line a message on stdout, and of nothing else.

    Args:
        as_json: print JSON objects instead of text.
    """

    def __init__(self, *, as_json: bool) -> None:
        self._format = json_of if as_json else line_of
        self._output = select.poll()
        with suppress(io.UnsupportedOperation):  # no file
            self._output.register(sys.stdout.fileno(), 0)

    def message(self, message: Message, saved: Path | None, *, more: bool) -> None:
        """Write a line; flush unless more follow at once."""
        sys.stdout.write(self._format(message, saved) + "\n")
        if not more:
            sys.stdout.flush()

    def progress(self, stream: str, received: int, total: int) -> None:
        """Print nothing."""

    def tick(self, status: str) -> None:
        """Print nothing; raise what printing would, as the next message may never come.

        Raises:
            BrokenPipeError: stdout is a pipe that nobody reads any more.
        """
        if any(events & (select.POLLERR | select.POLLHUP) for _, events in self._output.poll(0)):
            raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))

    def close(self) -> None:
        """Flush stdout."""
        sys.stdout.flush()


class TerminalPrinter:
    """Printer of lines that scroll by, with a status line and a progress bar for each large message below them.

    Args:
        console: the terminal.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._held: list[Text] = []
        self._status = ""
        self._bars = Progress(
            TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn(), console=console
        )
        self._tasks: dict[str, TaskID] = {}
        self._live = Live(get_renderable=self._render, console=console, auto_refresh=False, transient=True)
        self._live.start()

    def message(self, message: Message, saved: Path | None, *, more: bool) -> None:
        """Hold a line back for the next print."""
        line = Text(line_of(message, saved))
        line.stylize("bold cyan", 0, len(message.stream))
        self._held.append(line)
        if len(self._held) >= MAX_HELD_LINES:
            self._print()

    def progress(self, stream: str, received: int, total: int) -> None:
        """Show, move or remove the progress bar of a stream."""
        task = self._tasks.get(stream)
        if received >= total:
            if task is not None:
                self._bars.remove_task(self._tasks.pop(stream))
        elif task is None:
            self._tasks[stream] = self._bars.add_task(stream, total=total, completed=received)
        else:
            self._bars.update(task, completed=received, total=total)

    def tick(self, status: str) -> None:
        """Print the lines that are held back, and redraw the status."""
        self._status = status
        self._print()
        self._live.refresh()

    def close(self) -> None:
        """Print the lines that are held back, and remove the status."""
        self._print()
        self._live.stop()

    def _print(self) -> None:
        if self._held:
            self._console.print(Text("\n").join(self._held), no_wrap=True, overflow="ellipsis")
            self._held.clear()

    def _render(self) -> RenderableType:
        return Group(self._bars, Text(self._status, style="dim")) if self._tasks else Text(self._status, style="dim")
