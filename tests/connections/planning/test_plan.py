"""Plans: facts in, settings with reasons out."""

from gateway.connections.overload.measures import ShedGroup
from gateway.connections.planning.context import Context
from gateway.connections.planning.plan import plan


def test_a_gateway_that_does_nothing_needs_nothing() -> None:
    nothing = plan(Context(0.0))
    assert (nothing.quality, nothing.routes, nothing.moves) == ((), (), ())


def test_the_clients_of_an_operator_are_never_shed() -> None:
    assert plan(Context(0.0)).pool.shed_first == (ShedGroup.DASHBOARDS, ShedGroup.AGENTS)
