"""The demo's gateway takes other ports where it may, and says so where it may not."""

import socket

import pytest

from gateway.demo.display import LineDisplay
from gateway.demo.family import ChildFailed
from gateway.demo.scene import GatewayUrls, Plan, play


@pytest.mark.parametrize("admin_is_taken", [False, True])
def test_a_taken_port_is_an_error_if_it_was_asked_for(admin_is_taken: bool) -> None:
    """It alone is named: in place of the other one, a free port could be taken."""
    with socket.create_server(("127.0.0.1", 0)) as taken, socket.create_server(("127.0.0.1", 0)) as other:
        port, admin_port = taken.getsockname()[1], other.getsockname()[1] if admin_is_taken else 0
        plan = Plan(port, admin_port, replaceable=frozenset({"admin_port"}), seconds=0.0, steps_per_s=100.0)
        with pytest.raises(ChildFailed, match=rf"gateway: cannot listen: port {port} on 127\.0\.0\.1: ") as failed:
            play(plan, lambda urls: LineDisplay())
    assert failed.value.details == {"in_use": ["port"]}


@pytest.mark.parametrize("replaceable", [{"port"}, {"admin_port"}, {"port", "admin_port"}])
def test_another_port_is_taken_if_it_was_not(replaceable: set[str]) -> None:
    places: list[GatewayUrls] = []

    def open_display(urls: GatewayUrls) -> LineDisplay:
        places.append(urls)
        return LineDisplay()

    with socket.create_server(("127.0.0.1", 0)) as first, socket.create_server(("127.0.0.1", 0)) as second:
        taken = {"port": first.getsockname()[1], "admin_port": second.getsockname()[1]}
        ports = {name: taken[name] if name in replaceable else 0 for name in taken}
        play(Plan(**ports, replaceable=frozenset(replaceable), seconds=0.0, steps_per_s=100.0), open_display)
    (place,) = places
    assert place.admin_url is not None
    assert {place.url.rpartition(":")[2], place.admin_url.rpartition(":")[2]}.isdisjoint(map(str, taken.values()))
