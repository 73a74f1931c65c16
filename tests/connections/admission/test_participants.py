"""Participants: connections of a workflow are counted exactly, and one more than it may have takes no part in it."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.connections.admission import participants
from gateway.connections.admission.admission import Admission
from gateway.connections.admission.population import Population
from gateway.connections.admission.settings import AdmissionSettings, ClientBudget
from gateway.errors import Code, RequestRefused
from gateway.ids import PeerId
from gateway.protocol.messages import ClientType, Error, Hello, Kind, Open, Subscribe
from gateway.protocol.names import is_address, workflow_of
from gateway.protocol.views import View
from tests.connections.memory import Peer, World

AGENT, PANEL = ClientType.AGENT, ClientType.ADMIN_PANEL
NAMES = ("wf/a", "wf/b", "other/a", "wf/**", "*/a", "agent:nobody")
PATTERNS = ("wf/a", "wf/*", "other/**", "*/a", "**", "agent:peer", "group:g")


class Bounded:
    """A core in memory whose workflows have a bound."""

    def __init__(self, max_connections: int) -> None:
        budget = ClientBudget(connections=max_connections)
        self.world = World(admission=AdmissionSettings(each_workflow=budget))
        self.participants = self.world.core.admission.participants

    def refusal(self, peer: Peer, *messages: Open | Subscribe) -> Code | None:
        """Code with which the last of some messages is refused."""
        peer.forget()
        peer.say(*messages)
        errors = [each for each in peer.read().log if isinstance(each, Error)]
        return Code(errors[-1].code) if errors else None


def counted(world: World) -> Counter[str]:
    """Connections by workflow, from all that they have open."""
    found: Counter[str] = Counter()
    for session in world.core.pool:
        if session.lost or session.peer.client_type is PANEL:
            continue
        names = [each.name for each in session.bindings.values() if each.takes_part]
        patterns = [*session.subscriptions.values(), *(view.pattern for view in session.views.values())]
        names += [each.text for each in patterns]
        found.update({workflow_of(each) for each in names if not is_address(each) and "*" not in workflow_of(each)})
    return found


def test_one_connection_more_than_a_workflow_may_have_is_refused_until_another_has_left() -> None:
    bounded = Bounded(2)
    first, second, third = (bounded.world.peer() for _ in range(3))
    assert bounded.refusal(first, Open(0, "wf/a", Kind.EVENT)) is None
    assert bounded.refusal(second, Subscribe(1, 1, "wf/**")) is None
    assert bounded.refusal(third, Open(0, "wf/b", Kind.EVENT)) == Code.LIMIT_EXCEEDED
    assert bounded.refusal(third, Subscribe(1, 1, "wf/a")) == Code.LIMIT_EXCEEDED
    assert bounded.refusal(third, Subscribe(2, 2, "other/a"), Subscribe(3, 3, "*/a"), Subscribe(4, 4, "**")) is None
    assert bounded.refusal(first, Subscribe(1, 1, "wf/b"), Open(1, "wf/b", Kind.EVENT)) is None
    assert bounded.participants.refused == 2
    second.unsubscribe(1)
    assert bounded.refusal(third, Open(0, "wf/b", Kind.EVENT)) is None
    assert bounded.refusal(second, Subscribe(2, 1, "wf/**")) == Code.LIMIT_EXCEEDED
    bounded.world.lose(first)
    assert bounded.refusal(second, Subscribe(3, 1, "wf/**")) is None


def test_a_refused_open_makes_no_stream() -> None:
    bounded = Bounded(1)
    first, second = bounded.world.peer(), bounded.world.peer()
    assert bounded.refusal(first, Open(0, "wf/a", Kind.EVENT)) is None
    assert bounded.refusal(second, Open(0, "wf/b", Kind.EVENT)) == Code.LIMIT_EXCEEDED
    assert [stream.name for stream in bounded.world.core.streams] == ["wf/a"]


def test_admin_panels_are_neither_refused_nor_counted() -> None:
    bounded = Bounded(1)
    agent, panel = bounded.world.peer(), bounded.world.stranger()
    panel.say(Hello((1,), PANEL))
    assert bounded.refusal(panel, Subscribe(1, 1, "wf/**")) is None
    assert bounded.refusal(agent, Open(0, "wf/a", Kind.EVENT)) is None
    assert bounded.refusal(panel, Subscribe(2, 2, "wf/a")) is None
    assert bounded.participants.connections_of("wf") == 1


def test_the_connection_that_a_client_comes_back_over_has_the_place_of_the_old_one() -> None:
    bounded = Bounded(1)
    old = bounded.world.peer("agent", instance=7)
    assert bounded.refusal(old, Subscribe(1, 1, "wf/**")) is None
    new = bounded.world.peer("agent", instance=7)
    assert bounded.refusal(new, Subscribe(1, 1, "wf/**")) is None
    assert bounded.participants.connections_of("wf") == 1


def test_nothing_is_counted_without_a_bound() -> None:
    bounded = Bounded(0)
    peer = bounded.world.publisher("wf/a")
    peer.subscribe("wf/**")
    assert len(bounded.participants) == 0
    assert bounded.participants.connections_of("wf") == 0


step = st.one_of(
    st.tuples(st.just("open"), st.integers(0, 3), st.integers(0, 2), st.sampled_from(NAMES)),
    st.tuples(st.just("subscribe"), st.integers(0, 3), st.integers(0, 2), st.sampled_from(PATTERNS)),
    st.tuples(st.just("view"), st.integers(0, 3), st.integers(0, 2), st.sampled_from(PATTERNS)),
    st.tuples(st.just("unsubscribe"), st.integers(0, 3), st.integers(0, 2), st.just("")),
    st.tuples(st.just("lose"), st.integers(0, 3), st.just(0), st.just("")),
)


@given(st.lists(step, max_size=40), st.integers(1, 3))
def test_the_counts_are_those_of_all_aliases_and_subscriptions_and_never_above_the_bound(
    steps: list[tuple[str, int, int, str]], most: int
) -> None:
    bounded = Bounded(most)
    world, peers = bounded.world, [bounded.world.peer() for _ in range(4)]
    for request, (action, index, number, name) in enumerate(steps, start=1):
        peer = peers[index]
        match action:
            case "open":
                peer.say(Open(number, name, Kind.STATE))
            case "subscribe":
                peer.say(Subscribe(request, number, name))
            case "view":
                peer.say(Subscribe(request, number, name, view=View(max_rate_hz=1.0).to_json()))
            case "unsubscribe":
                peer.unsubscribe(number)
            case _:
                world.lose(peer)
                peers[index] = world.peer()
        expected = counted(world)
        assert {each: bounded.participants.connections_of(each) for each in ("wf", "other")} == {
            each: expected[each] for each in ("wf", "other")
        }
        assert len(bounded.participants) == len(expected)
        assert max(expected.values(), default=0) <= most
    world.lose(*peers)
    assert len(bounded.participants) == 0


def test_the_numbers_name_the_workflows_with_most_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(participants, "MAX_LISTED", 2)
    bounds = AdmissionSettings(each_workflow=ClientBudget(connections=2))
    admission = Admission(16, bounds, Population())
    for peer, name in ((1, "a/x"), (1, "b/x"), (2, "b/x"), (1, "c/x"), (2, "c/y")):
        admission.participants.enter(PeerId(peer), AGENT, name)
    with pytest.raises(RequestRefused):
        admission.participants.check(PeerId(3), AGENT, "b/x")
    stats = admission.stats()
    assert dict(stats.workflows) == {"b": 2, "c": 2}
    assert (stats.max_workflow_connections, stats.refused_by_workflows) == (2, 1)
