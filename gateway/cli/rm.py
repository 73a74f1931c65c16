"""``frys rm``: deletes streams."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import click
import uvloop

from gateway.cli.command import Command
from gateway.cli.connection_option import with_connection_options
from gateway.cli.exit_code import CommandFailed, ExitCode, exit_code_of
from gateway.client import Connecting, connect
from gateway.errors import RequestRefused
from gateway.protocol.names import check_deleted

CLOSE_TIMEOUT_S: Final = 1.0
"""Time to close the connection."""


@click.command(cls=Command)
@click.argument(
    "streams",
    nargs=-1,
    required=True,
    metavar="STREAM...",
    help="Streams, or patterns in quotes: * matches one segment, ** the rest, e.g. 'run-1/**'.",
)
@with_connection_options
def rm(streams: Sequence[str], *, url: str, token: str | None, client_id: str | None) -> None:
    """Delete streams, whoever uses them, with everything that is kept of them, also in the store.

    Prints the name of each stream that was deleted, one a line. Receivers are told; who publishes to the name again
    begins a new stream. A name or pattern that no stream has is an error (exit code 4), and ends the command; what
    stands before it has been deleted, and what follows stays. Dead letters stay, unless a pattern matches their stream
    too: 'run-1/*' deletes run-1/tasks.dead.

    Examples:

        frys rm run-1/loss
        frys rm 'run-1/*' 'run-2/**'
    """
    connecting = connect(url, token=token, client_id=client_id, backoff=None, close_timeout_s=CLOSE_TIMEOUT_S)
    uvloop.run(delete(connecting, streams))


async def delete(connecting: Connecting, patterns: Sequence[str]) -> None:
    """Delete the streams of each pattern, and print their names.

    Args:
        connecting: the client, not yet connected.
        patterns: names of streams, and patterns.

    Raises:
        RequestRefused: ``INVALID_NAME``, one of them is no name and no pattern of streams; then nothing is deleted.
        CommandFailed: there is no stream of a name, or none matches a pattern, or the gateway refuses otherwise; the
            message says whether streams were deleted before.
        FrysError: see ``connect`` and ``delete`` of :mod:`gateway.client`.
    """
    for pattern in patterns:
        check_deleted(pattern)  # all, before the first stream is gone
    async with connecting as client:
        outcome = "nothing was deleted"
        for pattern in patterns:
            try:
                deleted = await client.delete(pattern)
            except RequestRefused as error:
                raise CommandFailed(exit_code_of(error), f"{error}; {outcome}") from error
            if not deleted:
                raise CommandFailed(ExitCode.REFUSED, f"no stream matches {pattern}; {outcome}")
            for name in deleted:
                print(name)
            outcome = "nothing else was deleted"
