"""``frys top``: a live view of a gateway, read from its admin port."""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from dataclasses import replace
from typing import Final

import click
from rich.console import Console
from rich.live import Live

from gateway.cli.admin_reader import AdminReader
from gateway.cli.command import Command
from gateway.cli.connection_option import TOKEN_OPTION
from gateway.cli.exit_code import CommandFailed
from gateway.cli.keyboard import keys_pressed
from gateway.cli.overview import Overview
from gateway.cli.reading import ORDERS, read_gateway

DEFAULT_ADMIN: Final = "http://127.0.0.1:8766"
"""Address of the admin port of ``frys serve`` by default."""
LEAST_INTERVAL_S: Final = 0.5
KEYS: Final = {"m": ORDERS[0], "b": ORDERS[1]}
"""Keys that change the order."""
HINT: Final = "q quits; m sorts by messages, b by bytes"
PLAIN_LINES: Final = 60
"""Lines of a frame that is no screen."""
PLAIN_WIDTH: Final = 100
LEAST_ROWS: Final = 10


@click.command(cls=Command)
@click.option(
    "--admin",
    "admin",
    default=DEFAULT_ADMIN,
    metavar="URL",
    help="Admin port of the gateway: http://host:port, or https:// of a proxy before it.",
)
@TOKEN_OPTION
@click.option(
    "--interval",
    "interval_s",
    type=click.FloatRange(min=LEAST_INTERVAL_S),
    default=2.0,
    metavar="SECONDS",
    help="Time between two readings, over which rates are taken.",
)
@click.option("--sort", "order", type=click.Choice(ORDERS), default=ORDERS[0], help="Order of streams and workflows.")
@click.option("--once", is_flag=True, help="Print one frame as text and end; so it is where stdout is no terminal.")
def top(*, admin: str, token: str | None, interval_s: float, order: str, once: bool) -> None:
    """Show what a gateway does: connections by type, the busiest streams and workflows, and receivers that are behind.

    Reads only the admin port, and asks for the head of each list: a reading costs a gateway some three scrapes of its
    metrics, however much there is. A gateway that is away is tried again until you leave, with q or Ctrl-C.

    Examples:

        frys top
        frys top --admin http://gateway-1:8766 --sort bytes_per_s
        frys top --once | head -4
    """
    reader, console = AdminReader(admin, token), Console()
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = PLAIN_WIDTH
    if once or not console.is_terminal:
        asyncio.run(_print_frame(reader, console, interval_s, order))
    else:
        asyncio.run(Screen(reader, console, interval_s, order).run())


async def _print_frame(reader: AdminReader, console: Console, interval_s: float, order: str) -> None:
    """Print one frame, with rates over one interval.

    Raises:
        CommandFailed: see :func:`~gateway.cli.reading.read_gateway`.
    """
    try:
        before = await read_gateway(reader, order, LEAST_ROWS)
        await asyncio.sleep(interval_s)
        reading = await read_gateway(reader, order, LEAST_ROWS)
    except CommandFailed as error:
        hint = "does a gateway run there, and is this its admin port (--admin-port of frys serve)?"
        raise CommandFailed(error.code, f"{error}: {hint}") from None
    with console.capture() as captured:
        console.print(Overview(reader.url, reading, before).fitted(PLAIN_LINES, whole_head=True), crop=False)
    for line in captured.get().splitlines():
        click.echo(line.rstrip())


class Screen:
    """Screen that is drawn anew after each reading; a key changes the order at once.

    Args:
        reader: reads the admin port.
        console: the terminal.
        interval_s: time between two readings.
        order: number by which streams and workflows are sorted at first.
    """

    def __init__(self, reader: AdminReader, console: Console, interval_s: float, order: str) -> None:
        self._reader = reader
        self._console = console
        self._interval_s = interval_s
        self._order = order
        self._overview = Overview(reader.url, keys=HINT)
        self._changed = asyncio.Event()
        """Whether the order is another one than that of the newest reading."""

    async def run(self) -> None:
        """Show readings until a key ends it."""
        left = False

        def pressed(keys: str) -> None:
            nonlocal left
            for key in keys:
                if key == "q":
                    left = True
                    watching.cancel()
                elif key in KEYS:
                    self._order = KEYS[key]
                    self._changed.set()

        with Live(console=self._console, screen=True, auto_refresh=False) as live:
            watching = asyncio.ensure_future(self._watch(live))
            with keys_pressed(pressed):
                try:
                    await watching
                except asyncio.CancelledError:
                    if not left:
                        raise

    async def _watch(self, live: Live) -> None:
        while True:
            live.update(self._overview.fitted(self._console.height), refresh=True)
            self._changed.clear()
            shown = self._overview
            try:
                reading = await read_gateway(self._reader, self._order, max(LEAST_ROWS, self._console.height))
                self._overview = replace(shown, reading=reading, before=shown.reading, problem="")
            except CommandFailed as error:
                self._overview = replace(shown, problem=str(error).removeprefix(self._reader.url).lstrip(": "))
            live.update(self._overview.fitted(self._console.height), refresh=True)
            # The first rates come soon.
            pause_s = self._interval_s if shown.reading is not None or self._overview.problem else LEAST_INTERVAL_S
            with suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await self._changed.wait()
