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
from pathlib import Path
from typing import Annotated, Any, Final

import typer
import uvloop

from gateway.app import Gateway
from gateway.cli.exit_code import CommandFailed, ExitCode
from gateway.config import Settings
from gateway.config.file import read_settings
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
        str | None,
        typer.Option(
            metavar="HOST", help="Address of both ports; 0.0.0.0 for all networks.", show_default=DEFAULTS.host
        ),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=65535,
            metavar="PORT",
            help="Port for WebSockets; 0 picks a free one.",
            show_default=str(DEFAULTS.port),
        ),
    ] = None,
    admin_port: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=65535,
            metavar="PORT",
            help="Port for health, metrics and the HTTP API; 0 picks a free one.",
            show_default=str(DEFAULTS.admin_port),
        ),
    ] = None,
    no_admin: Annotated[bool, typer.Option("--no-admin", help="Leave the admin port out.")] = False,
    store: Annotated[
        str | None,
        typer.Option(
            metavar="STORE",
            help="Where streams are kept: memory, or sqlite:PATH for those that outlive the gateway.",
            show_default=DEFAULTS.store,
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A file with everything else (frys config show); options go before it."),
    ] = None,
    drain_deadline: Annotated[
        float | None,
        typer.Option(
            min=0,
            metavar="SECONDS",
            help="How long a stopping gateway delivers what is queued.",
            show_default=str(DEFAULTS.drain_deadline_s),
        ),
    ] = None,
    max_connections: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Connections at once; one more is turned away.",
            show_default=str(DEFAULTS.core.max_connections),
        ),
    ] = None,
    max_message_bytes: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="BYTES",
            help="The largest message that is accepted.",
            show_default=str(DEFAULTS.core.limits.max_message_bytes),
        ),
    ] = None,
    outbox_bytes: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="BYTES",
            help="What is held for one receiver that does not keep up.",
            show_default=str(DEFAULTS.core.delivery.outbox_limit_bytes),
        ),
    ] = None,
    worker_threads: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Threads that compress large messages.",
            show_default=str(DEFAULTS.worker_threads),
        ),
    ] = None,
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
        frys serve --store sqlite:/var/lib/frys/streams.db --config frys.toml
    """
    settings = DEFAULTS if config is None else read_settings(config)
    core = settings.core
    core = replace(
        core,
        **_given(max_connections=max_connections),
        limits=replace(core.limits, **_given(max_message_bytes=max_message_bytes)),
        delivery=replace(core.delivery, **_given(outbox_limit_bytes=outbox_bytes)),
    )
    settings = replace(
        settings,
        core=core,
        **_given(
            host=host,
            port=port,
            admin_port=admin_port,
            store=store,
            worker_threads=worker_threads,
            drain_deadline_s=drain_deadline,
        ),
    )
    if no_admin:
        settings = replace(settings, admin_port=None)
    logging.basicConfig(level=log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    keep_freed_memory()
    uvloop.run(_serve(settings))
    return ExitCode.OK


def _given(**options: Any) -> dict[str, Any]:
    """The options that are on the command line."""
    return {name: value for name, value in options.items() if value is not None}


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
