"""Admission: what is kept for admin panels is there in any flood, and each refusal says when to return."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.connections.admission.admission import ADMIT, MAX_WAITING, Admission, Reason, RetryAfter
from gateway.connections.admission.population import Population
from gateway.connections.admission.settings import AdmissionSettings, ClientBudget
from gateway.errors import Action, Code, ProtocolViolation, action_of
from gateway.protocol.messages import ClientType

ADDRESS = "198.51.100.7"
KINDS: Sequence[ClientType | None] = (None, *ClientType)
OTHERS = [kind for kind in KINDS if kind is not ClientType.ADMIN_PANEL]


class Gate:
    """An admission, and the connections that it has let in."""

    def __init__(self, max_connections: int = 1000, seed: int = 1, **settings: object) -> None:
        self.population = Population()
        bounds = AdmissionSettings(**settings)  # type: ignore[arg-type]
        self.admission = Admission(max_connections, bounds, self.population, random.Random(seed).random)

    def come(self, kind: ClientType | None = None, address: str = ADDRESS, now_s: float = 0.0) -> RetryAfter | None:
        """Come in if that is possible, as a client that says HELLO at once."""
        decision = self.admission.decide(kind, address, now_s)
        if isinstance(decision, RetryAfter):
            return decision
        assert decision is ADMIT
        self.population.connections += 1
        if kind is not None:
            self.population.by_type[kind] += 1
        return None


@given(st.lists(st.tuples(st.sampled_from(KINDS), st.floats(0, 0.01)), max_size=200), st.integers(0, 40))
def test_there_are_never_more_connections_than_may_be_and_the_last_are_for_panels(
    comers: list[tuple[ClientType | None, float]], max_connections: int
) -> None:
    gate, now_s = Gate(max_connections, reserved_connections=4), 0.0
    for kind, step_s in comers:
        now_s += step_s
        before = gate.population.connections
        refusal = gate.come(kind, now_s=now_s)
        kept = 0 if kind is ClientType.ADMIN_PANEL else min(4, max_connections // 8)
        assert (refusal is None) == (before < max_connections - kept)
        assert refusal is None or (refusal.reason, refusal.code) == (
            Reason.MAX_CONNECTIONS,
            Code.TOO_MANY_CONNECTIONS,
        )


@given(st.lists(st.tuples(st.sampled_from(OTHERS), st.floats(0, 0.1)), max_size=300), st.integers(0, 2**32))
def test_a_panel_gets_in_whatever_came_before(comers: list[tuple[ClientType | None, float]], seed: int) -> None:
    gate = Gate(160, seed, handshakes_per_s=50, handshake_burst=80, reserved_connections=10)
    now_s = 0.0
    for kind, step_s in comers:
        now_s += step_s
        gate.come(kind, now_s=now_s)
    assert [gate.come(ClientType.ADMIN_PANEL, now_s=now_s) for _ in range(10)] == [None] * 10


def test_a_flood_from_one_address_takes_no_handshake_of_the_others() -> None:
    gate = Gate(handshakes_per_s=100, handshake_burst=80, address_handshakes_per_s=10)
    reasons = [gate.come(address="203.0.113.1") for _ in range(5000)]
    refused = [refusal for refusal in reasons if refusal is not None]
    assert len(refused) == 5000 - 20
    assert {(each.reason, each.code) for each in refused} == {(Reason.ADDRESS, Code.ADDRESS_LIMIT)}
    assert [gate.come(address="203.0.113.2") for _ in range(20)] == [None] * 20
    assert gate.come(ClientType.ADMIN_PANEL, "203.0.113.3") is None


def test_a_storm_is_spread_over_a_time_that_grows_with_it() -> None:
    gate = Gate(10_000, handshakes_per_s=100, handshake_burst=80)
    waits_s = [refusal.retry_after_s for refusal in (gate.come() for _ in range(2000)) if refusal is not None]
    assert len(waits_s) == 2000 - 70
    assert waits_s == sorted(waits_s)
    for second in range(1, 20):
        assert 70 <= sum(second <= wait_s < second + 1 for wait_s in waits_s) <= 90


def test_a_gateway_that_cannot_keep_up_lets_so_many_wait_and_panels_in() -> None:
    gate = Gate()
    gate.admission.waiting = MAX_WAITING
    assert gate.come() is None
    gate.admission.waiting += 1
    refusal = gate.come(ClientType.AGENT)
    assert refusal is not None
    assert refusal.reason is Reason.HANDSHAKES
    assert "admission.handshakes_per_s=1000" in refusal.message
    assert gate.come(ClientType.ADMIN_PANEL) is None
    unbounded = Gate(handshakes_per_s=0)
    unbounded.admission.waiting = 10**6
    assert unbounded.come() is None


def test_one_address_has_so_many_connections_and_no_more_than_twice_as_many_sockets() -> None:
    gate = Gate(address_connections=2)
    assert gate.admission.counts_addresses
    assert [gate.admission.enter(ADDRESS) for _ in range(5)] == [True] * 4 + [False]
    assert [gate.come() for _ in range(2)] == [None] * 2
    refusal = gate.come()
    assert refusal is not None
    assert refusal.reason is Reason.ADDRESS
    assert refusal.message.startswith("your address has address_connections=2 already")
    assert gate.admission.enter("203.0.113.1")
    assert gate.come(address="203.0.113.1") is None
    gate.admission.leave(ADDRESS, admitted=False)
    gate.admission.leave(ADDRESS, admitted=True)
    assert gate.admission.enter(ADDRESS)
    assert gate.come() is None
    assert gate.come() is not None


def test_without_bounds_every_address_may_come_as_it_likes() -> None:
    gate = Gate(100_000, handshakes_per_s=0)
    assert not gate.admission.counts_addresses
    assert {gate.come() for _ in range(20_000)} == {None}


def test_the_budget_of_a_type_concerns_no_other_type() -> None:
    gate = Gate(agent=ClientBudget(connections=2))
    assert [gate.come(ClientType.AGENT) for _ in range(2)] == [None] * 2
    refusal = gate.come(ClientType.AGENT)
    assert refusal is not None
    assert (refusal.reason, refusal.code) == (Reason.CLIENT_TYPE, Code.TOO_MANY_CONNECTIONS)
    assert "admission.agent.connections=2" in refusal.message
    assert 5 <= refusal.retry_after_s <= 10
    assert [gate.come(kind) for kind in OTHERS if kind is not ClientType.AGENT] == [None] * 3


def test_at_hello_the_type_counts_unless_the_client_replaces_its_own_connection() -> None:
    gate = Gate(agent=ClientBudget(connections=1))
    assert gate.admission.decide_hello(ClientType.AGENT, 0.0, replaces=False) is ADMIT
    gate.population.by_type[ClientType.AGENT] = 1
    refusal = gate.admission.decide_hello(ClientType.AGENT, 0.0, replaces=False)
    assert isinstance(refusal, RetryAfter)
    assert gate.admission.decide_hello(ClientType.AGENT, 0.0, replaces=True) is ADMIT
    assert gate.admission.decide_hello(ClientType.WORKFLOW, 0.0, replaces=False) is ADMIT
    violation = refusal.violation()
    assert (violation.code, violation.action) == (Code.TOO_MANY_CONNECTIONS, Action.RECONNECT_LATER)
    assert violation.retry_after_s == pytest.approx(refusal.retry_after_s, abs=1e-3)


def test_a_gateway_that_is_full_spreads_those_that_find_no_room() -> None:
    gate = Gate(8, handshakes_per_s=10, handshake_burst=100, reserved_connections=0)
    waits_s = [refusal.retry_after_s for refusal in (gate.come() for _ in range(208)) if refusal is not None]
    assert len(waits_s) == 200
    assert min(waits_s) >= 5
    assert 24 < max(waits_s) < 27


def test_connections_past_the_bound_are_told_to_come_later() -> None:
    gate = Gate(2)
    gate.admission.check_room(0.0)
    gate.population.connections = 2
    with pytest.raises(ProtocolViolation, match="max_connections=2") as caught:
        gate.admission.check_room(0.0)
    assert caught.value.code == Code.TOO_MANY_CONNECTIONS
    assert caught.value.retry_after_s is not None


def test_decisions_are_counted_by_reason_and_type() -> None:
    gate = Gate(3, agent=ClientBudget(connections=1))
    for kind in (ClientType.AGENT, ClientType.AGENT, None, ClientType.WORKFLOW, ClientType.WORKFLOW, None):
        gate.come(kind)
    admission = gate.admission
    assert admission.admitted == {ClientType.AGENT: 1, None: 1, ClientType.WORKFLOW: 1}
    assert admission.refused == {
        (Reason.CLIENT_TYPE, ClientType.AGENT): 1,
        (Reason.MAX_CONNECTIONS, ClientType.WORKFLOW): 1,
        (Reason.MAX_CONNECTIONS, None): 1,
    }


def test_the_codes_ask_to_come_later() -> None:
    assert {action_of(code) for code in (Code.ADDRESS_LIMIT, Code.TOO_MANY_CONNECTIONS)} == {Action.RECONNECT_LATER}


def test_an_overloaded_gateway_takes_no_dashboards_and_tells_them_to_come_later() -> None:
    """A client whose type is not known yet is decided about at its HELLO."""
    gate = Gate()
    gate.admission.refuses_dashboards = True
    refusal = gate.come(ClientType.EXTENSION)
    assert refusal is not None
    assert (refusal.reason, refusal.code, action_of(refusal.code)) == (
        Reason.OVERLOAD,
        Code.OVERLOADED,
        Action.RECONNECT_LATER,
    )
    assert refusal.retry_after_s >= 5.0
    assert [gate.come(kind) for kind in KINDS if kind is not ClientType.EXTENSION] == [None] * 4

    def at_hello(kind: ClientType, *, named: bool, replaces: bool = False) -> bool:
        return gate.admission.decide_hello(kind, 0.0, replaces=replaces, named=named) is ADMIT

    assert not at_hello(ClientType.EXTENSION, named=True)
    assert not at_hello(ClientType.AGENT, named=False)
    assert at_hello(ClientType.AGENT, named=True)
    assert at_hello(ClientType.WORKFLOW, named=False)
    assert at_hello(ClientType.ADMIN_PANEL, named=False)
    assert at_hello(ClientType.EXTENSION, named=True, replaces=True), "it is there already"
    nameless = gate.admission.decide_hello(ClientType.AGENT, 0.0, replaces=False, named=False)
    assert isinstance(nameless, RetryAfter)
    assert "takes no agents without a client_id: give this program one, or try again in " in nameless.message
    assert len(nameless.message) <= 123, "the reason of a close frame"


def test_a_gateway_that_stops_takes_nobody() -> None:
    gate = Gate()
    gate.admission.draining = True
    refusals = [gate.come(kind) for kind in KINDS]
    assert {refusal.reason for refusal in refusals if refusal is not None} == {Reason.DRAINING}
    assert None not in refusals
