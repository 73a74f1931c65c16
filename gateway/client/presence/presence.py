"""Presence of one scope, as the program holds it."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable, Mapping
from typing import Any, Protocol, Self

import orjson

from gateway.client.opened import AsyncOpened
from gateway.client.presence.change_queue import ChangeQueue
from gateway.client.presence.presence_change import PresenceChange, PresenceMember
from gateway.client.presence.roster_copy import RosterCopy
from gateway.client.time_limit import TIMEOUT_S
from gateway.errors import FrysError, UsageError
from gateway.protocol.arguments import is_a, wrong
from gateway.protocol.presence import MAX_AWARENESS_BYTES, MAX_METADATA_BYTES, Members, Watching, json_of

Json = Mapping[str, Any]
"""JSON object."""


class PresenceCore:
    """Presence without the parts that the program holds.

    Attributes:
        scope: name of a workflow or stream.
        metadata: metadata of this client as a member; None: it is none.
        watching: changes that the gateway tells.
        roster: members.
        answered: the gateway has answered on the present connection: what comes from now on is about this presence.
        known: set once the members, or their number, have come, and when the presence is over.
        over: it is closed, or the gateway has refused it.
        error: reason for that; None: the program has closed it.
        state: awareness that was shown last.
        shown_s: time at which that was, by the clock of the loop; None: nothing was shown.
        unsent: it has not been sent.
        resting: the time before the next one may be sent is not over.
    """

    def __init__(
        self, scope: str, metadata: Json | None, watching: Watching | None, check: Callable[[], object]
    ) -> None:
        self.scope = scope
        self.metadata = metadata
        self.watching = watching
        self.roster = RosterCopy()
        self.answered = False
        self.known = asyncio.Event()
        self.over = False
        self.error: FrysError | None = None
        self.state: Json | None = None
        self.shown_s: float | None = None
        self.unsent = False
        self.resting = False
        self._check = check
        self._queues: weakref.WeakSet[ChangeQueue] = weakref.WeakSet()

    def take(self, message: Members) -> None:
        """Take one MEMBERS of the scope."""
        if not self.answered:
            return  # of an earlier presence
        changed = self.roster.take(message)
        for queue in self._queues:
            queue.note(changed)
        if self.roster.complete or self.watching is Watching.COUNT:
            self.known.set()

    def queue(self) -> ChangeQueue:
        """Return a new queue of changes."""
        queue = ChangeQueue(self.roster, self._check)
        self._queues.add(queue)
        if self.over:
            queue.end(self.error)
        return queue

    def end(self, error: FrysError | None = None) -> None:
        """End the presence, and all iterators."""
        if not self.over:
            self.over, self.error = True, error
            self.known.set()
            for queue in self._queues:
                queue.end(error)


class PresenceControl(Protocol):
    """Calls of a presence to its client."""

    async def start(self, core: PresenceCore) -> None:
        """Send ATTEND, and wait until the members are known."""

    async def stop(self, core: PresenceCore) -> None:
        """Leave the scope."""

    async def update(self, core: PresenceCore, metadata: Json | None, timeout_s: float | None) -> None:
        """Replace the metadata."""

    def show(self, core: PresenceCore, state: Json | None) -> None:
        """Replace the awareness."""


class PresenceChanges:
    """Iterator over the changes of a presence, which it keeps open."""

    def __init__(self, presence: Presence, queue: ChangeQueue) -> None:
        self._presence = presence
        self.queue = queue

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> PresenceChange:
        if not self._presence.core.over:
            await self._presence.start()
        return await self.queue.next()

    async def several(self, limit: int) -> list[PresenceChange]:
        """Wait for a change, and return it with those behind it, up to ``limit``; empty if there are no more."""
        try:
            changes = [await anext(self)]
        except StopAsyncIteration:
            return []
        while len(changes) < limit and (change := self.queue.take()) is not None:
            changes.append(change)
        return changes


class Presence(AsyncOpened):
    """Members of a workflow or a stream, and this client among them; made by ``client.presence``.

    ``async with`` opens and closes it. It outlives connections: after a reconnect the client joins again, and the
    program is told only those who have come or gone meanwhile.

    Args:
        core: what is known.
        control: the client's calls.
        client: kept as long as the presence: a client that the program has dropped is closed.

    Attributes:
        core: see above.
    """

    def __init__(self, core: PresenceCore, control: PresenceControl, client: object) -> None:
        self.core = core
        self._control = control
        self._client = client
        self._starting: asyncio.Future[None] | None = None

    @property
    def scope(self) -> str:
        """Name of the workflow or stream."""
        return self.core.scope

    @property
    def members(self) -> dict[str, PresenceMember]:
        """Members by ``client_id``, as far as they are known now; empty unless the members are watched."""
        found = ((client_id, self.core.roster.get(client_id)) for client_id in self.core.roster)
        return {client_id: member for client_id, member in found if member is not None}

    @property
    def count(self) -> int:
        """Number of members, as the gateway has told last."""
        return self.core.roster.count

    async def start(self) -> None:
        """Join, and wait until the members are known. ``async with`` and iterating do it by themselves.

        While the client reconnects, it waits for the next connection, without a time limit.

        Raises:
            RequestRefused: ``FORBIDDEN``; ``PRESENCE_FULL``: too many members; ``LIMIT_EXCEEDED``: too many scopes.
            UsageError: the client has another presence of this scope open.
            ConnectionFailed: the connection is gone and not opened again.
        """
        if self._starting is None:
            # A task: the gateway may know of it already when the caller is cancelled.
            self._starting = asyncio.ensure_future(self._control.start(self.core))
            self._starting.add_done_callback(_take_error)
        await asyncio.shield(self._starting)

    async def close(self) -> None:
        """Leave. Iterators end. May be called twice."""
        if not self.core.over:
            self.core.end()
            if self._starting is not None:
                await self._control.stop(self.core)

    def changes(self) -> PresenceChanges:
        """Return an iterator over changes, which begins with every member that is there.

        A program that takes changes slowly gets of each member only what is different in the end. The changes of this
        client are among them. Without watching members there are none.

        Raises:
            UsageError: the members are not watched.
        """
        if self.core.watching is not Watching.MEMBERS:
            raise UsageError("changes() needs watch='members'")
        return PresenceChanges(self, self.core.queue())

    async def update(self, metadata: Json | None, *, timeout_s: float | None = TIMEOUT_S) -> None:
        """Replace the metadata of this client; join, if it is no member yet.

        Args:
            metadata: a JSON object of at most 4096 bytes; None: the client is no member any more, and goes on watching.
            timeout_s: longest time for the answer, waiting for a connection included. None: no limit.

        Raises:
            InvalidArgument: no mapping.
            RequestRefused: as of :meth:`start`; ``MESSAGE_TOO_BIG``.
            UsageError: the presence is not open.
            RequestTimeout: no answer in time.
            ConnectionFailed: the connection is gone and not opened again.
        """
        if self.core.over or self._starting is None:
            raise UsageError(f"the presence of {self.scope} is not open")
        await self._control.update(self.core, copied_metadata(metadata), timeout_s)

    def set_awareness(self, state: Json | None) -> None:
        """Show the other clients short-lived state of this one, such as a cursor. Never waits.

        Call it as often as you like: the newest state is sent every 50 ms at most. It ends after 30 s, unless it is set
        again, and with the membership.

        Args:
            state: a JSON object of at most 1024 bytes; None: there is none any more.

        Raises:
            InvalidArgument: no mapping.
            RequestRefused: ``MESSAGE_TOO_BIG``.
            UsageError: the client is no member.
        """
        if self.core.metadata is None:
            raise UsageError(f"this client is no member of {self.scope}: give metadata, {{}} for none")
        if not self.core.over:
            self._control.show(self.core, _copied("state", state, MAX_AWARENESS_BYTES))


def copied_metadata(metadata: Json | None) -> Json | None:
    """Return metadata as it is now, in JSON's types.

    Raises:
        InvalidArgument: no mapping.
        RequestRefused: ``MESSAGE_TOO_BIG``; ``INVALID_REQUEST``, it is no JSON.
    """
    return _copied("metadata", metadata, MAX_METADATA_BYTES)


def _copied(name: str, value: Json | None, limit_bytes: int) -> Json | None:
    if value is None:
        return None
    if not is_a(value, Mapping):
        raise wrong(name, value, "it must be a mapping of names to JSON values")
    copy: dict[str, Any] = orjson.loads(json_of(f"the {name}", dict(value), limit_bytes))
    return copy


def _take_error(starting: asyncio.Future[None]) -> None:
    """Mark the error of a start as seen: the caller may have been cancelled."""
    if not starting.cancelled():
        starting.exception()
