"""``frys sub``: prints and saves the messages of all streams that match a pattern."""

from __future__ import annotations

import asyncio
import itertools
import sys
import time
from pathlib import Path
from typing import Final

import click
import uvloop
from rich.console import Console

from gateway.cli import text
from gateway.cli.array_file import Recorder
from gateway.cli.command import Command
from gateway.cli.connection_option import with_connection_options
from gateway.cli.printer import LinePrinter, Printer, TerminalPrinter
from gateway.cli.rate_meter import RateMeter, losses
from gateway.cli.view_option import view_of, with_view_options
from gateway.client import Client, ClientState, Connecting, Gap, StreamEnded, Subscription, View, connect
from gateway.errors import ConnectionClosed, name_of

TICK_S: Final = 0.2
"""Interval of looks at the connection's state, and of prints to a terminal."""
TICKS_PER_RATE: Final = 5
"""Ticks between two rates, so that a user can read each."""


@click.command(cls=Command)
@click.argument(
    "pattern",
    metavar="PATTERN",
    help="A stream, or a pattern: * matches one segment, ** the rest, e.g. 'wf-42/**'.",
)
@click.option(
    "--since",
    metavar="WHERE",
    help="Start of event streams, and of others that are observed: 'beginning' (all messages kept) or an offset; "
    "one beyond the end is as 'beginning'. No effect on state.",
)
@with_view_options
@click.option(
    "--observe/--no-observe",
    default=True,
    help="Only look at acknowledged streams (collaboration, control), or process and acknowledge them: then "
    "messages are kept for --client-id while it is away, and their publishers wait for it.",
)
@click.option("--count", type=click.IntRange(1), metavar="N", help="Stop after N messages.")
@click.option(
    "--save",
    "save_to",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Save the tensor of each message as DIR/STREAM@OFFSET.npy (.npz if there are several), or "
    "STREAM@EPOCH@OFFSET.npy if the stream has begun again. Headers are in the output, complete with --json.",
)
@click.option(
    "--every-version",
    is_flag=True,
    help="Print every version of a state that arrives, as with --save; else slow output skips to the newest.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per message.")
@with_connection_options
def sub(
    pattern: str,
    *,
    since: str | None,
    view: str | None,
    dtype: str | None,
    max_rate_hz: float | None,
    tensor: str | None,
    observe: bool,
    count: int | None,
    save_to: Path | None,
    every_version: bool,
    as_json: bool,
    url: str,
    token: str | None,
    client_id: str | None,
) -> None:
    """Print the messages of all streams that match a pattern, until Ctrl-C or SIGTERM.

    Looking holds up nobody: messages that others have to acknowledge are shown as they are published.
    Messages go to stdout, one line each, with the time from publishing to arrival as latency: of a message that was
    kept, its age. Gaps, errors and the summary go to stderr. A lost connection is opened again.

    Examples:

        frys sub 'wf-42/**'
        frys sub wf-42/weights --count 1 --save snapshots
        frys sub wf-42/events --since beginning
        frys sub wf-42/field --view '::4, ::4' --dtype float16 --max-rate-hz 10
        frys sub 'digits/*' --json | jq .latency_s
    """
    wanted = view_of(view, dtype, max_rate_hz, tensor)
    connecting = connect(url, token=token, client_id=client_id, on_error=_tell_error)
    console = Console()
    printer = TerminalPrinter(console) if console.is_terminal and not as_json else LinePrinter(as_json=as_json)
    watch = Watch(printer, count, None if save_to is None else Recorder(save_to))
    start = int(since) if since is not None and since.isdecimal() else since
    try:
        uvloop.run(watch.run(connecting, pattern, start, wanted, observe=observe, conflate=not every_version))
    finally:
        printer.close()
        watch.conclude()


class Watch:
    """Loop that takes the messages of one subscription, prints and saves them, until a count is reached.

    Args:
        printer: prints the messages.
        count: number of messages to take; None: all.
        recorder: saves the messages; None: they are not saved.
    """

    def __init__(self, printer: Printer, count: int | None, recorder: Recorder | None) -> None:
        self._printer = printer
        self._count = count
        self._recorder = recorder
        self._meter = RateMeter()
        self._subscription: Subscription | None = None

    async def run(
        self,
        connecting: Connecting,
        pattern: str,
        since: str | int | None,
        view: View | None,
        *,
        observe: bool = True,
        conflate: bool,
    ) -> None:
        """Subscribe, and take messages.

        Args:
            connecting: the client, not yet connected.
            pattern: the streams.
            since: offset to start from, or ``beginning``; None: from now on.
            view: the view to receive; None: complete messages.
            observe: whether acknowledged streams are observed; otherwise their messages are acknowledged.
            conflate: take only the newest version of a state, if the messages are not saved.

        Raises:
            FrysError: see ``connect`` and ``subscribe`` of :mod:`gateway.client`.
            OSError: a message cannot be saved, or nobody reads the output any more.
        """
        async with connecting as client:
            subscription = client.subscribe(
                pattern,
                since=since,
                view=view,
                observe=observe,
                conflate=conflate and self._recorder is None,  # a recording has every version
                on_gap=_tell_gap,
                on_ended=_tell_ended,
                progress=self._printer.progress,
            )
            async with subscription:
                self._subscription = subscription
                self._meter.start(time.monotonic())
                _tell(f"subscribed to {pattern}")
                # The one that ends first ends the other: all messages are taken, or nobody reads the output any more.
                tasks = [
                    asyncio.create_task(work) for work in (self._take(subscription), self._tick(client, subscription))
                ]
                try:
                    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                    for task in done:
                        task.result()
                finally:
                    for task in tasks:
                        task.cancel()
                    await asyncio.gather(*tasks, return_exceptions=True)

    def conclude(self) -> None:
        """Print the summary on stderr, if the subscription was made."""
        if self._subscription is not None:
            _tell(self._meter.total(time.monotonic(), self._subscription.stats))

    async def _take(self, subscription: Subscription) -> None:
        async for message in subscription:
            saved = None
            if self._recorder is not None:
                saved = await asyncio.to_thread(self._recorder.save, message)
            self._meter.add(message)
            self._printer.message(message, saved, more=subscription.stats.buffered_bytes > 0)
            if self._meter.messages == self._count:
                return

    async def _tick(self, client: Client, subscription: Subscription) -> None:
        state, rates = client.state, ""
        for tick in itertools.count():
            await asyncio.sleep(TICK_S)
            if client.state is not state:
                state = client.state
                _tell(
                    "connected again"
                    if state is ClientState.CONNECTED
                    else f"the connection was lost: {state.name.lower()}"
                )
            if tick % TICKS_PER_RATE == 0:
                rates = self._meter.recent(time.monotonic())
            self._printer.tick(f"{text.count(self._meter.messages, 'message')}, {rates}{losses(subscription.stats)}")


def _tell_error(error: Exception) -> None:
    if not isinstance(error, ConnectionClosed):  # the command ends by it, and tells it then
        _tell(str(error))


def _tell_gap(gap: Gap) -> None:
    _tell(f"gap in {gap.stream}: offsets {gap.first} to {gap.last} ({name_of(gap.code)})")


def _tell_ended(ended: StreamEnded) -> None:
    _tell(f"{ended.stream} has ended ({ended.reason}); a new stream of the name is shown when it begins")


def _tell(line: str) -> None:
    print(f"frys sub: {line}", file=sys.stderr, flush=True)
