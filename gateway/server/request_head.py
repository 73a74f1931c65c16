"""Head of the HTTP request that begins a WebSocket: finds its end, in bytes that come in any split."""

from __future__ import annotations

from typing import Final

MAX_HEAD_BYTES: Final = 64 * 1024
"""Largest head; browsers send some 500 bytes, and as many again for each kilobyte of cookies."""

_END: Final = b"\r\n\r\n"


class RequestHead:
    """Reader of the head; gone once it is complete.

    Attributes:
        size: bytes of the head that have come.
        complete: whether the end has come.
    """

    __slots__ = ("_tail", "complete", "size")

    def __init__(self) -> None:
        self.size = 0
        self.complete = False
        self._tail = b""

    @property
    def too_large(self) -> bool:
        """Whether the head is larger than any that is taken."""
        return self.size > MAX_HEAD_BYTES

    def take(self, data: bytes) -> int:
        """Return how many of these bytes, which come next, belong to the head."""
        seen = self._tail + data
        end = seen.find(_END)
        if end < 0:
            self._tail = seen[-len(_END) + 1 :]
            taken = len(data)
        else:
            self.complete = True
            taken = end + len(_END) - len(self._tail)
        self.size += taken
        return taken
