"""Roster: members of one scope with their awareness, and the changes since any version.

Each change gives what it changes a new version, and what has changed again has only its newest one. So a receiver that
knows the version up to which it was told needs no queue, and gets of each member no more than the newest.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from gateway.connections.presence.scope_member import AwarenessState, ScopeMember
from gateway.ids import ClientId

MAX_ENDS: Final = 4096
"""Departures that a roster remembers for watchers that are behind; one behind the oldest gets the roster anew."""

ENTRY_BYTES: Final = 24
"""Bytes of JSON of an entry beside its content, about."""


@dataclass(frozen=True, slots=True)
class Departure:
    """End of a membership, or of the awareness of a member."""

    client_id: ClientId
    is_member: bool


@dataclass(slots=True)
class Changes:
    """Changes behind some version, which apply in the order of the fields."""

    version: int
    """Version up to which they go."""
    left: dict[ClientId, None] = field(default_factory=dict)
    """Clients that are members no more, unless they are among the members again."""
    members: list[ScopeMember] = field(default_factory=list)
    awareness: dict[str, AwarenessState | None] = field(default_factory=dict)
    """New states by client; ``None``: there is none any more."""


class Roster:
    """Members of one scope.

    Attributes:
        members: members by client.
        version: version of the newest change.
        floor: version from which on all ends are remembered.
    """

    __slots__ = ("_ends", "_log", "floor", "members", "version")

    def __init__(self) -> None:
        self.members: dict[ClientId, ScopeMember] = {}
        self.version = 0
        self.floor = 0
        self._log: dict[int, ScopeMember | AwarenessState | Departure] = {}
        """The newest change of everything, in the order of the versions."""
        self._ends: deque[int] = deque()
        """Versions of the ends in it."""

    def put(self, member: ScopeMember) -> None:
        """Enter a member that has joined or changed."""
        self._log.pop(member.version, None)
        self.members[member.client_id] = member
        member.version = self._note(member)
        if member.awareness is not None:  # nobody is told the awareness of a client before its membership
            del self._log[member.awareness.version]
            member.awareness.version = self._note(member.awareness)

    def remove(self, member: ScopeMember) -> None:
        """Remove a member that is there."""
        del self.members[member.client_id]
        self._log.pop(member.version)
        if member.awareness is not None:
            self._log.pop(member.awareness.version)
        self._end(Departure(member.client_id, is_member=True))

    def show(self, member: ScopeMember, written: bytes | None) -> None:
        """Replace the awareness of a member; ``None``: it ends."""
        if member.awareness is not None:
            self._log.pop(member.awareness.version)
            member.awareness = None
            if written is None:
                self._end(Departure(member.client_id, is_member=False))
        if written is not None:
            member.awareness = AwarenessState(member.client_id, written)
            member.awareness.version = self._note(member.awareness)

    def changes_since(self, version: int, max_bytes: int) -> Changes:
        """Return the changes behind a version, oldest first, up to about so many bytes of JSON; one at least if any."""
        changes = Changes(version)
        used_bytes = 0
        for at, change in self._behind(version):
            changes.version = at
            match change:
                case ScopeMember():
                    changes.members.append(change)
                    used_bytes += len(change.written)
                case AwarenessState():
                    changes.awareness[change.client_id] = change
                    used_bytes += len(change.client_id) + len(change.written)
                case Departure(is_member=True):
                    changes.awareness.pop(change.client_id, None)
                    if change.client_id in changes.left:
                        continue
                    changes.left[change.client_id] = None
                    used_bytes += len(change.client_id)
                case Departure():
                    changes.awareness[change.client_id] = None
                    used_bytes += len(change.client_id)
            used_bytes += ENTRY_BYTES
            if used_bytes >= max_bytes:
                return changes
        changes.version = self.version
        return changes

    def misses_ends(self, told: int, begun: int) -> bool:
        """Return whether a receiver may know members whose end is forgotten, so that it needs the roster anew.

        Args:
            told: version up to which it was told.
            begun: version with which its copy began: it was told of nobody who had left before.
        """
        return max(told, begun) < self.floor

    def forget_ends(self, version: int) -> None:
        """Forget the ends up to a version, of which everybody has been told."""
        while self._ends and self._ends[0] <= version:
            self._forget_end()

    def _behind(self, version: int) -> Iterator[tuple[int, ScopeMember | AwarenessState | Departure]]:
        log = self._log
        versions = list(log)
        return iter([(at, log[at]) for at in islice(versions, bisect_right(versions, version), None)])

    def _note(self, change: ScopeMember | AwarenessState | Departure) -> int:
        self.version += 1
        self._log[self.version] = change
        return self.version

    def _end(self, end: Departure) -> None:
        self._ends.append(self._note(end))
        if len(self._ends) > MAX_ENDS:
            self._forget_end()

    def _forget_end(self) -> None:
        self.floor = self._ends.popleft()
        del self._log[self.floor]
