"""``frys pub``: publishes the array or arrays of a file."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final

import orjson
import typer
import uvloop
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from gateway.cli import text
from gateway.cli.array_file import read_arrays
from gateway.cli.connection_option import DEFAULT_URL, ClientIdOption, TokenOption, UrlOption
from gateway.client import TransmissionResult, connect
from gateway.client.client import TIMEOUT_S
from gateway.protocol.durability import Durability
from gateway.protocol.messages import Kind
from gateway.protocol.tensors import Array

CLOSE_TIMEOUT_S: Final = 1.0
"""Time to close the connection; short, because an interrupted message need not be sent to its end."""


def pub(
    stream: Annotated[str, typer.Argument(metavar="STREAM", help="Stream WORKFLOW/NAME, e.g. wf-42/weights.")],
    file: Annotated[
        str,
        typer.Argument(metavar="FILE", help="An .npy file, an .npz file of several tensors, or - for stdin."),
    ],
    kind: Annotated[
        Kind | None,
        typer.Option(
            metavar="KIND",
            case_sensitive=False,
            help="state, event, collaboration or control. Without it: the kind of the stream, or state for a new one.",
        ),
    ] = None,
    durability: Annotated[
        Durability | None,
        typer.Option(
            metavar="LEVEL",
            case_sensitive=False,
            help=(
                "memory, os (the message survives the gateway) or fsync (it survives a power cut). "
                "Without it: the durability of the stream, or memory for a new one."
            ),
        ),
    ] = None,
    codec: Annotated[
        str,
        typer.Option(
            metavar="CHAIN", help="auto measures which codec pays; or a chain: none, lz4, zstd:3, shuffle+zstd:3, ..."
        ),
    ] = "auto",
    header: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="Message header; repeatable. A VALUE that is not JSON is a string."),
    ] = None,
    timeout: Annotated[
        float,
        typer.Option(
            min=0,
            metavar="SECONDS",
            help="Longest wait without progress. In this time, what the gateway refuses for now is sent again.",
        ),
    ] = TIMEOUT_S,
    url: UrlOption = DEFAULT_URL,
    token: TokenOption = None,
    client_id: ClientIdOption = None,
) -> None:
    """Publish the array of a file, and wait until the gateway has acknowledged it.

    An .npy file is mapped, not read: it may be larger than memory.

    Examples:

        frys pub wf-42/weights weights.npy
        frys pub wf-42/events tokens.npy --kind event --codec shuffle+zstd:3 --header step=7
    """
    headers = parse_headers(header or [])
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
            raise typer.BadParameter(f"{pair!r} is not of the form NAME=VALUE", param_hint="--header")
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
