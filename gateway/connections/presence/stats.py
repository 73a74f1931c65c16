"""Numbers of presence, for monitoring."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.connections.presence.scope import Scope
from gateway.connections.presence.scope_member import ScopeMember
from gateway.protocol.messages import ClientType


@dataclass(frozen=True, slots=True)
class PresenceStats:
    """Presence in all scopes."""

    scopes: int
    members: int
    away: int
    """Members whose connection is lost, and who may come back."""
    watchers: int
    held_bytes: int
    """Metadata and awareness of all members."""
    joins: int
    """Members that have joined so far."""
    leaves: int
    """Members that have left so far."""
    sent_frames: int
    """Frames that watchers were sent so far, each counted for each watcher."""


@dataclass(frozen=True, slots=True)
class ScopeSnapshot:
    """One scope."""

    id: int
    scope: str
    count: int
    watchers: int


@dataclass(frozen=True, slots=True)
class MemberSnapshot:
    """One member of a scope."""

    id: int
    """Number of the member: higher for one that has joined later."""
    client_id: str
    client_type: ClientType
    peer: int
    generation: int
    away: bool
    """Whether its connection is lost, and it may come back."""
    metadata: bytes
    """Metadata as JSON."""
    awareness: bytes | None
    """Awareness as JSON."""


def scope_snapshot(scope: Scope) -> ScopeSnapshot:
    """Return the numbers of one scope."""
    return ScopeSnapshot(scope.number, scope.name, scope.count, len(scope.watchers))


def member_snapshot(member: ScopeMember) -> MemberSnapshot:
    """Return one member."""
    peer = member.peer
    return MemberSnapshot(
        member.number,
        peer.client_id,
        peer.client_type,
        peer.id,
        peer.generation,
        member.session is None,
        member.metadata,
        None if member.awareness is None else member.awareness.written,
    )
