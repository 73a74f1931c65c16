"""Acknowledger: sends the acknowledgements of the program to the gateway, in few frames (spec section 7.4)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import NamedTuple

from gateway.client.messages.frame_sender import FrameSender
from gateway.client.subscribing.ranges import Ranges
from gateway.protocol.signals import Done, InProgress


class AckPosition(NamedTuple):
    """Incarnation of a stream in which acknowledged offsets count."""

    stream: str
    epoch: int


class Acknowledger:
    """Acknowledgements of one turn of the loop, sent together at its end.

    Args:
        session: returns the session that DONE goes to; ``None``: there is none.
        number_of: returns the id of a stream on the present session; ``None``: the session does not know the stream.
    """

    def __init__(
        self, session: Callable[[], FrameSender | None], number_of: Callable[[AckPosition], int | None]
    ) -> None:
        self._session = session
        self._number_of = number_of
        self._done: dict[tuple[AckPosition, int], Ranges] = {}

    def add(self, position: AckPosition, code: int, first: int, last: int) -> None:
        """Acknowledge or refuse the offsets ``first`` to ``last`` at the end of this turn of the loop.

        Args:
            position: stream and epoch of the offsets.
            code: 0 if the messages are processed; otherwise the reason why they are to be delivered again.
            first: first offset.
            last: last offset.
        """
        if not self._done:
            asyncio.get_running_loop().call_soon(self.flush)
        ranges = self._done.get((position, code))
        if ranges is None:
            ranges = self._done[position, code] = Ranges()
        ranges.add(first, last)

    def report(self, position: AckPosition, ranges: Iterable[tuple[int, int]]) -> None:
        """Report now that messages are in progress, behind the acknowledgements of this turn.

        Args:
            position: stream and epoch of the offsets.
            ranges: first and last offsets.
        """
        self.flush()
        session, number = self._session(), self._number_of(position)
        if session is not None and session.open and number is not None:
            frames = [InProgress(number, first, last).write() for first, last in ranges]
            if frames:
                session.send_each(frames)

    def flush(self) -> None:
        """Send all acknowledgements now. Without a connection drop them: the messages will be delivered again."""
        done, self._done = self._done, {}
        session = self._session()
        if session is None or not session.open:
            return
        frames: list[bytes] = []
        for (position, code), ranges in done.items():
            number = self._number_of(position)
            if number is not None:
                frames += [Done(number, code, first, last).write() for first, last in ranges]
        if frames:
            session.send_each(frames)
