"""Outgoing frames of one session: what is sent together leaves in one WebSocket message, by one system call."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from gateway.protocol.wire import MIN_CHUNK_BYTES, Buffer

CORKED_BYTES: Final = 256 * 1024
"""Frames that are sent together are split into WebSocket messages of about this size, or of what the gateway takes."""
COLLECTED_BELOW: Final = 16 * 1024
"""Frames below this are collected: to copy them costs less than a system call."""
COLLECT_S: Final = 0.001
"""Longest time for which a collected frame waits, unless a sender computes after :data:`QUICK_TURNS`: then until the
sender has done so."""
QUICK_TURNS: Final = 16
"""Number of turns in a row without a sender that computes, after which frames are collected.

A collected frame waits for what runs between its sender and the end of the turn, which nothing can interrupt. Tasks
that have only sent their next messages for so many turns mostly go on like that; a program that computes every hundred
turns makes a frame wait each time.
"""


class OutgoingFrames:
    """Frames on their way to the socket.

    Args:
        loop: runs the session.
        write: writes frames as one WebSocket message, given their bytes together.

    Attributes:
        max_bytes: most bytes that are sent together.
    """

    __slots__ = (
        "_collect_until_s",
        "_collected",
        "_collecting",
        "_corked",
        "_corked_bytes",
        "_loop",
        "_marked_s",
        "_quick_turns",
        "_write",
        "max_bytes",
        "waiting_bytes",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop, write: Callable[[Sequence[Buffer], int], None]) -> None:
        self._loop = loop
        self._write = write
        self._corked: list[Buffer] | None = None
        self._corked_bytes = 0
        self._collected: list[Buffer] = []
        self._collecting = 0
        """Number of ends of turns to come at which collected frames leave."""
        self._collect_until_s = 0.0
        self._marked_s = 0.0
        """Time of the last answer or frame of the turn: the computing of the next sender begins then."""
        self._quick_turns = 0
        self.max_bytes = MIN_CHUNK_BYTES
        self.waiting_bytes = 0
        """Bytes that are collected."""

    def send(self, buffers: Sequence[Buffer], *, may_wait: bool = False) -> int:
        """Send complete frames, and return their bytes.

        Args:
            buffers: flat views of bytes, padded; may be reused when this method returns, unless corked.
            may_wait: whether they may be collected (:meth:`collect`): their sender waits for an answer to them.
        """
        size = sum(map(len, buffers))
        if self._corked is not None:
            if self._corked_bytes + size > self.max_bytes:
                self._send_corked()
            self._corked += buffers
            self._corked_bytes += size
        elif may_wait and self._collecting and self._in_time() and size < COLLECTED_BELOW:
            if self.waiting_bytes + size > self.max_bytes:
                self.flush()
            self._collected.append(b"".join(buffers))
            self.waiting_bytes += size
        else:
            self.flush()
            self._write(buffers, size)
        return size

    def send_each(self, frames: Iterable[Buffer]) -> None:
        """Send complete frames, one in each buffer, in as few WebSocket messages as hold them."""
        if self._corked is not None:
            for frame in frames:
                self.send((frame,))
            return
        self.cork()
        try:
            self.send_each(frames)
        finally:
            self.uncork()

    def cork(self) -> None:
        """Keep sent frames until :meth:`uncork`, which must be called before the loop goes on."""
        self._corked = []

    def uncork(self) -> None:
        """Send the frames that were kept, in as few WebSocket messages as possible."""
        self._send_corked()
        self._corked = None

    def _send_corked(self) -> None:
        self.flush()
        if self._corked:
            self._write(self._corked, self._corked_bytes)
        self._corked, self._corked_bytes = [], 0

    def collect(self) -> None:
        """Collect what those send who have just got their answers, until they have had their turn of the loop.

        A program that awaits many publishes at once sends the next ones by one system call. A message that is sent at
        another time does not wait, nor does one in a turn whose senders compute.
        """
        if not self._collecting:
            self._marked_s = time.perf_counter()
        self._collecting += 1
        self._loop.call_soon(self._end_collecting)  # behind the wake-ups of those who wait

    def _end_collecting(self) -> None:
        self._collecting -= 1
        if not self._collecting:  # those who got the last answer of the turn have had theirs
            self.flush()
            self._mark()
            self._quick_turns += 1

    def _in_time(self) -> bool:
        """Return whether the next frame may be collected: none has waited long, nor is likely to."""
        now_s = self._mark()  # not by the loop's clock, which uvloop stops for the turn
        if not self._collected:
            self._collect_until_s = now_s + COLLECT_S / 2
        return self._quick_turns >= QUICK_TURNS and now_s < self._collect_until_s

    def _mark(self) -> float:
        """Note that a sender had its turn, and whether it has computed; return the time."""
        now_s = time.perf_counter()
        if now_s - self._marked_s > COLLECT_S / 2:
            self._quick_turns = -1  # this turn does not count
        self._marked_s = now_s
        return now_s

    def flush(self) -> None:
        """Send what is collected."""
        if self._collected:
            frames, size = self._collected, self.waiting_bytes
            self._collected, self.waiting_bytes = [], 0
            self._write(frames, size)
