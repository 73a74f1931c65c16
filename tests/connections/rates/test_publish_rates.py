"""Publish rates: who publishes too much is not read for a while, and others go on."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.connections.admission.settings import AdmissionSettings, ClientBudget
from gateway.connections.rates import publish_rates
from gateway.connections.rates.publish_rates import DEBT_INTERVAL_S, INTERVAL_S, PublishRates
from gateway.connections.rates.rate_budget import MAX_DEBT_S
from gateway.ids import StreamName
from gateway.protocol.messages import ClientType, Hello, Kind
from tests.connections.memory import Peer, World


class Budgets:
    """Publish rates over a core in memory, whose sweeps come when the test says so."""

    def __init__(self, heartbeat_interval_s: float = 20.0, **settings: Any) -> None:
        self.world = World()
        admission = AdmissionSettings(**settings)
        self.rates = PublishRates(self.world.core.pool, admission, self.world.clock, heartbeat_interval_s)

    def publisher(self, stream: str) -> Peer:
        return self.world.publisher(stream, kind=Kind.EVENT)

    def sweep(self, after_s: float = INTERVAL_S) -> int:
        """Sweep after some time; the number of its steps."""
        self.world.clock.advance(after_s)
        return sum(1 for _ in self.rates.sweep.work() or ())


def is_read(peer: Peer) -> bool:
    return not peer.session.connection.reading.held


def test_a_publisher_above_the_budget_of_its_type_is_not_read_until_the_debt_is_paid() -> None:
    budgets = Budgets(agent=ClientBudget(messages_per_s=10))
    publisher = budgets.publisher("wf/a")
    for _ in range(31):
        publisher.publish(0, b"x")
    budgets.sweep(1.0)
    assert not is_read(publisher)
    stats = budgets.rates.stats()
    assert stats.held_publishers == 1
    assert stats.types["agent"].debt_s == pytest.approx(2.1)
    assert budgets.rates.sweep.pause_s() == DEBT_INTERVAL_S
    budgets.sweep(2.0)
    assert not is_read(publisher)
    budgets.sweep(0.2)
    assert is_read(publisher)
    assert budgets.rates.stats().held_publishers == 0
    assert budgets.rates.sweep.pause_s() == DEBT_INTERVAL_S, "it could be far ahead again before the next look"
    budgets.sweep(1.0)
    assert budgets.rates.sweep.pause_s() == INTERVAL_S
    stream = budgets.world.core.streams.get(StreamName("wf/a"))
    assert stream is not None
    assert stream.next_offset == 31


@pytest.mark.parametrize(("heartbeat_interval_s", "longest_s"), [(20.0, MAX_DEBT_S), (1.0, 1.0)])
def test_a_publisher_is_read_again_before_its_heartbeat_fails(heartbeat_interval_s: float, longest_s: float) -> None:
    budget = ClientBudget(messages_per_s=1)
    budgets = Budgets(heartbeat_interval_s, agent=budget, each_workflow=budget)
    publisher = budgets.publisher("wf/a")
    for _ in range(50):
        publisher.publish(0, b"x")
    budgets.sweep()
    assert budgets.rates.stats().types["agent"].debt_s == longest_s
    assert budgets.rates.stats().workflows["wf"].debt_s == longest_s
    budgets.sweep(longest_s)
    assert is_read(publisher)


def test_of_a_group_in_debt_those_that_publish_little_go_on() -> None:
    budgets = Budgets(agent=ClientBudget(bytes_per_s=1000))
    busy, calm = budgets.publisher("wf/a"), budgets.publisher("wf/b")
    busy.publish(0, bytes(5000))
    calm.publish(0, bytes(10))
    budgets.sweep()
    assert (is_read(busy), is_read(calm)) == (False, True)
    calm.publish(0, bytes(10))
    budgets.sweep()
    assert (is_read(busy), is_read(calm)) == (False, True), "what the other one has published counts until it is paid"
    assert busy.session in budgets.rates._types[ClientType.AGENT].loads
    busy.drop()
    budgets.sweep()
    assert busy.session not in budgets.rates._types[ClientType.AGENT].loads


def test_of_a_group_in_debt_whose_members_publish_alike_all_are_held() -> None:
    """The sum of three times 0.1 divided by three is above 0.1."""
    budgets = Budgets(agent=ClientBudget(messages_per_s=10))
    publishers = [budgets.publisher(f"wf/{name}") for name in "abc"]
    budgets.rates._types[ClientType.AGENT].budget.spend(20, 0, 1e-3)
    for publisher in publishers:
        publisher.publish(0, b"x")
    budgets.sweep(1e-3)
    assert [is_read(publisher) for publisher in publishers] == [False] * 3


def test_a_workflow_above_its_budget_slows_down_its_own_publishers_only() -> None:
    budgets = Budgets(each_workflow=ClientBudget(messages_per_s=4))
    mine, other = budgets.publisher("busy/a"), budgets.publisher("calm/a")
    for _ in range(20):
        mine.publish(0, b"x")
    other.publish(0, b"x")
    budgets.sweep()
    assert (is_read(mine), is_read(other)) == (False, True)
    assert list(budgets.rates.stats().workflows) == ["busy"]
    for _ in range(30):
        budgets.sweep()
    assert is_read(mine)
    assert not budgets.rates.stats().workflows
    assert not budgets.rates._workflows


def test_workflows_that_are_listed_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publish_rates, "MAX_LISTED", 2)
    budgets = Budgets(each_workflow=ClientBudget(messages_per_s=1))
    for number in range(4):
        publisher = budgets.publisher(f"wf-{number}/a")
        for _ in range(9):
            publisher.publish(0, b"x")
    budgets.sweep()
    assert len(budgets.rates.stats().workflows) == 2
    assert budgets.rates.stats().held_publishers == 4


def test_a_type_without_a_budget_publishes_as_it_likes() -> None:
    budgets = Budgets(workflow=ClientBudget(messages_per_s=1))
    agent = budgets.publisher("wf/a")
    workflow = budgets.world.stranger()
    workflow.say(Hello((1,), ClientType.WORKFLOW))
    workflow.open(0, "wf/b", Kind.EVENT)
    for _ in range(9):
        agent.publish(0, b"x")
        workflow.publish(0, b"x")
    budgets.sweep()
    assert (is_read(agent), is_read(workflow)) == (True, False)


def test_a_held_publisher_that_leaves_is_no_fault() -> None:
    budgets = Budgets(agent=ClientBudget(messages_per_s=1))
    publisher = budgets.publisher("wf/a")
    for _ in range(9):
        publisher.publish(0, b"x")
    budgets.sweep()
    publisher.drop()
    for _ in range(30):
        budgets.sweep()
    assert budgets.rates.stats().held_publishers == 0


def test_without_a_budget_nothing_is_looked_at() -> None:
    budgets = Budgets()
    publisher = budgets.publisher("wf/a")
    publisher.publish(0, b"x")
    assert budgets.sweep() == 0
    assert not len(budgets.rates._counts)


def test_many_connections_are_looked_at_in_steps_and_a_long_sweep_is_followed_by_a_pause(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(publish_rates, "LOOKED_AT_TOGETHER", 4)
    budgets = Budgets(agent=ClientBudget(messages_per_s=1))
    for _ in range(8):
        budgets.publisher("wf/a")
    budgets.world.clock.look_s = 0.01
    assert budgets.sweep() == 4
    assert budgets.rates.sweep.pause_s() == pytest.approx(50 * 6 * 0.01, abs=1e-3)
