"""Backlog of a connection: everything in the order in which it came, nothing read meanwhile, nothing lost."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from gateway.connections.core import LOST_BACKLOG_BYTES, LOST_BACKLOG_S
from gateway.connections.dispatcher import drained
from gateway.errors import Code
from gateway.protocol.messages import Account, Kind, Refresh
from gateway.protocol.signals import Ping, Pong
from gateway.protocol.views import View
from tests.connections.memory import Peer, World


class Work:
    """A piece of work of some steps, which it notes in a log."""

    def __init__(self, name: str, steps: int, log: list[str]) -> None:
        self._name = name
        self._left = steps
        self._log = log

    def step(self) -> bool:
        self._log.append(self._name)
        self._left -= 1
        return self._left > 0


def pongs(peer: Peer) -> list[int]:
    """What the PINGs of a peer had in them that have been answered."""
    return [entry.t0 for entry in peer.news().log if isinstance(entry, Pong)]


def test_what_comes_meanwhile_waits_for_the_work_of_a_frame() -> None:
    world = World()
    peer = world.peer()
    log: list[str] = []
    peer.session.backlog.add(Work("first", 2, log).step)
    peer.session.backlog.add(Work("second", 1, log).step)
    peer.send(Ping(1).write())
    peer.send(Ping(2).write(), Ping(3).write())
    assert not peer.transport.is_reading()
    assert not drained(peer.session)
    assert pongs(peer) == []
    world.turn()
    assert log == ["first", "first", "second"]
    assert pongs(peer) == [1, 2, 3]
    assert peer.transport.is_reading()
    assert peer.session.pending is None
    assert drained(peer.session)
    peer.send(Ping(4).write())
    assert pongs(peer) == [4]


def test_work_that_arises_from_work_is_done_before_what_came_later() -> None:
    world = World()
    peer = world.peer()
    log: list[str] = []
    blocks: list[bool] = []
    backlog = peer.session.backlog

    def arises() -> bool:
        log.append("arises")
        blocks.append(backlog.blocks)
        backlog.add(Work("from it", 2, log).step)
        blocks.append(backlog.blocks)
        backlog.add(Work("behind", 1, log).step)
        return False

    backlog.add(arises)
    backlog.add(Work("later", 1, log).step)
    world.turn()
    assert log == ["arises", "from it", "from it", "behind", "later"]
    assert blocks == [False, True]


def test_the_rest_of_work_is_done_behind_what_arises_from_its_step() -> None:
    world = World()
    peer = world.peer()
    log: list[str] = []
    backlog = peer.session.backlog

    def arises() -> bool:
        log.append("arises")
        if len(log) > 1:
            return False
        backlog.add(Work("from it", 1, log).step)
        return True

    backlog.add(arises)
    world.turn()
    assert log == ["arises", "from it", "arises"]


def test_a_closed_connection_drops_its_backlog() -> None:
    world = World()
    peer = world.peer()
    log: list[str] = []
    peer.session.backlog.add(Work("never", 1, log).step, 100)
    peer.session.connection.close(Code.GOING_AWAY, "stopping")
    world.turn()
    assert log == []
    assert peer.session.pending is None
    assert world.core.slices.idle
    assert peer.transport.is_reading()


def test_a_backlog_waits_while_somebody_else_holds_the_reading() -> None:
    world = World()
    peer = world.peer()
    log: list[str] = []
    peer.session.backlog.add(Work("later", 1, log).step)
    peer.session.connection.reading.hold("somebody")
    world.turn()
    assert log == []
    assert world.core.slices.idle
    peer.session.connection.reading.release("somebody")
    world.turn()
    assert log == ["later"]
    assert peer.transport.is_reading()


def test_a_backlog_that_waits_goes_when_its_connection_is_closed() -> None:
    world = World()
    peer = world.peer()
    peer.session.backlog.add(Work("never", 1, []).step)
    peer.session.connection.reading.hold("somebody")
    world.turn()
    peer.session.connection.close(Code.GOING_AWAY, "stopping")
    world.turn()
    assert peer.session.pending is None


def test_a_connection_whose_backlog_is_worked_at_is_not_silent() -> None:
    world = World()
    peer = world.peer()
    peer.session.backlog.add(Work("work", 1, []).step)
    peer.session.heard = False
    world.turn()
    assert peer.session.heard


def test_work_that_fails_closes_its_connection_only(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    peer, other = world.peer("failing"), world.peer("other")
    log: list[str] = []
    peer.session.backlog.add(lambda: bool(1 // 0))
    peer.session.backlog.add(Work("never", 1, log).step)
    other.session.backlog.add(Work("other", 1, log).step)
    with caplog.at_level(logging.CRITICAL, "gateway.connections.sessions.backlog"):
        world.turn()
    assert peer.close_code() == Code.INTERNAL_ERROR
    assert log == ["other"]
    assert other.close_code() is None


def test_the_bytes_that_wait_are_counted() -> None:
    world = World()
    peer = world.peer()
    backlog = peer.session.backlog
    backlog.add(Work("a", 1, []).step, 100)
    peer.send(Ping(1).write())
    assert backlog.waiting_bytes == 100 + len(Ping(1).write())
    world.turn()
    assert backlog.waiting_bytes == 0


def test_what_a_peer_sent_before_it_was_lost_is_handled() -> None:
    world = World()
    publisher = world.publisher("wf/a")
    watcher = world.subscriber("wf/a")
    publisher.session.backlog.add(Work("work", 3, []).step)
    publisher.send(publisher.message(0, b"one"), publisher.message(0, b"two"))
    publisher.session.connection.reading.hold("somebody who never lets go")
    publisher.drop()
    assert publisher.session in list(world.core.pool)
    world.settle()
    assert [arrival.payload for arrival in watcher.read().arrivals] == [b"one", b"two"]
    assert publisher.session not in list(world.core.pool)
    assert publisher.session.connection.closed


def test_what_nobody_but_a_lost_peer_would_have_is_left_out() -> None:
    world = World()
    world.publisher("wf/a")
    watcher = world.subscriber("wf/*")
    peer = world.peer("lost")
    peer.subscribe("wf/none")
    log: list[str] = []
    peer.session.backlog.add(Work("for the peer", 3, log).step, for_peer=True)
    peer.session.backlog.add(Work("for others", 3, log).step)
    peer.subscribe("**", 2)
    peer.subscribe("wf/*", 3, view=View(np.s_[1:]))
    peer.say(Account(1, 1), Refresh(1))
    peer.open(0, "wf/opened", Kind.EVENT)
    peer.grant(1, 10, 1000)
    peer.send(peer.message(0, b"one"))
    peer.drop()
    assert not log
    while peer.session in list(world.core.pool):
        assert list(peer.session.subscriptions) == [1]
        assert not peer.session.views
        world.turns(1)
    world.settle()
    assert log == ["for others"] * 3
    assert [arrival.payload for arrival in watcher.read().arrivals] == [b"one"]
    assert world.core.hub.idle


def test_a_subscribe_of_many_streams_is_given_up_with_its_connection() -> None:
    world = World()
    world.publisher(*[f"wf/{number}" for number in range(300)], kind=Kind.COLLABORATION)
    world.settle()
    world.take_one_step_a_turn()
    peer = world.peer("lost")
    peer.subscribe("**")
    world.turns(3)
    peer.drop()
    world.settle()
    stats = [world.core.hub.stream_stats(stream).consumers for stream in world.core.streams]
    assert 0 < sum(each.absent for each in stats) < 300
    assert peer.session not in list(world.core.pool)
    assert world.core.hub.idle


def test_a_lost_peer_that_breaks_a_rule_is_gone_at_once() -> None:
    world = World()
    publisher = world.publisher("wf/a")
    publisher.session.backlog.add(Work("work", 1, []).step)
    publisher.send(b"\0" * 8)
    publisher.drop()
    world.settle()
    assert publisher.session not in list(world.core.pool)
    assert publisher.session.pending is None


def test_the_input_of_a_lost_peer_is_handled_for_a_limited_time() -> None:
    world = World()
    peer = world.peer()
    peer.session.backlog.add(lambda: True)
    peer.drop()
    assert peer.session in list(world.core.pool)
    world.clock.advance(LOST_BACKLOG_S + 1)
    assert peer.session not in list(world.core.pool)
    assert world.core.slices.idle


def test_the_input_of_all_lost_peers_has_a_bound() -> None:
    world = World()
    big, more, small = world.peer("big"), world.peer("more"), world.peer("small")
    log: list[str] = []
    for peer, nbytes in ((big, LOST_BACKLOG_BYTES), (more, 1), (small, 0)):
        peer.session.backlog.add(Work(peer.client_id, 1, log).step, nbytes)
        peer.drop()
    assert more.session not in list(world.core.pool)
    world.settle()
    assert log == ["big", "small"]
    again = world.peer("again")
    again.session.backlog.add(Work("again", 1, log).step, LOST_BACKLOG_BYTES)
    again.drop()
    world.settle()
    assert log == ["big", "small", "again"]


def test_a_peer_that_was_closed_before_it_is_lost_leaves_nothing() -> None:
    world = World()
    peer = world.peer()
    log: list[str] = []
    peer.session.backlog.add(Work("never", 1, log).step)
    peer.session.connection.close(Code.GOING_AWAY, "stopping")
    peer.drop()
    assert peer.session not in list(world.core.pool)
    world.settle()
    assert log == []
