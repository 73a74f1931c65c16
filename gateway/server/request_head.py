"""Head of the HTTP request that begins a WebSocket: finds its end, in bytes that come in any split."""

from __future__ import annotations

import re
from typing import Final

MAX_HEAD_BYTES: Final = 64 * 1024
"""Largest head; browsers send some 500 bytes, and as many again for each kilobyte of cookies."""

_END: Final = b"\r\n\r\n"

_OTHER_METHOD: Final = re.compile(rb"(?!GET )[A-Z]{3,7} ")
"""Beginning of an HTTP request that begins no WebSocket, as a WebSocket is asked for by GET."""
_METHOD_BYTES: Final = 8
"""Longest method that HTTP clients use, and a space."""


class RequestHead:
    """Reader of the head; gone once it is complete.

    Attributes:
        size: bytes of the head that have come.
        complete: whether the end has come.
    """

    __slots__ = ("_start", "_tail", "complete", "size")

    def __init__(self) -> None:
        self.size = 0
        self.complete = False
        self._start = self._tail = b""

    @property
    def too_large(self) -> bool:
        """Whether the head is larger than any that is taken."""
        return self.size > MAX_HEAD_BYTES

    @property
    def is_of_other_method(self) -> bool:
        """Whether this is an HTTP request of another method than GET."""
        return _OTHER_METHOD.match(self._start) is not None

    def take(self, data: bytes) -> int:
        """Return how many of these bytes, which come next, belong to the head."""
        self._start += data[: _METHOD_BYTES - len(self._start)]
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
