"""Read memory: what the sockets of an event loop read into, one at a time."""

from __future__ import annotations

import numpy as np

from gateway.websocket.spare_memory import SpareMemory

READ_BYTES = 256 * 1024
"""Most bytes that one system call reads."""

DIRECT_BYTES = 128 * 1024
"""Size from which a payload that is cut off by the end of a read gets a buffer of its own, which takes the rest."""

PEEK_BYTES = 4096
"""Size of the read after such a payload: another one is likely to follow, and most of it need not be copied then."""

BUFFER_BYTES = DIRECT_BYTES + READ_BYTES
"""Size of the buffer that connections are read into: it holds the rest of the read before, and one read."""


class ReadMemory:
    """Memory that all readers of an event loop share.

    Attributes:
        shared: the read buffer, out of which each reader takes its bytes before the next one reads into it.
        spare: for payloads that get a buffer of their own.
    """

    __slots__ = ("shared", "spare")

    def __init__(self) -> None:
        # Not zeroed, unlike a bytearray: the system gives the pages that are read into.
        self.shared = np.empty(BUFFER_BYTES, np.uint8).data
        self.spare = SpareMemory()
