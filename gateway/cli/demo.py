"""``frys demo``: a gateway, agents and a live view of their streams on one machine."""

from __future__ import annotations

import importlib.util
import os
from functools import partial
from typing import Final

import click
from rich.console import Console

from gateway.cli.browser import has_display, open_page
from gateway.cli.command import Command
from gateway.cli.connection_option import DEFAULT_URL
from gateway.cli.exit_code import EXTRA, CommandFailed, ExitCode
from gateway.config import Settings
from gateway.config.bounds import check_start
from gateway.demo.display import Display, LineDisplay, TerminalDisplay
from gateway.demo.family import ChildFailed
from gateway.demo.scene import GatewayUrls, Plan, play
from gateway.demo.screen import brief_line, screen
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
@click.option("--no-browser", is_flag=True, help="Print the address of the dashboard, and leave the browser alone.")
def demo(
    seconds: float | None, port: int | None, admin_port: int | None, steps_per_second: float, no_browser: bool
) -> None:
    """Run a gateway, agents that train a small model on real data, and a live view of their streams.

    One agent trains a classifier on scikit-learn's handwritten digits, and publishes weights, gradients, activations,
    the confusion matrix and the loss of every step. Another agent receives the weights, and publishes their accuracy on
    held-out images. The gateway and both agents are processes of their own. The dashboard opens in a browser if it was
    built, and the view in the terminal is then a line.

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
        board = play(plan, lambda urls: open_display(console, urls, no_browser=no_browser))
    except ChildFailed as error:
        if "in_use" not in error.details:
            raise CommandFailed(ExitCode.FAILURE, str(error)) from error
        raise CommandFailed(ExitCode.CANNOT_LISTEN, f"{error} (choose another --port or --admin-port)") from error
    print(f"the demo has ended: {board.total()}")


def open_display(console: Console, urls: GatewayUrls, *, no_browser: bool) -> Display:
    """Print where the gateway is, and return the display; open the dashboard where there is a screen to show it."""
    admin = f"  (admin {urls.admin_url})" if urls.admin_url else ""
    page = urls.dashboard_url
    if not console.is_terminal:
        print(f"a gateway on {urls.url}{admin}", *([] if page is None else [f"dashboard {page}"]), sep="\n", flush=True)
        return LineDisplay()
    url = "" if urls.url == DEFAULT_URL else f" --url {urls.url}"
    hint = f"Ctrl-C ends it; in another terminal: frys sub '{WORKFLOW}/*'{url}"
    if page is None:
        return TerminalDisplay(console, partial(screen, title=f"{urls.url}{admin}", hint=hint), is_full_screen=True)
    if not no_browser and has_display(os.environ):
        open_page(page)
    # Once, and not with each picture: a user copies the address.
    console.print("dashboard", page, style="bold")
    console.print(hint, style="dim")
    return TerminalDisplay(console, brief_line, is_full_screen=False)
