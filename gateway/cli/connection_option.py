"""Options of ``frys pub`` and ``frys sub`` for the connection to a gateway."""

from __future__ import annotations

from typing import Annotated, Final

import typer

DEFAULT_URL: Final = "ws://127.0.0.1:8765"
"""Address on which ``frys serve`` listens by default."""

UrlOption = Annotated[
    str, typer.Option(metavar="URL", help="Gateway: ws://host:port, or wss:// of a TLS proxy before it.")
]
TokenOption = Annotated[
    str | None,
    typer.Option(metavar="TOKEN", help="Token sent to the gateway; this version asks for none."),
]
ClientIdOption = Annotated[
    str | None, typer.Option(metavar="ID", help="Client id; made up by the gateway if absent.", show_default=False)
]
