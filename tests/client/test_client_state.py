"""Tests the names of states."""

from gateway.client.client_state import ClientState


def test_the_names_are_those_of_the_specification() -> None:
    assert [*ClientState] == ["connecting", "connected", "reconnecting", "closed"]
