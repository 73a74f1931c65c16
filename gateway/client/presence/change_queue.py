"""Change queue: changes of members that a program has not taken, at most one for each client."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from gateway.client.presence.presence_change import ChangeKind, PresenceChange, PresenceMember, change_between
from gateway.client.presence.roster_copy import RosterCopy
from gateway.errors import FrysError, UsageError


class ChangeQueue:
    """Changes of one scope for one iterator, which begins with every member that is there.

    Names wait: a change is made when it is taken, from the member that the program was told and the one that is there.

    Args:
        roster: members as they are now.
        check: raises unless the program may wait now.
    """

    __slots__ = ("__weakref__", "_changed", "_check", "_error", "_over", "_roster", "_told", "_waiter")

    def __init__(self, roster: RosterCopy, check: Callable[[], object]) -> None:
        self._roster = roster
        self._check = check
        self._told: dict[str, PresenceMember] = {}
        self._changed: dict[str, None] = dict.fromkeys(roster)
        self._waiter: asyncio.Future[None] | None = None
        self._over = False
        self._error: FrysError | None = None

    def note(self, client_ids: Iterable[str]) -> None:
        """Take note of clients of which something may have changed."""
        self._changed.update(dict.fromkeys(client_ids))
        if self._changed:
            self._wake()

    def end(self, error: FrysError | None) -> None:
        """End the queue: what waits can still be taken; then reading ends, or raises ``error``."""
        if not self._over:
            self._over, self._error = True, error
            self._wake()

    def take(self) -> PresenceChange | None:
        """Return the next change; None if there is none now."""
        while self._changed:
            client_id = next(iter(self._changed))
            del self._changed[client_id]
            change = change_between(self._told.get(client_id), self._roster.get(client_id))
            if change is None:
                continue
            if change.kind is ChangeKind.LEFT:
                del self._told[client_id]
                self._changed[client_id] = None  # another program may have the name
            else:
                self._told[client_id] = change.member
            return change
        return None

    async def next(self) -> PresenceChange:
        """Wait for the next change and return it.

        Raises:
            StopAsyncIteration: there are no more.
            FrysError: the error that :meth:`end` was given.
            UsageError: another task waits already.
        """
        while (change := self.take()) is None:
            if self._over:
                if self._error is not None:
                    raise self._error.with_traceback(None)
                raise StopAsyncIteration
            self._check()
            if self._waiter is not None:
                raise UsageError("another task or thread iterates already: call changes() once for each")
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        return change

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
