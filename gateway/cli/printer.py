"""How ``frys sub`` shows messages: plain lines, JSON, or a terminal with rates and bars below the lines."""

from __future__ import annotations

import sys
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
"""A terminal is given lines in such portions, at the latest: each portion redraws what stands below them."""


class Printer(Protocol):
    """Shows what a subscription gives."""

    def message(self, message: Message, saved: Path | None, *, more: bool) -> None:
        """A message has come; ``more``: others wait already."""

    def progress(self, stream: str, received: int, total: int) -> None:
        """So many bytes of a large message have come."""

    def tick(self, status: str) -> None:
        """Some time has passed; ``status`` says how things stand."""

    def close(self) -> None:
        """Show what is held back, and leave the terminal as it was."""


def line_of(message: Message, saved: Path | None) -> str:
    """One line that tells of a message."""
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
    """One JSON object that tells of a message."""
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
    """One line a message on stdout, and nothing else.

    Args:
        as_json: JSON objects, not text for people.
    """

    def __init__(self, *, as_json: bool) -> None:
        self._format = json_of if as_json else line_of

    def message(self, message: Message, saved: Path | None, *, more: bool) -> None:
        """See :class:`Printer`."""
        sys.stdout.write(self._format(message, saved) + "\n")
        if not more:
            sys.stdout.flush()

    def progress(self, stream: str, received: int, total: int) -> None:
        """See :class:`Printer`."""

    def tick(self, status: str) -> None:
        """See :class:`Printer`."""

    def close(self) -> None:
        """See :class:`Printer`."""
        sys.stdout.flush()


class TerminalPrinter:
    """Lines that scroll by, and below them how things stand and a bar for each large message that is coming in.

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
        """See :class:`Printer`."""
        line = Text(line_of(message, saved))
        line.stylize("bold cyan", 0, len(message.stream))
        self._held.append(line)
        if len(self._held) >= MAX_HELD_LINES:
            self._print()

    def progress(self, stream: str, received: int, total: int) -> None:
        """See :class:`Printer`."""
        task = self._tasks.get(stream)
        if received >= total:
            if task is not None:
                self._bars.remove_task(self._tasks.pop(stream))
        elif task is None:
            self._tasks[stream] = self._bars.add_task(stream, total=total, completed=received)
        else:
            self._bars.update(task, completed=received, total=total)

    def tick(self, status: str) -> None:
        """See :class:`Printer`."""
        self._status = status
        self._print()
        self._live.refresh()

    def close(self) -> None:
        """See :class:`Printer`."""
        self._print()
        self._live.stop()

    def _print(self) -> None:
        if self._held:
            self._console.print(Text("\n").join(self._held), no_wrap=True, overflow="ellipsis")
            self._held.clear()

    def _render(self) -> RenderableType:
        return Group(self._bars, Text(self._status, style="dim")) if self._tasks else Text(self._status, style="dim")
