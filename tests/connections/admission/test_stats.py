"""Stats of admission: numbers of every reason and type, also of those that never came."""

from __future__ import annotations

from gateway.connections.admission.admission import Admission, Reason
from gateway.connections.admission.population import Population
from gateway.connections.admission.settings import AdmissionSettings, ClientBudget
from gateway.connections.admission.stats import UNKNOWN, BudgetStats
from gateway.protocol.messages import ClientType


def test_all_numbers_are_there_from_the_beginning() -> None:
    population = Population()
    settings = AdmissionSettings(agent=ClientBudget(connections=2), reserved_connections=3)
    admission = Admission(16, settings, population, lambda: 0.5)
    stats = admission.stats()
    assert set(stats.admitted) == {UNKNOWN, *ClientType}
    assert stats.refused == {reason.value: dict.fromkeys((UNKNOWN, *ClientType), 0) for reason in Reason}
    assert set(stats.admitted.values()) == {0}
    admission.decide(ClientType.AGENT, "", 0.0)
    population.connections, population.by_type[ClientType.AGENT] = 2, 2
    admission.decide(ClientType.AGENT, "", 0.0)
    later = admission.stats()
    assert later.admitted["agent"] == 1
    assert later.refused["client_type"]["agent"] == 1
    assert (later.connections, later.max_connections, later.reserved_connections) == (2, 16, 2)
    assert later.budgets["agent"] == BudgetStats(2, 2)
    assert stats.admitted["agent"] == 0
