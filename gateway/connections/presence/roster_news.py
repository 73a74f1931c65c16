"""Roster news: changes of rosters to the connections that watch them, together and once for all of one format.

A scope is announced at the end of the turn in which it changes, and then again when the flush window is over. A watcher
that does not read gets nothing until it does; then it gets the newest of everything.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import inf
from typing import Any, Final, NamedTuple

import orjson

from gateway.connections.outbound.formats import Format
from gateway.connections.ports import Clock
from gateway.connections.presence.roster import Changes
from gateway.connections.presence.scope import UNTOLD, Scope, Watcher
from gateway.connections.slices import Slices, step_of
from gateway.protocol.presence import Members, Watching

PART_BYTES: Final = 16 * 1024
"""Size of a part of a roster, about: it is made in some hundred microseconds."""

WATCHERS_A_STEP: Final = 32
"""Watchers that are written to in one step, by a system call each."""


class _Part(NamedTuple):
    """Frame about a scope."""

    data: bytes
    version: int
    """Version up to which it tells."""
    made: int
    """Version at which it was made."""


class RosterNews:
    """Scopes that have something to tell.

    Args:
        window_s: least time between two announcements of a scope.
        clock: measures it.
        slices: takes the steps.

    Attributes:
        frames: frames that were made.
        sent: frames that were sent, each counted for each watcher.
    """

    def __init__(self, window_s: float, clock: Clock, slices: Slices) -> None:
        self._window_s = window_s
        self._clock = clock
        self._slices = slices
        self._due: dict[Scope, None] = {}
        self._scheduled = False
        self._last_s = -window_s
        self.frames = 0
        self.sent = 0

    def note(self, scope: Scope) -> None:
        """Have the watchers of a scope told what has changed."""
        if scope.watchers:
            scope.changed = True
            self._add(scope)

    def _add(self, scope: Scope) -> None:
        self._due[scope] = None
        if not self._scheduled:
            self._scheduled = True
            wait_s = self._last_s + self._window_s - self._clock.monotonic_s()
            if wait_s > 0:
                self._clock.call_later(wait_s, self._begin)
            else:
                self._clock.call_soon(self._begin)

    def _begin(self) -> None:
        self._last_s = self._clock.monotonic_s()
        scopes, self._due = self._due, {}
        self._slices.begin(step_of(self._announcing(scopes)))

    def _announcing(self, scopes: dict[Scope, None]) -> Iterator[None]:
        try:
            for scope in scopes:
                yield from self._telling(scope)
        finally:
            self._scheduled = False
            due, self._due = {**self._due, **{scope: None for scope in scopes if scope.behind}}, {}
            for scope in due:
                self._add(scope)

    def _telling(self, scope: Scope) -> Iterator[None]:
        version = scope.roster.version
        watchers = list(scope.watchers.values() if scope.changed else scope.behind)
        scope.changed = False
        scope.behind.clear()
        parts: dict[tuple[str, Watching, int], _Part] = {}
        while watchers:
            unfinished: list[Watcher] = []
            for number, watcher in enumerate(watchers, 1):
                if self._tell(scope, watcher, parts) < version:
                    unfinished.append(watcher)
                if not number % WATCHERS_A_STEP:
                    yield
            watchers = unfinished
            yield
        if not scope.behind:
            scope.roster.forget_ends(version)

    def _tell(self, scope: Scope, watcher: Watcher, parts: dict[tuple[str, Watching, int], _Part]) -> float:
        """Tell a watcher a part of what it was not told; return the version up to which there is nothing more to do."""
        connection, counts = watcher.connection, watcher.watch is Watching.COUNT
        newest = scope.count if counts else scope.roster.version
        if watcher.told == newest or watcher.over or connection.closed:
            return inf
        if connection.answers_wait:
            scope.behind[watcher] = None
            return inf
        if not counts and scope.roster.misses_ends(watcher.told, watcher.begun):
            watcher.told = UNTOLD
        key = connection.format.name, watcher.watch, watcher.told
        part = parts.get(key)
        if part is None:
            part = parts[key] = self._part(scope, watcher, connection.format)
        if watcher.told == UNTOLD:
            watcher.begun = part.made
        watcher.told = part.version
        self.sent += 1
        connection.send_urgent(part.data)
        return inf if counts else watcher.told

    def _part(self, scope: Scope, watcher: Watcher, form: Format) -> _Part:
        self.frames += 1
        if watcher.watch is Watching.COUNT:
            return _Part(form.signal(Members(scope.name, scope.count)), scope.count, scope.roster.version)
        changes = scope.roster.changes_since(watcher.told, PART_BYTES)
        message = _message(scope, changes, begins=watcher.told == UNTOLD)
        return _Part(form.signal(message), changes.version, scope.roster.version)


def _message(scope: Scope, changes: Changes, *, begins: bool) -> Members:
    awareness: dict[str, Mapping[str, Any] | orjson.Fragment | None] = {
        client_id: None if state is None else orjson.Fragment(state.written)
        for client_id, state in changes.awareness.items()
    }
    return Members(
        scope.name,
        scope.count,
        members=[orjson.Fragment(member.written) for member in changes.members] or None,
        awareness=awareness or None,
        left=list(changes.left) or None,
        roster=begins or None,
        more=changes.version < scope.roster.version or None,
    )
