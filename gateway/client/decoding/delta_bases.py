"""What deltas refer to: the newest payload of a state stream, or the promise of it (spec section 10).

Knows payloads and futures only. All methods run on the loop.
"""

from __future__ import annotations

import asyncio
from typing import Final

from gateway.errors import Code, RequestRefused
from gateway.protocol.sampling import MIN_BYTES
from gateway.protocol.wire import Buffer

MIN_BASE_BYTES: Final = MIN_BYTES
"""Smaller payloads are never referred to."""


class DeltaBaseMissing(RequestRefused):
    """A delta refers to a version that is not here; the newest one has to be asked for whole."""

    def __init__(self, problem: str) -> None:
        super().__init__(Code.CORRUPT_PAYLOAD, problem)


class DeltaBase:
    """One version of a state.

    Attributes:
        offset: of the message.
        size: bytes of the payload.
    """

    __slots__ = ("_payload", "_work", "offset", "size")

    def __init__(self, offset: int, size: int, payload: Buffer | asyncio.Future[Buffer]) -> None:
        self.offset = offset
        self.size = size
        self._work = payload if isinstance(payload, asyncio.Future) else None
        self._payload = None if isinstance(payload, asyncio.Future) else payload

    @property
    def pending(self) -> asyncio.Future[Buffer] | None:
        """What to wait for; None: the payload is there, or will never be."""
        return None if self._work is None or self._work.done() else self._work

    def payload(self) -> Buffer:
        """The payload, of ``size`` bytes; of a record batch its last record.

        Raises:
            BaseMissing: the version could not be decoded.
        """
        if self._payload is None:
            assert self._work is not None
            if self._work.cancelled() or self._work.exception() is not None:
                raise DeltaBaseMissing(f"a delta to version {self.offset}, which could not be decoded")
            self._payload, self._work = self._work.result(), None
        return memoryview(self._payload)[len(self._payload) - self.size :]


class DeltaBases:
    """The newest version of one stream of this session.

    Attributes:
        newest: None: there is none that could be referred to.
    """

    __slots__ = ("newest",)

    def __init__(self) -> None:
        self.newest: DeltaBase | None = None

    def hold(self, offset: int, count: int, payload_bytes: int, payload: Buffer | asyncio.Future[Buffer]) -> None:
        """A message or batch has been received.

        Args:
            offset: of the first message.
            count: how many there are.
            payload_bytes: size of all of them.
            payload: theirs, or what it is being decoded by.
        """
        size = payload_bytes // count
        self.newest = DeltaBase(offset + count - 1, size, payload) if size >= MIN_BASE_BYTES else None


def base_of(newest: DeltaBase | None, offset: int, size: int) -> DeltaBase:
    """The version that a delta refers to.

    Args:
        newest: the newest one when the data frame of the delta came.
        offset: of the version that is referred to.
        size: of the delta's payload.

    Raises:
        BaseMissing: the newest is another one.
    """
    if newest is None or newest.offset != offset or newest.size != size:
        held = "none" if newest is None else f"version {newest.offset} of {newest.size} bytes"
        raise DeltaBaseMissing(f"a delta of {size} bytes to version {offset}; held is {held}")
    return newest
