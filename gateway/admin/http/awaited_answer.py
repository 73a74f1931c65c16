"""Awaited answer: a part of the gateway calls back, and a request waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class AwaitedAnswer(Generic[T]):
    """Value to be awaited, which a callback gives. Made and used on the loop's thread."""

    def __init__(self) -> None:
        self._future: asyncio.Future[T] = asyncio.get_running_loop().create_future()

    def give(self, value: T) -> None:
        """Give the value; a further one, and one for which nobody waits any more, is ignored."""
        if not self._future.done():
            self._future.set_result(value)

    def __await__(self) -> Generator[Any, None, T]:
        return self._future.__await__()
