"""Watched groups: times of members from counters of requests and of what is outstanding."""

from __future__ import annotations

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
        self.group = WatchedGroup(GROUP, 0.0)

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
    facts = scene.group.look(scene.members(), 0.0)
    assert facts.requests_per_s == 0
    for second in range(1, 6):
        for _ in range(4):
            scene.answer(scene.workers[0])
        scene.answer(scene.workers[1])
        facts = scene.group.look(scene.members(), float(second))
    times = {member.client_id: member.service_s for member in facts.members}
    assert times == {"worker-0": 0.25, "worker-1": 1.0}
    assert facts.requests_per_s == 5
    assert {member.client_id: member.outstanding for member in facts.members} == {"worker-0": 10, "worker-1": 25}
    assert facts.wait_s > 7, "35 requests wait, and 5 a second are answered"


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
