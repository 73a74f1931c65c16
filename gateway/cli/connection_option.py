"""Options of ``frys pub`` and ``frys sub`` for the connection to a gateway."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import click

DEFAULT_URL: Final = "ws://127.0.0.1:8765"
"""Address on which ``frys serve`` listens by default."""

TOKEN_OPTION: Final = click.option(
    "--token",
    envvar="FRYS_TOKEN",
    show_envvar=True,
    metavar="TOKEN",
    help="Token for a gateway that asks for one; from the environment, other users of the machine do not see it.",
)

CONNECTION_OPTIONS: Final = (
    click.option(
        "--url",
        default=DEFAULT_URL,
        metavar="URL",
        help="Gateway: ws://host:port, or wss:// of a TLS proxy before it.",
    ),
    TOKEN_OPTION,
    click.option("--client-id", metavar="ID", help="Client id; made up by the gateway if absent."),
)


def with_connection_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options, of parameters ``url``, ``token`` and ``client_id``, to a function of which a command is made."""
    for option in reversed(CONNECTION_OPTIONS):  # as decorators, which add the last option first
        command = option(command)
    return command
