"""``frys serve``: runs a gateway until a signal stops it.

Its imports are what stands between a user and a listening gateway: nothing that serving does not need.
"""

from __future__ import annotations

import asyncio
import enum
import gc
import logging
import os
import signal
import sys
from dataclasses import replace
from typing import Annotated, Final

import typer
import uvloop

from gateway.app import Gateway
from gateway.cli.exit_code import CommandFailed, ExitCode
from gateway.config import Settings
from gateway.server.allocator import keep_freed_memory

logger = logging.getLogger(__name__)

DEFAULTS: Final = Settings()


class LogLevel(enum.StrEnum):
    """What is logged to stderr, and what is worse."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


def serve(
    host: Annotated[
        str, typer.Option(metavar="HOST", help="Address of both ports; 0.0.0.0 for all networks.")
    ] = DEFAULTS.host,
    port: Annotated[
        int, typer.Option(min=0, max=65535, metavar="PORT", help="Port for WebSockets; 0 picks a free one.")
    ] = DEFAULTS.port,
    admin_port: Annotated[
        int,
        typer.Option(
            min=0, max=65535, metavar="PORT", help="Port for health, metrics and the HTTP API; 0 picks a free one."
        ),
    ] = DEFAULTS.admin_port or 0,
    no_admin: Annotated[bool, typer.Option("--no-admin", help="Leave the admin port out.")] = False,
    drain_deadline: Annotated[
        float, typer.Option(min=0, metavar="SECONDS", help="How long a stopping gateway delivers what is queued.")
    ] = DEFAULTS.drain_deadline_s,
    max_connections: Annotated[
        int, typer.Option(min=1, metavar="N", help="Connections at once; one more is turned away.")
    ] = DEFAULTS.core.max_connections,
    max_message_bytes: Annotated[
        int, typer.Option(min=1, metavar="BYTES", help="The largest message that is accepted.")
    ] = DEFAULTS.core.limits.max_message_bytes,
    outbox_bytes: Annotated[
        int, typer.Option(min=1, metavar="BYTES", help="What is held for one receiver that does not keep up.")
    ] = DEFAULTS.core.delivery.outbox_limit_bytes,
    worker_threads: Annotated[
        int, typer.Option(min=1, metavar="N", help="Threads that compress large messages.")
    ] = DEFAULTS.worker_threads,
    log_level: Annotated[
        LogLevel,
        typer.Option(
            case_sensitive=False, metavar="LEVEL", help="What is logged to stderr: debug, info, warning or error."
        ),
    ] = LogLevel.INFO,
) -> int:
    """Run a gateway.

    Prints one line when it accepts connections. SIGTERM or Ctrl-C stops it in good order: clients are told, and what is
    queued is delivered; a second signal stops it at once.

    Examples:

        frys serve
        frys serve --host 0.0.0.0 --port 9000 --no-admin
    """
    core = DEFAULTS.core
    settings = Settings(
        host=host,
        port=port,
        admin_port=None if no_admin else admin_port,
        worker_threads=worker_threads,
        drain_deadline_s=drain_deadline,
        core=replace(
            core,
            max_connections=max_connections,
            limits=replace(core.limits, max_message_bytes=max_message_bytes),
            delivery=replace(core.delivery, outbox_limit_bytes=outbox_bytes),
        ),
    )
    logging.basicConfig(level=log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    keep_freed_memory()
    uvloop.run(_serve(settings))
    return ExitCode.OK


async def _serve(settings: Settings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _signalled, stop, settings.drain_deadline_s)
    gateway = Gateway(settings)
    try:
        await gateway.start()
    except OSError as error:
        await gateway.stop()
        raise CommandFailed(ExitCode.CANNOT_LISTEN, f"cannot listen: {error.strerror or error}") from error
    admin = "" if gateway.admin_url is None else f" (admin {gateway.admin_url})"
    print(f"listening on {gateway.url}{admin}", flush=True)
    # What exists now lives as long as the process; a full collection would look at all of it for 3 ms (2026-11).
    gc.freeze()
    await stop.wait()
    await gateway.stop()


def _signalled(stop: asyncio.Event, drain_deadline_s: float) -> None:
    if not stop.is_set():
        logger.info("stopping within %g s; a second signal stops at once", drain_deadline_s)
        stop.set()
        return
    # Not sys.exit, which would wait for the threads that encode.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(ExitCode.INTERRUPTED)
