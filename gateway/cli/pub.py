"""``frys pub``: publishes the array or arrays of a file."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final

import click
import orjson
import uvloop
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from gateway.cli import text
from gateway.cli.array_file import read_arrays
from gateway.cli.command import Command
from gateway.cli.connection_option import with_connection_options
from gateway.client import TransmissionResult, connect
from gateway.client.time_limit import TIMEOUT_S
from gateway.protocol.durability import Durability
from gateway.protocol.messages import Kind
from gateway.protocol.tensors import Array

CLOSE_TIMEOUT_S: Final = 1.0
"""Time to close the connection; short, because an interrupted message need not be sent to its end."""


@click.command(cls=Command)
@click.argument("stream", metavar="STREAM", help="Stream WORKFLOW/NAME, e.g. wf-42/weights.")
@click.argument("file", metavar="FILE", help="An .npy file, an .npz file of several tensors, or - for stdin.")
@click.option(
    "--kind",
    type=click.Choice(Kind, case_sensitive=False),
    metavar="KIND",
    help="state, event, collaboration or control. Without it: the kind of the stream, or state for a new one.",
)
@click.option(
    "--durability",
    type=click.Choice(Durability, case_sensitive=False),
    metavar="LEVEL",
    help=(
        "memory, os (the message survives the gateway) or fsync (it survives a power cut). "
        "Without it: the durability of the stream, or memory for a new one."
    ),
)
@click.option(
    "--codec",
    default="auto",
    metavar="CHAIN",
    help="auto measures which codec pays; or a chain: none, lz4, zstd:3, shuffle+zstd:3, pco:4, ...",
)
@click.option(
    "--header",
    multiple=True,
    metavar="NAME=VALUE",
    help="Message header; repeatable. A VALUE that is not JSON is a string.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(0),
    default=TIMEOUT_S,
    metavar="SECONDS",
    help="Longest wait without progress. In this time, what the gateway refuses for now is sent again.",
)
@with_connection_options
def pub(
    stream: str,
    file: str,
    *,
    kind: Kind | None,
    durability: Durability | None,
    codec: str,
    header: Sequence[str],
    timeout: float,
    url: str,
    token: str | None,
    client_id: str | None,
) -> None:
    """Publish the array of a file, and wait until the gateway has acknowledged it.

    An .npy file is mapped, not read: it may be larger than memory.

    Examples:

        frys pub wf-42/weights weights.npy
        frys pub wf-42/events tokens.npy --kind event --codec shuffle+zstd:3 --header step=7
    """
    headers = parse_headers(header)
    arrays = read_arrays(file, sys.stdin.buffer)
    connecting = connect(url, token=token, client_id=client_id, backoff=None, close_timeout_s=CLOSE_TIMEOUT_S)
    with _progress(Console(stderr=True)) as progress:
        task = progress.add_task(text.printable(stream), total=None)

        async def publish() -> TransmissionResult:
            async with connecting as client:
                return await client.publish(
                    stream,
                    arrays,
                    kind=kind,
                    durability=durability,
                    headers=headers,
                    codec=codec,
                    timeout_s=timeout,
                    progress=lambda sent, total: progress.update(task, completed=sent, total=total),
                )

        result = uvloop.run(publish())
    print(f"{stream} {summary(result, nbytes_of(arrays))}")


def parse_headers(pairs: Sequence[str]) -> dict[str, Any]:
    """Return headers from ``NAME=VALUE``; a value that is not JSON is a string.

    Raises:
        BadParameter: a pair has no ``=``, or no name.
    """
    headers: dict[str, Any] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not (name and equals):
            raise click.BadParameter(f"{pair!r} is not of the form NAME=VALUE", param_hint="--header")
        try:
            headers[name] = orjson.loads(value)
        except orjson.JSONDecodeError:
            headers[name] = value
    return headers


def nbytes_of(arrays: Array | Mapping[str, Array]) -> int:
    """Return the size of one array, or of several together."""
    return sum(array.nbytes for array in (arrays.values() if isinstance(arrays, Mapping) else [arrays]))


def summary(result: TransmissionResult, nbytes: int) -> str:
    """Return one line about a publish.

    The ratio is that of the two sizes in the line: the bytes sent include frame headers, unlike ``compression_ratio``.

    Args:
        result: the result of the publish.
        nbytes: size of the payload.
    """
    ratio = text.rate(nbytes, result.bytes_transmitted)
    return (
        f"offset {result.offset}: {text.size(nbytes)} sent as {text.size(result.bytes_transmitted)}"
        f" (ratio {ratio:.2f}), {text.rate(nbytes, result.latency_s) / 1e6:.1f} MB/s,"
        f" latency {text.duration(result.latency_s)}, quality {result.quality_score:.2f}, {result.durability}"
    )


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
