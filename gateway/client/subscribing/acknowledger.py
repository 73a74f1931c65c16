"""Tells the gateway what the program is through with, in few frames (spec section 7.4)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NamedTuple

from gateway.client.session.frame_sender import FrameSender
from gateway.client.subscribing.ranges import Ranges
from gateway.protocol.signals import Done


class AckPosition(NamedTuple):
    """Where messages stand."""

    stream: str
    epoch: int


class Acknowledger:
    """Collects what is done during a turn of the loop.

    Args:
        session: returns the session that DONE goes to; ``None``: there is none.
        number_of: the id that a stream has on the present session; ``None``: it is not known there.
    """

    def __init__(
        self, session: Callable[[], FrameSender | None], number_of: Callable[[AckPosition], int | None]
    ) -> None:
        self._session = session
        self._number_of = number_of
        self._done: dict[tuple[AckPosition, int], Ranges] = {}

    def add(self, place: AckPosition, code: int, first: int, last: int) -> None:
        """These offsets are done with.

        Args:
            code: 0 if they are processed; otherwise why they are not, and come again.
        """
        if not self._done:
            asyncio.get_running_loop().call_soon(self.flush)
        self._done.setdefault((place, code), Ranges()).add(first, last)

    def flush(self) -> None:
        """Say it now. What cannot be said, since there is no connection, is asked about after the next one came up."""
        done, self._done = self._done, {}
        session = self._session()
        if session is None or not session.open:
            return
        frames: list[bytes] = []
        for (place, code), ranges in done.items():
            number = self._number_of(place)
            if number is not None:
                frames += [Done(number, code, first, last).write() for first, last in ranges]
        if frames:
            session.send(frames)
