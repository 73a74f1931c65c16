"""Presence: ATTEND and AWARENESS, and the end of memberships whose connections are lost (spec section 16)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Generator, Iterator
from typing import Final

from gateway.connections.ports import Clock
from gateway.connections.presence.roster_news import RosterNews
from gateway.connections.presence.scope import Scope, Watcher
from gateway.connections.presence.scope_member import ScopeMember
from gateway.connections.presence.settings import PresenceSettings
from gateway.connections.presence.stats import PresenceStats
from gateway.connections.sessions.session import Session
from gateway.connections.slices import Slices
from gateway.connections.sweeps import Sweep
from gateway.errors import Code, RequestRefused
from gateway.protocol.names import check_scope, streams_of
from gateway.protocol.presence import (
    MAX_AWARENESS_BYTES,
    MAX_METADATA_BYTES,
    Attend,
    Attending,
    Awareness,
    Watching,
    json_of,
)
from gateway.protocol.state import State

ENDED_A_STEP: Final = 64
"""Memberships that a sweep ends in one step: some hundred microseconds."""


class PresenceHandler:
    """Scopes with their members and watchers.

    Args:
        settings: bounds and times.
        clock: measures the times.
        slices: takes the steps of announcements.

    Attributes:
        sweep: ends memberships whose grace is over, and awareness that was not renewed.
    """

    def __init__(self, settings: PresenceSettings, clock: Clock, slices: Slices) -> None:
        self._settings = settings
        self._clock = clock
        self._news = RosterNews(settings.flush_window_s, clock, slices)
        self._scopes: dict[str, Scope] = {}
        self._attended: dict[Session, dict[str, Scope]] = {}
        """Scopes of which a session is a member, or which it watches, by their names."""
        # The first of a dict is found behind all that were first before.
        self._away: OrderedDict[ScopeMember, tuple[float, Scope]] = OrderedDict()
        """Members without a connection with the time at which they leave, the first to leave first."""
        self._aware: OrderedDict[ScopeMember, tuple[float, Scope]] = OrderedDict()
        """Members with awareness with the time at which it ends, the first to end first."""
        self._members = self._watchers = self._bytes = 0
        self._joins = self._leaves = 0
        self._last_scope = 0
        """Number of the newest scope."""
        self.sweep = Sweep(lambda: settings.sweep_interval_s, self._sweep)

    def __iter__(self) -> Iterator[Scope]:
        return iter(self._scopes.values())

    def get(self, name: str) -> Scope | None:
        """Return the scope of a name, if it has members or watchers."""
        return self._scopes.get(name)

    def attends(self, session: Session) -> bool:
        """Return whether the client of a session is a member of a scope, or watches one."""
        return session in self._attended

    def attend(self, session: Session, request: Attend) -> None:
        """Take the part in a scope that a client asks for, instead of the one that it has.

        Raises:
            RequestRefused: ``INVALID_NAME``; ``FORBIDDEN``; ``DRAINING``; ``MESSAGE_TOO_BIG``, of the metadata;
                ``LIMIT_EXCEEDED``, the connection attends too many scopes; ``PRESENCE_FULL``. The client keeps the part
                that it had.
        """
        name = check_scope(request.scope)
        scope = self._scopes.get(name) or Scope(name, self._last_scope + 1)
        if request.metadata is None and request.watch is None:
            self._leave_scope(session, scope)
        else:
            metadata = None
            if request.metadata is not None:
                metadata = json_of("the metadata of ATTEND", request.metadata, MAX_METADATA_BYTES)
            self._check(session, scope, metadata, request.watch)
            self._scopes[name] = scope
            self._last_scope = max(self._last_scope, scope.number)
            self._attended.setdefault(session, {})[name] = scope
            self._watch(session, scope, request.watch)
            if metadata is None:
                self._leave(session, scope)
            else:
                self._join(session, scope, metadata)
        session.connection.send(Attending(request.request, name, scope.count))

    def show(self, session: Session, message: Awareness) -> None:
        """Replace the awareness of a member.

        Raises:
            RequestRefused: ``INVALID_REQUEST``, the connection has not joined the scope; ``MESSAGE_TOO_BIG``;
                ``PRESENCE_FULL``.
        """
        scope = self._scopes.get(message.scope)
        member = None if scope is None else scope.roster.members.get(session.peer.client_id)
        if scope is None or member is None or member.session is not session:
            problem = f"AWARENESS of {message.scope[:80]!r}, of which the client is no member"
            raise RequestRefused(Code.INVALID_REQUEST, f"{problem}: send ATTEND with metadata first")
        written = None if message.state is None else json_of("the state", message.state, MAX_AWARENESS_BYTES)
        before_bytes = member.nbytes
        if written is not None:
            held_bytes = 0 if member.awareness is None else len(member.awareness.written)
            self._check_bytes(len(written) - held_bytes)
        self._aware.pop(member, None)
        if written is not None:
            self._aware[member] = self._clock.monotonic_s() + self._settings.awareness_ttl_s, scope
            if member.awareness is not None and member.awareness.written == written:
                return
        elif member.awareness is None:
            return
        scope.roster.show(member, written)
        self._bytes += member.nbytes - before_bytes
        self._news.note(scope)

    def drop(self, session: Session) -> None:
        """Let go of a connection that is lost: its client stays a member for the grace, in which it may come back."""
        leaves_at_s = self._clock.monotonic_s() + self._settings.grace_s
        for scope in self._attended.pop(session, {}).values():
            self._unwatch(session, scope)
            member = scope.roster.members.get(session.peer.client_id)
            if member is not None and member.session is session:
                member.session = None
                self._away[member] = leaves_at_s, scope
            self._forget_idle(scope)

    def stats(self) -> PresenceStats:
        """Return the numbers of all scopes."""
        return PresenceStats(
            scopes=len(self._scopes),
            members=self._members,
            away=len(self._away),
            watchers=self._watchers,
            held_bytes=self._bytes,
            joins=self._joins,
            leaves=self._leaves,
            sent_frames=self._news.sent,
        )

    def _check(self, session: Session, scope: Scope, metadata: bytes | None, watch: Watching | None) -> None:
        """Refuse a part in a scope that the client may not have, or for which there is no room."""
        client_id, settings = session.peer.client_id, self._settings
        member = scope.roster.members.get(client_id)
        joins = metadata is not None and member is None
        watches = watch is not None and session not in scope.watchers
        if session.state is State.DRAINING and (joins or watches):
            raise RequestRefused(Code.DRAINING, "the gateway is stopping; connect again later")
        if not session.grant.may_attend(streams_of(scope.name)):
            raise session.forbidden(f"attend {scope.name}")
        attended = self._attended.get(session, {})
        if scope.name not in attended and len(attended) >= settings.max_scopes:
            problem = f"the connection attends max_scopes={settings.max_scopes} scopes already"
            raise RequestRefused(Code.LIMIT_EXCEEDED, f"{problem}: leave one of them first")
        if joins and scope.count >= settings.max_members:
            raise RequestRefused(Code.PRESENCE_FULL, f"{scope.name} has max_members={settings.max_members} already")
        if self._members + self._watchers + joins + watches > settings.max_places:
            problem = f"all scopes together have max_places={settings.max_places} members and watchers already"
            raise RequestRefused(Code.PRESENCE_FULL, problem)
        if metadata is not None:
            self._check_bytes(len(metadata) - (0 if member is None else len(member.metadata)))

    def _check_bytes(self, more_bytes: int) -> None:
        if more_bytes > 0 and self._bytes + more_bytes > self._settings.max_bytes:
            problem = f"metadata and awareness of all members have max_bytes={self._settings.max_bytes} already"
            raise RequestRefused(Code.PRESENCE_FULL, problem)

    def _join(self, session: Session, scope: Scope, metadata: bytes) -> None:
        """Enter the client as a member, or change the member that it is."""
        member = scope.roster.members.get(session.peer.client_id)
        if member is not None and member.peer.generation != session.peer.generation:
            self._remove(scope, member)  # another program had the name
            member = None
        if member is None:
            self._members += 1
            self._joins += 1
            member = ScopeMember(session, session.peer, metadata, number=self._joins)
            self._bytes += len(metadata)
        elif member.session is session and member.metadata == metadata:
            return
        else:
            self._away.pop(member, None)
            self._bytes += len(metadata) - len(member.metadata)
            member.change(session, metadata)
        scope.roster.put(member)
        self._news.note(scope)

    def _watch(self, session: Session, scope: Scope, watch: Watching | None) -> None:
        """Have a connection watch a scope; one that watches the same already goes on."""
        watcher = scope.watchers.get(session)
        if (None if watcher is None else watcher.watch) is watch:
            return
        self._unwatch(session, scope)
        if watch is not None:
            scope.watchers[session] = Watcher(session.connection, watch)
            self._watchers += 1
            self._news.note(scope)

    def _unwatch(self, session: Session, scope: Scope) -> None:
        self._watchers -= scope.unwatch(session)

    def _leave(self, session: Session, scope: Scope) -> None:
        """End the membership that a connection has, if it has one."""
        member = scope.roster.members.get(session.peer.client_id)
        if member is not None and member.session is session:
            self._remove(scope, member)

    def _leave_scope(self, session: Session, scope: Scope) -> None:
        self._unwatch(session, scope)
        self._leave(session, scope)
        attended = self._attended.get(session)
        if attended is not None:
            attended.pop(scope.name, None)
            if not attended:
                del self._attended[session]
        self._forget_idle(scope)

    def _remove(self, scope: Scope, member: ScopeMember) -> None:
        """End a membership."""
        self._away.pop(member, None)
        self._aware.pop(member, None)
        self._members -= 1
        self._leaves += 1
        self._bytes -= member.nbytes
        scope.roster.remove(member)
        self._news.note(scope)

    def _forget_idle(self, scope: Scope) -> None:
        if scope.idle and self._scopes.get(scope.name) is scope:
            del self._scopes[scope.name]

    def _sweep(self) -> Generator[None, None, None]:
        """End memberships whose grace is over, and awareness that was not renewed. Yields now and then."""
        for _ in self._ending(self._away):
            yield
        for _ in self._ending(self._aware):
            yield

    def _ending(self, table: OrderedDict[ScopeMember, tuple[float, Scope]]) -> Iterator[None]:
        now_s, ended = self._clock.monotonic_s(), 0
        while table:
            member, (end_s, scope) = next(iter(table.items()))
            if end_s > now_s:
                return
            if table is self._away:
                self._remove(scope, member)
                self._forget_idle(scope)
            else:
                del table[member]
                before_bytes = member.nbytes
                scope.roster.show(member, None)
                self._bytes += member.nbytes - before_bytes
                self._news.note(scope)
            ended += 1
            if not ended % ENDED_A_STEP:
                yield
