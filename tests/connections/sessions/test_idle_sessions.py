"""Idle sessions: who does nothing is closed after the time, and who has anything to do stays for ever."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest

from gateway.connections.sessions.idle_sessions import CLOSED_COST, LOOKED_AT_TOGETHER, IdleSessions
from gateway.errors import Code
from gateway.protocol.messages import Kind
from gateway.protocol.presence import Attend, Watching
from gateway.protocol.signals import Ping
from gateway.protocol.views import View
from tests.connections.memory import Peer, World

TIMEOUT_S = 600.0


class Idle:
    """A core in memory, and sweeps of its idle sessions."""

    def __init__(self, timeout_s: float = TIMEOUT_S) -> None:
        self.world = World()
        core = self.world.core
        self.sessions = IdleSessions(core.pool, timeout_s, self.world.clock, core.presence.attends)

    def pass_by(self, seconds: float, act: Callable[[], object] = lambda: None) -> None:
        """Let time pass, with a sweep whenever one is due, and something that is done before each."""
        pause_s = self.sessions.sweep.pause_s()
        for _ in range(int(seconds / pause_s)):
            act()
            self.world.clock.now_ns += round(pause_s * 1e9)
            for _ in self.sessions.sweep.work() or ():
                pass


def test_one_that_only_shows_life_is_closed_after_the_time() -> None:
    idle = Idle()
    peer = idle.world.peer()
    idle.pass_by(TIMEOUT_S, lambda: peer.send(Ping(1).write()))
    assert peer.close_code() is None
    idle.pass_by(2 * idle.sessions.sweep.pause_s())
    assert peer.transport.closed is not None
    code, reason = peer.transport.closed
    assert code == Code.NORMAL
    assert "idle_timeout_s=600" in reason
    assert idle.sessions.closed == 1
    assert peer.read().codes == []


def test_one_that_publishes_now_and_then_stays() -> None:
    idle = Idle()
    peer = idle.world.publisher("wf/a", kind=Kind.EVENT)
    for _ in range(5):
        idle.pass_by(TIMEOUT_S - 200)
        peer.publish(0, b"x")
    assert peer.close_code() is None
    idle.pass_by(2 * TIMEOUT_S)
    assert peer.close_code() == Code.NORMAL


def subscribe(peer: Peer) -> None:
    peer.subscribe("wf/*")


def view(peer: Peer) -> None:
    peer.subscribe("wf/*", view=View(max_rate_hz=1.0))


def take_requests(peer: Peer) -> None:
    peer.subscribe(f"agent:{peer.client_id}")


def join_group(peer: Peer) -> None:
    peer.subscribe("group:workers")


def ask(peer: Peer) -> None:
    peer.open(0, "agent:somebody")


def attend(peer: Peer) -> None:
    peer.say(Attend(1, "wf", None, Watching.MEMBERS))


def wait_to_be_read(peer: Peer) -> None:
    peer.session.connection.reading.hold("a budget")


@pytest.mark.parametrize("act", [subscribe, view, take_requests, join_group, ask, attend, wait_to_be_read])
def test_one_that_has_something_to_do_stays(act: Callable[[Peer], None]) -> None:
    idle = Idle()
    peer, other = idle.world.peer("me"), idle.world.peer("other")
    act(peer)
    idle.pass_by(3 * TIMEOUT_S)
    assert peer.close_code() is None
    assert other.close_code() == Code.NORMAL


def test_one_that_has_not_said_hello_is_left_to_the_heartbeat() -> None:
    idle = Idle()
    stranger = idle.world.stranger()
    idle.pass_by(3 * TIMEOUT_S)
    assert stranger.close_code() is None


def test_few_are_closed_in_one_turn() -> None:
    idle = Idle()
    for _ in range(50):
        idle.world.peer()
    idle.pass_by(TIMEOUT_S)
    idle.world.clock.now_ns += round(TIMEOUT_S * 1e9)
    closed = [idle.sessions.closed for _ in idle.sessions.sweep.work() or ()]
    assert idle.sessions.closed == 50
    assert max(after - before for before, after in pairwise([0, *closed, 50])) <= LOOKED_AT_TOGETHER // CLOSED_COST


def test_without_a_time_everybody_stays() -> None:
    idle = Idle(0.0)
    peer = idle.world.peer()
    idle.pass_by(10 * TIMEOUT_S)
    assert peer.close_code() is None


def test_very_many_are_looked_at_in_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.connections.sessions.idle_sessions.LOOKED_AT_TOGETHER", 2)
    idle = Idle()
    for _ in range(5):
        idle.world.peer()
    assert sum(1 for _ in idle.sessions.sweep.work() or ()) == 2
