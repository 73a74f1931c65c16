"""How ``pub`` and ``sub`` reach a gateway: the options that both have."""

from __future__ import annotations

from typing import Annotated, Final

import typer

DEFAULT_URL: Final = "ws://127.0.0.1:8765"
"""Where ``frys serve`` listens by default."""

Url = Annotated[str, typer.Option(metavar="URL", help="Where the gateway is: ws://host:port, or wss:// for TLS.")]
Token = Annotated[
    str | None, typer.Option(metavar="TOKEN", help="Proof of who you are, where the gateway asks for one.")
]
ClientId = Annotated[
    str | None, typer.Option(metavar="ID", help="Who you are; the gateway makes one up.", show_default=False)
]
