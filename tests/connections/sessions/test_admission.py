"""Admission: connections past the bound are refused, with the bound and the advice to come back."""

from __future__ import annotations

import pytest

from gateway.connections.sessions.admission import ConnectionLimit
from gateway.errors import Code, ProtocolViolation


@pytest.mark.parametrize("connections", [0, 1])
def test_connections_below_the_bound_are_taken(connections: int) -> None:
    ConnectionLimit(2).check(connections)


@pytest.mark.parametrize("connections", [2, 3])
def test_connections_past_the_bound_are_told_to_come_later(connections: int) -> None:
    with pytest.raises(ProtocolViolation, match=r"max_connections=2 already; try again later") as caught:
        ConnectionLimit(2).check(connections)
    assert caught.value.code == Code.TOO_MANY_CONNECTIONS
