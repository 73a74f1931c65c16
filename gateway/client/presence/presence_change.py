"""Presence changes: members of a scope, and what happens to them, as a program is told."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


class ChangeKind(enum.StrEnum):
    """Event in the life of a member."""

    JOINED = "joined"
    UPDATED = "updated"
    """The metadata, or the number of the connection, is another one."""
    AWARENESS = "awareness"
    """Only the awareness is another one."""
    LEFT = "left"


@dataclass(frozen=True, slots=True)
class PresenceMember:
    """A client that has joined a scope."""

    client_id: str
    client_type: str
    peer: int
    """Number of its connection: its messages have it as ``publisher``."""
    generation: int
    """Generation of its program: another one is another program with the same ``client_id``."""
    metadata: Mapping[str, Any]
    awareness: Mapping[str, Any] | None = None
    """Short-lived state, such as a cursor; None: there is none now."""


@dataclass(frozen=True, slots=True)
class PresenceChange:
    """A change of one member. Changes that come faster than the program takes them are told as one."""

    kind: ChangeKind
    member: PresenceMember
    """The member as it is now; one that has left, as it was."""


def change_between(old: PresenceMember | None, new: PresenceMember | None) -> PresenceChange | None:
    """Return the first change from one state of a ``client_id`` to another; None if they are alike.

    Another program leads to two changes: the next one is that from None.
    """
    if old is None:
        return None if new is None else PresenceChange(ChangeKind.JOINED, new)
    if new is None or new.generation != old.generation:
        return PresenceChange(ChangeKind.LEFT, old)
    if (new.peer, new.client_type, new.metadata) != (old.peer, old.client_type, old.metadata):
        return PresenceChange(ChangeKind.UPDATED, new)
    return None if new.awareness == old.awareness else PresenceChange(ChangeKind.AWARENESS, new)
