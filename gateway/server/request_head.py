"""Head of the HTTP request that begins a WebSocket: finds its end, in bytes that come in any split."""

from __future__ import annotations

import re
from typing import Final

from gateway.protocol.messages import ClientType

MAX_HEAD_BYTES: Final = 64 * 1024
"""Largest head; browsers send some 500 bytes, and as many again for each kilobyte of cookies."""

_END: Final = b"\r\n\r\n"

_LINE_BYTES: Final = 512
"""Bytes of the beginning that are looked at: a longer URL names no type of client."""
_CLIENT_TYPE: Final = re.compile(rb"GET [^ ?#]*\?(?:[^ #]*&)?client_type=([^ &#]*)[ &#]")
CLIENT_TYPES: Final = tuple(client_type.value for client_type in ClientType)

_OTHER_METHOD: Final = re.compile(rb"(?!GET )[A-Z]{3,7} ")
"""Beginning of an HTTP request that begins no WebSocket, as a WebSocket is asked for by GET."""


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

    @property
    def client_type(self) -> ClientType | None:
        """Type of client that the URL names, as in ``/?client_type=agent``; ``None``: it names none that there is."""
        named = self.named_type
        return ClientType(named) if named in CLIENT_TYPES else None

    @property
    def named_type(self) -> str | None:
        """Value that the URL has for the type of the client, right or wrong; ``None``: it has none."""
        named = _CLIENT_TYPE.match(self._start)
        return None if named is None else named[1].decode("latin-1")

    def take(self, data: bytes) -> int:
        """Return how many of these bytes, which come next, belong to the head."""
        self._start += data[: _LINE_BYTES - len(self._start)]
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
