"""Payload memory: what large messages are put together in, used again if the program has let go of the last one.

The system clears new memory page by page: of 175 ms of CPU for a tensor of 256 MB that took 100 (EPYC family 25,
November 2026).
"""

from __future__ import annotations

import asyncio
from typing import Final

from gateway.protocol.transfers import new_memory
from gateway.websocket.spare_memory import SpareMemory

MAX_KEPT_BYTES: Final = 256 * 1024 * 1024
"""Largest payload whose memory is used again."""
KEPT_PIECES: Final = 2
"""Pieces that are known: of the last message, which the program mostly holds until the next one, and of that before."""
KEPT_S: Final = 2.0
"""Time after a message for which its memory is known: messages that come faster find it. Slower ones, such as 256 MiB
at 1 Gbit/s, take longer than the system for new memory, which was 0.1 to 0.7 s (November 2026)."""


class PayloadMemory:
    """Memory for the large messages of one session.

    Memory that the program has let go of is given back at the latest :data:`KEPT_S` after the last message.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
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
        self._stop_timer()
        self._spare.keep(memory)
        self._timer = self._loop.call_later(KEPT_S, self.clear)

    def clear(self) -> None:
        """Know nothing any more: what is not in use is given back."""
        self._stop_timer()
        self._spare = SpareMemory(KEPT_PIECES, MAX_KEPT_BYTES)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
