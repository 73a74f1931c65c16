"""States of a client."""

from __future__ import annotations

import enum


class ClientState(enum.StrEnum):
    """State of a client (``spec/client.md`` section 2)."""

    CONNECTING = "connecting"
    CONNECTED = "connected"
    RECONNECTING = "reconnecting"
    CLOSED = "closed"
