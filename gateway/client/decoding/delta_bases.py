"""Delta bases: the newest payload of each state stream, or the promise of the payload (spec section 10).

The module knows payloads and futures only. All methods run on the loop.
"""

from __future__ import annotations

import asyncio
from typing import Final

from gateway.errors import Code, RequestRefused
from gateway.protocol.sampling import MIN_BYTES
from gateway.protocol.wire import Buffer

MIN_BASE_BYTES: Final = MIN_BYTES
"""Smallest payload that a delta refers to."""


class DeltaBaseMissing(RequestRefused):
    """A delta refers to a version that this client does not have; a keyframe has to be requested."""

    def __init__(self, problem: str) -> None:
        super().__init__(Code.CORRUPT_PAYLOAD, problem)


class DeltaBase:
    """One version of a state.

    Attributes:
        offset: offset of the message.
        size: bytes of the payload.
    """

    __slots__ = ("_payload", "_work", "offset", "size")

    def __init__(self, offset: int, size: int, payload: Buffer | asyncio.Future[Buffer]) -> None:
        self.offset = offset
        self.size = size
        self._work: asyncio.Future[Buffer] | None = None
        self._payload: Buffer | None = None
        if isinstance(payload, asyncio.Future):
            self._work = payload
        else:
            self._payload = payload

    @property
    def pending(self) -> asyncio.Future[Buffer] | None:
        """Decoding of the payload to wait for; ``None``: the payload is there, or will never be."""
        return None if self._work is None or self._work.done() else self._work

    def payload(self) -> Buffer:
        """Return the payload, of ``size`` bytes; of a record batch the payload of its last record.

        Raises:
            DeltaBaseMissing: the version could not be decoded.
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
        newest: the newest version; ``None``: there is none that a delta could refer to.
    """

    __slots__ = ("newest",)

    def __init__(self) -> None:
        self.newest: DeltaBase | None = None

    def set_newest(self, offset: int, count: int, payload_bytes: int, payload: Buffer | asyncio.Future[Buffer]) -> None:
        """Make the last message of a received frame the newest version.

        Args:
            offset: offset of the first message in the frame.
            count: number of messages in the frame.
            payload_bytes: size of the decoded payload of all messages together.
            payload: the decoded payload, or the future that brings it.
        """
        size = payload_bytes // count
        self.newest = DeltaBase(offset + count - 1, size, payload) if size >= MIN_BASE_BYTES else None


def base_of(newest: DeltaBase | None, offset: int, size: int) -> DeltaBase:
    """Return the version that a delta refers to.

    Args:
        newest: newest version when the data frame of the delta arrived.
        offset: offset of the version that the delta refers to.
        size: bytes of the delta's decoded payload.

    Raises:
        DeltaBaseMissing: the newest version is another one.
    """
    if newest is None or newest.offset != offset or newest.size != size:
        held = "none" if newest is None else f"version {newest.offset} of {newest.size} bytes"
        raise DeltaBaseMissing(f"a delta of {size} bytes to version {offset}; held is {held}")
    return newest
