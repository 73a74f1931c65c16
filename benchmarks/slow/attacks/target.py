"""Gateway under attack."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple


class Target(NamedTuple):
    """Ports of the gateway."""

    port: int
    admin_port: int


Program = Callable[[Target], Iterator[None]]
"""Program of an attack. It connects, and attacks once for each value that is asked of it. It may fail with an
``OSError`` if the gateway closes its connections; then it is started again."""
