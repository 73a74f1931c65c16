"""Clients that attend scopes, and what they make of the MEMBERS that they get."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.protocol.presence import Attend, Attending, Awareness, Members, PresentMember, Watching
from tests.connections.memory import Peer, World

WINDOW_S = 0.05


class RosterView:
    """What a client knows of a scope, from the MEMBERS that it got (spec section 16.2).

    Attributes:
        members: by client.
        awareness: by client.
        count: of members, as told last.
        complete: no part of it is missing.
        frames: MEMBERS that were read.
    """

    def __init__(self, peer: Peer, scope: str = "wf") -> None:
        self.peer = peer
        self.scope = scope
        self.members: dict[str, PresentMember] = {}
        self.awareness: dict[str, Mapping[str, Any]] = {}
        self.count: int | None = None
        self.complete = False
        self.frames: list[Members] = []

    def read(self) -> RosterView:
        """Take what is new."""
        log = self.peer.read().log
        frames = [entry for entry in log if isinstance(entry, Members) and entry.scope == self.scope]
        log[:] = [entry for entry in log if entry not in frames]
        for frame in frames:
            self._take(frame)
        return self

    @property
    def metadata(self) -> dict[str, Mapping[str, Any]]:
        """The metadata of all members."""
        return {client_id: member.metadata for client_id, member in self.members.items()}

    def _take(self, frame: Members) -> None:
        self.frames.append(frame)
        if frame.roster:
            self.members.clear()
            self.awareness.clear()
        else:
            assert len(self.frames) > 1, "changes before a roster"
        for client_id in frame.left or ():
            self.members.pop(client_id, None)
            self.awareness.pop(client_id, None)
        for member in frame.members or ():
            assert isinstance(member, PresentMember)
            self.members[member.client_id] = member
        for client_id, state in (frame.awareness or {}).items():
            if state is None:
                self.awareness.pop(client_id, None)
            else:
                assert client_id in self.members, "the awareness of nobody"
                assert isinstance(state, Mapping)
                self.awareness[client_id] = state
        self.count = frame.count
        self.complete = not frame.more
        if self.complete:
            assert frame.count == len(self.members)


def attend(
    peer: Peer, scope: str = "wf", metadata: Mapping[str, Any] | None = None, watch: Watching | None = None
) -> None:
    """Ask for a part in a scope."""
    peer.last_request += 1
    peer.say(Attend(peer.last_request, scope, metadata, watch))


def join(peer: Peer, scope: str = "wf", **metadata: Any) -> None:
    """Join a scope."""
    attend(peer, scope, metadata)


def leave(peer: Peer, scope: str = "wf") -> None:
    """Leave a scope, and watch it no more."""
    attend(peer, scope)


def watch(peer: Peer, scope: str = "wf") -> RosterView:
    """Watching a scope."""
    attend(peer, scope, watch=Watching.MEMBERS)
    return RosterView(peer, scope)


def show(peer: Peer, scope: str = "wf", **state: Any) -> None:
    """Show an awareness; none without a state."""
    peer.say(Awareness(scope, state or None))


def answers(peer: Peer) -> list[Attending]:
    """The answers to ATTEND."""
    return [entry for entry in peer.read().log if isinstance(entry, Attending)]


def pass_window(world: World) -> None:
    """Let the flush window pass, and what is to be told be told."""
    world.settle()
    world.clock.advance(WINDOW_S)
    world.settle()


def sweep(world: World) -> None:
    """Do what a gateway does all the time."""
    for _ in world.core.presence.sweep.work() or ():
        pass
    pass_window(world)
