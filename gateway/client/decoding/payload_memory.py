"""Payload memory: what large messages are put together in, used again if the program has let go of the last one.

The system clears new memory page by page: of 175 ms of CPU for a tensor of 256 MB that took 100 (EPYC family 25,
November 2026).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sized
from typing import Final

from gateway.protocol.transfers import new_memory
from gateway.websocket.spare_memory import SpareMemory

MAX_KEPT_BYTES: Final = 256 * 1024 * 1024
"""Largest payload whose memory is used again."""
KEPT_PIECES: Final = 2
"""Pieces that are known: of the last message, which the program mostly holds until the next one, and of that before."""
KEPT_S: Final = 2.0
"""Time after a message for which its memory is known: messages that come faster find it."""


class PayloadMemory:
    """Memory for the large messages of one session.

    Memory that the program has let go of is given back within :data:`KEPT_S`, or that time after the last message.
    Memory that it has is known as long as messages are on their way: slow ones find it, too.

    Args:
        loop: runs the session.
        under_way: the messages that are on their way.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, under_way: Sized) -> None:
        self._loop = loop
        self._under_way = under_way
        self._spare = SpareMemory(KEPT_PIECES, MAX_KEPT_BYTES)
        self._timer: asyncio.TimerHandle | None = None

    def take(self, size: int) -> memoryview:
        """Return memory for a message that begins, of any content; it belongs to those who hold a view of it.

        Raises:
            MemoryError: the machine has none.
        """
        memory = self._spare.find(size)
        if memory is None:
            self._spare.drop_unused()  # of other sizes, before there is more
            memory = new_memory(size)
        return memory

    def keep(self, memory: memoryview) -> None:
        """Know the memory of a message that is complete, or given up, for :data:`KEPT_S`.

        Args:
            memory: what :meth:`take` returned, or a part of it.
        """
        self._spare.keep(memory)
        self._start_timer()

    def clear(self) -> None:
        """Know nothing any more: what is not in use is given back."""
        self._stop_timer()
        self._spare = SpareMemory(KEPT_PIECES, MAX_KEPT_BYTES)

    def _start_timer(self) -> None:
        self._stop_timer()
        self._timer = self._loop.call_later(KEPT_S, self._time_is_over)

    def _time_is_over(self) -> None:
        if self._under_way:
            self._spare.drop_unused()
            self._start_timer()
        else:
            self.clear()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
