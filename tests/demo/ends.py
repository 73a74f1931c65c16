"""A lifeline whose other end the test holds."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from gateway.demo.lifeline import Lifeline


class Ends:
    """What the parent has of a lifeline: it can let go, and it hears what is reported."""

    def __init__(self) -> None:
        hold, self._hold = os.pipe()
        self._heard, say = os.pipe()
        self._files = os.fdopen(hold), os.fdopen(say, "w")
        self.line = Lifeline(*self._files)

    def let_go(self) -> None:
        """Tell the child to end. May be called twice."""
        if self._hold >= 0:
            os.close(self._hold)
            self._hold = -1

    def hear(self) -> Any:
        """The next report."""
        return json.loads(os.read(self._heard, 4096))

    def close(self) -> None:
        """Close everything."""
        self.let_go()
        os.close(self._heard)
        for file in self._files:
            file.close()


@contextmanager
def lifeline() -> Iterator[Ends]:
    """Both ends of a lifeline; let go of at the end at the latest."""
    ends = Ends()
    try:
        yield ends
    finally:
        ends.close()
