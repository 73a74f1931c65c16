"""Opened: objects that ``async with``, or ``with``, opens and closes again."""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Protocol, Self, TypeVar

from gateway.client.owner import OneProcess
from gateway.client.report import keeping


class AsyncOpened(OneProcess, ABC):
    """Object that ``async with`` opens and closes; a failure to close never hides the error that ends the block."""

    @abstractmethod
    async def start(self) -> None:
        """Open the object, unless it is open."""

    @abstractmethod
    async def close(self) -> None:
        """Close the object. May be called twice."""

    async def _leave(self, error: type[BaseException] | None) -> None:
        """End a block that ``error`` leaves; ``None``: its end was reached."""
        await self.close()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with keeping(error):
            await self._leave(kind)


class Openable(Protocol):
    """Object that is opened and closed; the methods of the blocking client have types that no subclass may declare."""

    def start(self) -> None:
        """Open the object, unless it is open."""

    def close(self) -> None:
        """Close the object. May be called twice."""

    def _leave(self, error: type[BaseException] | None) -> None: ...


OpenedT = TypeVar("OpenedT", bound=Openable)


class Opened(OneProcess):
    """Object of the blocking client that ``with`` opens and closes, as ``async with`` does an :class:`AsyncOpened`."""

    def _leave(self: Openable, error: type[BaseException] | None) -> None:
        """End a block that ``error`` leaves; ``None``: its end was reached."""
        self.close()

    def __enter__(self: OpenedT) -> OpenedT:
        self.start()
        return self

    def __exit__(
        self: Openable, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with keeping(error):
            self._leave(kind)
