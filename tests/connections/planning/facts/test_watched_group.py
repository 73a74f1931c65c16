"""Watched groups: times of members from counters of requests and of what is outstanding."""

from __future__ import annotations

import pytest

from gateway.connections.planning.facts.watched_group import WatchedGroup
from gateway.connections.requests.groups import Member
from tests.connections.asking import ask, reply
from tests.connections.memory import Peer, World

GROUP = "group:g"


class Scene:
    """Two members, of which the first one answers more often."""

    def __init__(self) -> None:
        self.world = World()
        self.asker = self.world.peer("asker")
        self.workers = [self.world.subscriber(GROUP, f"worker-{number}") for number in range(2)]
        self.asker.open(0, GROUP)
        self.group = WatchedGroup(GROUP, self.world.clock.monotonic_s())

    def members(self) -> list[Member]:
        """Return the members of the group."""
        return self.world.core.planning.actuator.groups.first_members_of(GROUP, 10)

    def answer(self, worker: Peer) -> None:
        """Have a worker answer its oldest request."""
        _, correlation = next(iter(worker.session.requests.owed))
        reply(worker, self.asker, correlation)
        self.world.settle()


def test_times_are_those_between_replies_while_there_are_requests() -> None:
    scene = Scene()
    for correlation in range(60):
        ask(scene.asker, correlation)
    scene.world.settle()
    clock = scene.world.clock
    facts = scene.group.look(scene.members(), clock.monotonic_s())
    assert facts.requests_per_s == 0
    for _ in range(5):
        clock.advance(1.0)
        for _ in range(4):
            scene.answer(scene.workers[0])
        scene.answer(scene.workers[1])
        facts = scene.group.look(scene.members(), clock.monotonic_s())
    times = {member.client_id: pytest.approx(member.service_s, rel=1e-3) for member in facts.members}
    assert times == {"worker-0": 0.25, "worker-1": 1.0}
    assert facts.requests_per_s == pytest.approx(5, rel=1e-3)
    assert {member.client_id: member.outstanding for member in facts.members} == {"worker-0": 10, "worker-1": 25}
    assert facts.wait_s > 7, "35 requests wait, and 5 a second are answered"


def test_idle_time_between_requests_is_no_time_of_theirs() -> None:
    scene = Scene()
    clock = scene.world.clock
    for correlation in range(40):
        ask(scene.asker, correlation)
        scene.world.settle()
        clock.advance(0.01)
        for worker in scene.workers:
            if worker.session.requests.owed:
                scene.answer(worker)
        clock.advance(0.19)
        facts = scene.group.look(scene.members(), clock.monotonic_s())
    for member in facts.members:
        assert member.service_s == pytest.approx(0.01, rel=0.1)
        assert member.replies >= 8


def test_what_was_measured_of_a_member_lasts_while_it_gets_few_requests_and_is_forgotten_in_the_end() -> None:
    scene = Scene()
    clock = scene.world.clock
    for correlation in range(40):
        ask(scene.asker, correlation)
    scene.world.settle()
    scene.group.look(scene.members(), clock.monotonic_s())
    worker = scene.workers[0]
    while worker.session.requests.owed:
        clock.advance(0.04)
        scene.answer(worker)
    replies = []
    for _ in range(3):
        for _ in range(200):
            facts = scene.group.look(scene.members(), clock.monotonic_s())
            clock.advance(0.25)
        replies.append(facts.members[0].replies)
    assert replies[0] >= 8 > replies[-1]


def test_a_member_without_requests_tells_nothing() -> None:
    scene = Scene()
    for second in range(5):
        ask(scene.asker, second)
        scene.world.settle()
        for worker in scene.workers:
            while worker.session.requests.owed:
                scene.answer(worker)
        facts = scene.group.look(scene.members(), float(second))
    assert [member.service_s for member in facts.members] == [0.0, 0.0]
    assert facts.wait_s == 0
