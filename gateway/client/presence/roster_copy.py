"""Roster copy: members of a scope as the gateway has told them (spec section 16.2)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from gateway.client.presence.presence_change import PresenceMember
from gateway.protocol.presence import Members, PresentMember


class RosterCopy:
    """Members of one scope.

    A roster that begins anew, as behind a reconnect, takes the place of the one before when it is complete: so members
    that have stayed do not leave meanwhile.

    Attributes:
        complete: a roster has come completely.
        count: number of members, as the gateway has told last.
    """

    __slots__ = ("_awareness", "_coming", "_members", "complete", "count")

    def __init__(self) -> None:
        self._members: dict[str, PresentMember] = {}
        self._awareness: dict[str, Mapping[str, Any]] = {}
        self._coming: RosterCopy | None = None
        """Roster that has begun and is not complete."""
        self.complete = False
        self.count = 0

    def __iter__(self) -> Iterator[str]:
        return iter(self._members)

    def get(self, client_id: str) -> PresenceMember | None:
        """Return a member; None if there is none of that name."""
        member = self._members.get(client_id)
        if member is None:
            return None
        return PresenceMember(
            client_id,
            member.client_type,
            member.peer,
            member.generation,
            member.metadata,
            self._awareness.get(client_id),
        )

    def take(self, message: Members) -> Iterable[str]:
        """Take one MEMBERS, and return the clients of which something may have changed."""
        self.count = message.count
        if message.roster:
            self._coming = RosterCopy()
        if self._coming is None:
            return self._apply(message)
        self._coming._apply(message)
        if message.more:
            return ()
        coming, self._coming = self._coming, None
        before, self._members, self._awareness = self._members, coming._members, coming._awareness
        self.complete = True
        return dict.fromkeys((*before, *self._members))

    def _apply(self, message: Members) -> Iterable[str]:
        for client_id in message.left or ():
            self._members.pop(client_id, None)
            self._awareness.pop(client_id, None)
        for member in message.members or ():
            assert isinstance(member, PresentMember)
            self._members[member.client_id] = member
        for client_id, state in (message.awareness or {}).items():
            if state is None:
                self._awareness.pop(client_id, None)
            elif client_id in self._members:
                assert isinstance(state, Mapping)
                self._awareness[client_id] = state
        members = (member.client_id for member in message.members or () if isinstance(member, PresentMember))
        return dict.fromkeys((*(message.left or ()), *members, *(message.awareness or ())))
