"""``frys demo``: a gateway, agents and a live view of their streams on one machine."""

from __future__ import annotations

import importlib.util
from typing import Final

import click
from rich.console import Console

from gateway.cli.command import Command
from gateway.cli.connection_option import DEFAULT_URL
from gateway.cli.exit_code import EXTRA, CommandFailed, ExitCode
from gateway.config import Settings
from gateway.config.bounds import check_start
from gateway.demo.display import Display, LineDisplay, TerminalDisplay
from gateway.demo.family import ChildFailed
from gateway.demo.scene import GatewayUrls, Plan, play
from gateway.demo.streams import WORKFLOW

DEFAULTS: Final = Settings()
STEPS_PER_S: Final = 20.0


PORT: Final = click.IntRange(0, 65535)


@click.command(cls=Command)
@click.option(
    "--seconds",
    type=click.FloatRange(0),
    metavar="N",
    help="Duration in seconds. Without it: until Ctrl-C.",
)
@click.option(
    "--port",
    type=PORT,
    metavar="PORT",
    help=f"Port for WebSockets; 0 picks a free one. Without it: {DEFAULTS.port}, or a free one if taken.",
)
@click.option(
    "--admin-port",
    type=PORT,
    metavar="PORT",
    help=f"Admin port; 0 picks a free one. Without it: {DEFAULTS.admin_port}, or a free one if taken.",
)
@click.option(
    "--steps-per-second",
    type=click.FloatRange(0.1),
    default=STEPS_PER_S,
    metavar="N",
    help="Training steps a second.",
)
def demo(seconds: float | None, port: int | None, admin_port: int | None, steps_per_second: float) -> None:
    """Run a gateway, agents that train a small model on real data, and a live view of their streams.

    One agent trains a classifier on scikit-learn's handwritten digits, and publishes weights, gradients, activations,
    the confusion matrix and the loss of every step. Another agent receives the weights, and publishes their accuracy on
    held-out images. The gateway and both agents are processes of their own.

    Examples:

        frys demo
        frys demo --seconds 30 --port 9000
    """
    if importlib.util.find_spec("sklearn") is None:
        raise CommandFailed(
            ExitCode.FAILURE, f"scikit-learn is not installed; the demo trains on its digits: run {EXTRA}"
        )
    # A default that is the port asked for is as taken as by another program.
    settings = Settings(
        port=(0 if admin_port == DEFAULTS.port else DEFAULTS.port) if port is None else port,
        admin_port=(0 if port == DEFAULTS.admin_port else DEFAULTS.admin_port) if admin_port is None else admin_port,
    )
    check_start(settings)
    asked = {"port": port, "admin_port": admin_port}
    plan = Plan(
        port=settings.port,
        admin_port=settings.admin_port,
        replaceable=frozenset(name for name, number in asked.items() if number is None),
        seconds=seconds,
        steps_per_s=steps_per_second,
    )
    console = Console()
    if console.is_terminal:
        console.print("starting a gateway and two agents ...", style="dim")
    try:
        board = play(plan, lambda urls: _open_display(console, urls))
    except ChildFailed as error:
        if "in_use" not in error.details:
            raise CommandFailed(ExitCode.FAILURE, str(error)) from error
        raise CommandFailed(ExitCode.CANNOT_LISTEN, f"{error} (choose another --port or --admin-port)") from error
    print(f"the demo has ended: {board.total()}")


def _open_display(console: Console, urls: GatewayUrls) -> Display:
    admin = f"  (admin {urls.admin_url})" if urls.admin_url else ""
    if not console.is_terminal:
        print(f"a gateway on {urls.url}{admin}", flush=True)
        return LineDisplay()
    url = "" if urls.url == DEFAULT_URL else f" --url {urls.url}"
    return TerminalDisplay(
        console, f"{urls.url}{admin}", f"Ctrl-C ends it; in another terminal: frys sub '{WORKFLOW}/*'{url}"
    )
