"""Rule of moves."""

from gateway.connections.planning.context import Context, GatewayFacts
from gateway.connections.planning.rules.moves import Move, moves


def moves_between(*gateways: GatewayFacts) -> list[Move]:
    """Return the moves between gateways, the first of which plans."""
    return moves(Context(0.0, gateways=gateways))


def test_a_workflow_moves_to_where_most_of_it_is() -> None:
    here = GatewayFacts("wss://a", 0.2, {"lab": 10.0, "other": 100.0})
    there = GatewayFacts("wss://b", 0.3, {"lab": 90.0})
    (move,) = moves_between(here, there)
    assert (move.workflow, move.address) == ("lab", "wss://b")
    assert move.reason == "90% of the messages of lab are delivered there"


def test_a_busy_gateway_gives_its_smallest_workflow_to_one_that_has_room() -> None:
    here = GatewayFacts("wss://a", 0.9, {"small": 10.0, "large": 100.0})
    busy, free = GatewayFacts("wss://b", 0.7, {}), GatewayFacts("wss://c", 0.1, {})
    (move,) = moves_between(here, busy, free)
    assert (move.workflow, move.address) == ("small", "wss://c")
    assert not moves_between(here, busy)
    assert not moves_between(here)
