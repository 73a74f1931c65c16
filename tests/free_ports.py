"""Free ports: those at which nobody listens for a while, and that nobody else is given meanwhile."""

import random
import socket
from contextlib import suppress
from typing import Final

PORTS: Final = range(20_000, 32_000)
"""Below those that Linux gives to outgoing connections, and to servers that ask for any port, as other tests do beside
this one. While nobody listens, a client that tries again and again would sooner or later be given the very port that it
connects to, and talk to itself."""


def free_port() -> int:
    """Return a port that is free on 127.0.0.1."""
    for port in random.sample(PORTS, len(PORTS)):
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise RuntimeError(f"no free port in {PORTS}")
