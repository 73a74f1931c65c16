"""Population: the pool counts connections by what they have become."""

from __future__ import annotations

from gateway.protocol.messages import ClientType, Hello
from tests.connections.memory import World


def test_connections_are_counted_and_those_that_said_hello_by_type() -> None:
    world = World()
    population = world.core.pool.population
    stranger, panel, agent = world.stranger(), world.stranger(), world.peer("agent")
    panel.say(Hello((1,), ClientType.ADMIN_PANEL))
    assert population.connections == 3
    assert population.by_type == {**dict.fromkeys(ClientType, 0), ClientType.ADMIN_PANEL: 1, ClientType.AGENT: 1}
    for peer in (stranger, panel, agent, agent):
        peer.drop()
    assert population.connections == 0
    assert set(population.by_type.values()) == {0}
