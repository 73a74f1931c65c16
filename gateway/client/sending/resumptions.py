"""Resumptions: RESUME frames, in which the gateway names the chunk at which a large message begins or continues.

An earlier connection has sent the chunks before that one (spec section 6.5).
"""

from __future__ import annotations

import asyncio

from gateway.errors import FrysError
from gateway.protocol.frames import Frame
from gateway.protocol.signals import Resume


class Resumptions:
    """RESUME frames that the client waits for on the present session."""

    def __init__(self) -> None:
        self._answers: dict[int, asyncio.Future[int]] = {}

    def expect(self, transfer: int) -> asyncio.Future[int]:
        """Return the future of the answer to a head that is about to be sent: the index of the first wanted chunk.

        It fails with ``ConnectionFailed`` if the session ends first.

        Args:
            transfer: number in the head; :meth:`forget` is called with it at last.
        """
        answer = self._answers[transfer] = asyncio.get_running_loop().create_future()
        return answer

    def forget(self, transfer: int) -> None:
        """Expect no answer any more."""
        del self._answers[transfer]

    def received(self, message: memoryview, frame: Frame) -> None:
        """Take a RESUME. One that nobody waits for any more is skipped."""
        resume = Resume.parse(message, frame)
        answer = self._answers.get(resume.transfer)
        if answer is not None and not answer.done():
            answer.set_result(resume.index)

    def fail(self, error: FrysError) -> None:
        """Fail all answers with ``error``: the session is over, and none will come."""
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(error)
                answer.exception()  # nobody may be waiting for it
