"""Presence of the blocking client: see :mod:`gateway.client.presence.presence`."""

from __future__ import annotations

from collections import deque
from typing import Final, Self

from gateway.client.opened import Opened
from gateway.client.presence import presence
from gateway.client.presence.presence import Json
from gateway.client.presence.presence_change import PresenceChange, PresenceMember
from gateway.client.sync.blocking import blocking, closing
from gateway.client.sync.loop_thread import LoopThread

FETCHED_CHANGES: Final = 256
"""Changes fetched from the loop's thread at a time: a hop between threads costs more than a change."""


class PresenceChanges:
    """Iterator over the changes of a presence; waiting has no time limit, and ends when the presence is closed."""

    def __init__(self, thread: LoopThread, source: presence.PresenceChanges) -> None:
        self._thread = thread
        self._source = source
        self._changes: deque[PresenceChange] = deque()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> PresenceChange:
        if not self._changes:
            self._changes.extend(
                self._thread.run_unless_closed(self._source.several(FETCHED_CHANGES), lambda error: self._rest())
            )
        if not self._changes:
            raise StopIteration
        return self._changes.popleft()

    def _rest(self) -> list[PresenceChange]:
        return list(iter(self._source.queue.take, None))


class Presence(Opened):
    """Members of a workflow or a stream; ``with`` opens and closes it.

    See :class:`gateway.client.presence.presence.Presence`.
    """

    def __init__(self, thread: LoopThread, source: presence.Presence) -> None:
        self._thread = thread
        self._source = source

    @property
    def scope(self) -> str:
        """Name of the workflow or stream."""
        return self._source.scope

    @property
    def members(self) -> dict[str, PresenceMember]:
        """Members by ``client_id``, as far as they are known now; empty unless the members are watched."""
        return self._thread.run_unless_closed(self._members(), lambda error: self._source.members)

    @property
    def count(self) -> int:
        """Number of members, as the gateway has told last."""
        return self._source.count

    start = blocking(presence.Presence.start)

    close = closing(presence.Presence.close)

    update = blocking(presence.Presence.update)

    def changes(self) -> PresenceChanges:
        """Return an iterator over changes; see :meth:`gateway.client.presence.presence.Presence.changes`."""
        return PresenceChanges(self._thread, self._thread.run(self._source_changes()))

    def set_awareness(self, state: Json | None) -> None:
        """Show short-lived state; see :meth:`gateway.client.presence.presence.Presence.set_awareness`."""
        self._thread.run(self._set_awareness(state))

    async def _members(self) -> dict[str, PresenceMember]:
        return self._source.members

    async def _source_changes(self) -> presence.PresenceChanges:
        return self._source.changes()

    async def _set_awareness(self, state: Json | None) -> None:
        self._source.set_awareness(state)
