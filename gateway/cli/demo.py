"""``frys demo``: everything at work on one machine."""

from __future__ import annotations

import importlib.util
from typing import Annotated, Final

import typer
from rich.console import Console

from gateway.cli.connection import DEFAULT_URL
from gateway.cli.exit_code import EXTRA, CommandFailed, ExitCode
from gateway.config import Settings
from gateway.demo.display import Display, LineDisplay, TerminalDisplay
from gateway.demo.family import ChildFailed
from gateway.demo.scene import GatewayUrls, Plan, play
from gateway.demo.streams import WORKFLOW

DEFAULTS: Final = Settings()
STEPS_PER_S: Final = 20.0


def demo(
    seconds: Annotated[
        float | None,
        typer.Option(min=0, metavar="N", help="How long it runs. Without it: until Ctrl-C.", show_default=False),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=65535,
            metavar="PORT",
            help=f"Port for WebSockets; 0 picks a free one. Without it: {DEFAULTS.port}, or a free one if taken.",
            show_default=False,
        ),
    ] = None,
    admin_port: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=65535,
            metavar="PORT",
            help=f"The same for the admin port; without it: {DEFAULTS.admin_port}.",
            show_default=False,
        ),
    ] = None,
    steps_per_second: Annotated[
        float, typer.Option(min=0.1, metavar="N", help="How fast the model is trained.")
    ] = STEPS_PER_S,
) -> None:
    """Run a gateway, agents that train a small model on real data, and a live view of their streams.

    One agent trains a classifier on scikit-learn's handwritten digits, and publishes weights, gradients, activations,
    the confusion matrix and the loss at every step. Another one follows the weights, and publishes how well they do on
    images that were held out. Each is a process of its own, as the gateway is.

    Examples:

        frys demo
        frys demo --seconds 30 --port 9000
    """
    if importlib.util.find_spec("sklearn") is None:
        raise CommandFailed(ExitCode.FAILURE, f"scikit-learn is not installed; the demo needs its digits: {EXTRA}")
    plan = Plan(
        port=DEFAULTS.port if port is None else port,
        admin_port=DEFAULTS.admin_port if admin_port is None else admin_port,
        other_ports=port is None and admin_port is None,
        seconds=seconds,
        steps_per_s=steps_per_second,
    )
    console = Console()
    if console.is_terminal:
        console.print("starting a gateway and two agents ...", style="dim")
    try:
        board = play(plan, lambda place: _open_display(console, place))
    except ChildFailed as error:
        code = ExitCode.CANNOT_LISTEN if "in_use" in error.details else ExitCode.FAILURE
        raise CommandFailed(code, str(error)) from error
    print(f"the demo has ended: {board.total()}")


def _open_display(console: Console, place: GatewayUrls) -> Display:
    admin = f"  (admin {place.admin_url})" if place.admin_url else ""
    if not console.is_terminal:
        print(f"a gateway on {place.url}{admin}", flush=True)
        return LineDisplay()
    url = "" if place.url == DEFAULT_URL else f" --url {place.url}"
    return TerminalDisplay(console, f"{place.url}{admin}", f"Ctrl-C ends it; elsewhere: frys sub '{WORKFLOW}/*'{url}")
