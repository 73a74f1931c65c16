"""Scopes: what is left of them when watchers go."""

from __future__ import annotations

from gateway.connections.presence.scope import UNTOLD, Scope, Watcher
from gateway.protocol.presence import Watching
from tests.connections.memory import World


def test_a_watcher_that_goes_is_over_and_not_behind() -> None:
    session = World().peer().session
    scope = Scope("wf")
    assert scope.idle
    watcher = scope.watchers[session] = Watcher(session.connection, Watching.MEMBERS)
    scope.behind[watcher] = None
    assert (watcher.told, watcher.over, scope.idle) == (UNTOLD, False, False)
    assert scope.unwatch(session)
    assert (watcher.over, scope.behind, scope.idle, scope.count) == (True, {}, True, 0)
    assert not scope.unwatch(session)
