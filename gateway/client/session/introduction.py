"""Introduction: the part of HELLO by which a gateway knows a client again (``spec/client.md`` section 3)."""

from __future__ import annotations

import secrets
from typing import Final

from gateway.protocol.messages import Welcome

INSTANCES_BELOW: Final = 2**53
"""Bound of the number by which a gateway tells the reconnect of a client from a restart of its program."""


class Introduction:
    """Part of every HELLO of one client: its name, and the numbers that tell it from others of that name.

    Args:
        client_id: name that the program has chosen; ``None``: the gateway makes one up.

    Attributes:
        client_id: name of the client; ``None`` before the gateway has told it.
        instance: number of the running client.
        generation: last generation that a gateway has given to the client; ``None``: none has given one.
    """

    __slots__ = ("client_id", "generation", "instance")

    def __init__(self, client_id: str | None) -> None:
        self.client_id = client_id
        self.instance = secrets.randbelow(INSTANCES_BELOW)
        self.generation: int | None = None

    def take(self, welcome: Welcome) -> None:
        """Keep what WELCOME tells, for the next HELLO."""
        self.client_id = welcome.client_id
        if welcome.generation is not None:
            self.generation = welcome.generation
