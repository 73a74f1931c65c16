"""The demo's gateway takes other ports where it may, and says so where it may not."""

import socket

import pytest

from gateway.demo.display import LineDisplay
from gateway.demo.family import ChildFailed
from gateway.demo.scene import GatewayUrls, Plan, play


def test_a_taken_port_is_an_error_if_it_was_asked_for() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        plan = Plan(taken.getsockname()[1], None, other_ports=False, seconds=0.0, steps_per_s=100.0)
        with pytest.raises(ChildFailed, match="gateway: cannot listen") as failed:
            play(plan, lambda urls: LineDisplay())
    assert failed.value.details == {"in_use": True}


def test_another_port_is_taken_if_it_was_not() -> None:
    places: list[GatewayUrls] = []

    def open_display(urls: GatewayUrls) -> LineDisplay:
        places.append(urls)
        return LineDisplay()

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        play(Plan(port, None, other_ports=True, seconds=0.0, steps_per_s=100.0), open_display)
    assert len(places) == 1
    assert str(port) not in places[0].url
