"""Scope: a workflow or a stream, with its members and the connections that watch them."""

from __future__ import annotations

from gateway.connections.outbound.connection import Connection
from gateway.connections.presence.roster import Roster
from gateway.connections.sessions.session import Session
from gateway.protocol.presence import Watching

UNTOLD = -1
"""Version, or number of members, of a watcher that was told nothing yet."""


class Watcher:
    """A connection that watches a scope.

    Attributes:
        connection: the way out to the client.
        watch: part of the scope that it watches.
        told: version of the roster up to which it was told, or the number of members that it was told.
        begun: version of the roster with which its copy began: it was told of nobody who had left before.
        over: it watches no more.
    """

    __slots__ = ("begun", "connection", "over", "told", "watch")

    def __init__(self, connection: Connection, watch: Watching) -> None:
        self.connection = connection
        self.watch = watch
        self.told = UNTOLD
        self.begun = UNTOLD
        self.over = False


class Scope:
    """A workflow or a stream with its members.

    Attributes:
        name: name of the workflow or stream.
        number: number that no other scope has had; scopes are listed in its order.
        roster: its members.
        watchers: the connections that watch it.
        behind: those of them that were not told everything yet, because they do not read.
        changed: the roster has changed since watchers were told last, or a watcher has come.
    """

    __slots__ = ("behind", "changed", "name", "number", "roster", "watchers")

    def __init__(self, name: str, number: int = 0) -> None:
        self.name = name
        self.number = number
        self.roster = Roster()
        self.watchers: dict[Session, Watcher] = {}
        self.behind: dict[Watcher, None] = {}
        self.changed = False

    @property
    def count(self) -> int:
        """Number of members."""
        return len(self.roster.members)

    @property
    def idle(self) -> bool:
        """Whether it has neither members nor watchers."""
        return not self.roster.members and not self.watchers

    def unwatch(self, session: Session) -> bool:
        """Remove the watcher of a session; return whether there was one."""
        watcher = self.watchers.pop(session, None)
        if watcher is not None:
            watcher.over = True
            self.behind.pop(watcher, None)
        return watcher is not None
