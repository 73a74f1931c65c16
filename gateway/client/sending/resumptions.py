"""Resumptions: RESUME frames, in which the gateway names the chunk at which an interrupted large message continues.

An earlier connection has sent the chunks before that one (spec section 6.5).
"""

from __future__ import annotations

import asyncio
from typing import Any

from gateway.errors import FrysError
from gateway.protocol.frames import Frame
from gateway.protocol.signals import Resume


class Resumptions:
    """RESUME frames that the client waits for on the present session."""

    def __init__(self) -> None:
        self._answers: dict[int, asyncio.Future[int]] = {}

    async def index_of(self, transfer: int, settled: asyncio.Future[object]) -> int | None:
        """Wait for the gateway's answer and return the index of the next chunk; ``None`` if no chunk has to be sent.

        Args:
            transfer: number in the head that has been sent.
            settled: done when the outcome of the message is known, or nobody wants it any more.

        Raises:
            ConnectionFailed: the session ended first.
        """
        answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._answers[transfer] = answer
        try:
            first: set[asyncio.Future[Any]] = {answer, settled}
            await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
            return answer.result() if answer.done() else None
        finally:
            del self._answers[transfer]

    def received(self, message: memoryview, frame: Frame) -> None:
        """Take a RESUME. One that nobody waits for any more is skipped."""
        resume = Resume.parse(message, frame)
        answer = self._answers.get(resume.transfer)
        if answer is not None and not answer.done():
            answer.set_result(resume.index)

    def fail(self, error: FrysError) -> None:
        """End all waits with ``error``: the session is over, and no answers will come."""
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(error)
