"""``frys serve``: runs a gateway until a signal stops it.

Its imports are as few as serving needs, because a user waits for them before the gateway listens.
"""

from __future__ import annotations

import asyncio
import enum
import logging
import os
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import uvloop

from gateway.app import Gateway
from gateway.cli.command import Command
from gateway.cli.exit_code import CommandFailed, ExitCode
from gateway.cli.interruption import ended_at_once_by_signals
from gateway.cli.settings_option import DEFAULTS, with_given_options, with_settings_options
from gateway.cli.stopping import Stopping
from gateway.config import Settings
from gateway.config.address import networks_of
from gateway.config.file import read_settings
from gateway.errors import CannotListen, StoreFailed
from gateway.server.allocator import give_back_when_calm, keep_freed_memory
from gateway.server.descriptors import fill_standard_descriptors, raise_descriptor_limit
from gateway.server.garbage import GarbageCollection
from gateway.server.log_limit import LogLimit
from gateway.server.loop import keep_threads_brief

logger = logging.getLogger(__name__)


class LogLevel(enum.StrEnum):
    """Lowest level that is logged to stderr."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@click.command(cls=Command)
@with_settings_options
@click.option("--insecure", is_flag=True, help="Admit everybody who reaches --host, also from elsewhere.")
@click.option("--no-admin", is_flag=True, help="Leave the admin port out.")
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Configuration file with all other settings, as printed by frys config show; options override it.",
)
@click.option(
    "--log-level",
    type=click.Choice(LogLevel, case_sensitive=False),
    default=LogLevel.INFO.value,
    metavar="LEVEL",
    help="Lowest level logged to stderr: debug, info, warning or error.",
)
@click.pass_context
def serve(
    context: click.Context,
    /,
    *,
    insecure: bool,
    no_admin: bool,
    config: Path | None,
    log_level: LogLevel,
    **options: Any,
) -> int:
    """Run a gateway.

    Prints its addresses when it accepts connections. SIGTERM, SIGHUP or Ctrl-C stops it gracefully: clients are told,
    and queued messages are delivered. A second SIGTERM or Ctrl-C stops it at once.

    Examples:

        frys serve
        frys serve --host 0.0.0.0 --port 9000 --no-admin --keys file:keys.json
        frys serve --store sqlite:/var/lib/frys/streams.db --config frys.toml
    """
    settings = with_given_options(DEFAULTS if config is None else read_settings(config), context, options)
    if insecure:
        settings = replace(settings, security=replace(settings.security, insecure=True))
    if no_admin:
        settings = replace(settings, admin_port=None)
    handler = logging.StreamHandler()
    handler.addFilter(LogLimit(time.monotonic))
    line_format = "%(asctime)s %(levelname)s %(name)s: %(message)s"
    logging.basicConfig(level=log_level.upper(), format=line_format, handlers=[handler])
    keep_freed_memory()
    fill_standard_descriptors()
    raise_descriptor_limit()
    keep_threads_brief()
    # Until the gateway listens for signals itself; asyncio would keep the first Ctrl-C.
    with ended_at_once_by_signals():
        uvloop.run(_serve(settings))
    return ExitCode.OK


def _announce(text: str) -> None:
    """Print a text; a gateway serves also if its output is a full disk, or nobody reads it any more."""
    try:
        print(text, flush=True)
    except OSError as error:
        # The end of the process would try again to write the text, and fail.
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)
        logger.warning("%s (standard output: %s)", text, error.strerror)


async def _serve(settings: Settings) -> None:
    collection = GarbageCollection()
    collection.start()
    try:
        await _serve_until_stopped(settings, collection)
    finally:
        collection.stop()


async def _serve_until_stopped(settings: Settings, collection: GarbageCollection) -> None:
    gateway = Gateway(settings)
    # Not before the store is read, which holds up the loop: until then a signal ends the process at once.
    stopping = Stopping(settings.drain_deadline_s, settings.store_path)
    stopping.listen_for_signals()
    gateway.core.on_drain = stopping.begin_for
    try:
        await gateway.start()
    except CannotListen as error:
        await gateway.stop()
        problem = f"{error} (choose another --host, --port or --admin-port)"
        raise CommandFailed(ExitCode.CANNOT_LISTEN, problem) from error
    admin = "" if gateway.admin_url is None else f" (admin {gateway.admin_url})"
    networks = networks_of(gateway.addresses)
    everywhere = "" if networks is None else f", on {networks} of this machine"
    admitted = " for clients with a token" if settings.security.keys else " for everybody"
    page = "" if gateway.dashboard_url is None else f"\ndashboard {gateway.dashboard_url}"
    _announce(f"listening on {gateway.url}{admin}{admitted}{everywhere}{page}")
    collection.spare()
    caring = give_back_when_calm(collection.drop_freed_objects), collection.collect_regularly()
    caring_for_memory = [asyncio.create_task(each) for each in caring]
    await stopping.wanted.wait()
    for task in caring_for_memory:
        task.cancel()
    try:
        await gateway.stop()
    except StoreFailed as error:
        stopping.outcome = ExitCode.INCOMPLETE
        raise CommandFailed(ExitCode.INCOMPLETE, str(error)) from error
    stopping.outcome = ExitCode.OK
