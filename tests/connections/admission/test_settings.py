"""Settings of admission: wrong ones are refused with what they take."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from gateway.connections.admission.settings import AdmissionSettings, ClientBudget
from gateway.errors import InvalidArgument
from gateway.protocol.messages import ClientType


def test_networks_are_read() -> None:
    assert AdmissionSettings(exempt_networks="").networks == ()
    networks = AdmissionSettings(exempt_networks=" 10.0.0.0/8,::1/128 ").networks
    assert networks == (ip_network("10.0.0.0/8"), ip_network("::1/128"))


@pytest.mark.parametrize("text", ["10.0.0.1/8", "localhost", "10.0.0.0/33"])
def test_a_network_that_is_none(text: str) -> None:
    with pytest.raises(InvalidArgument, match=r"exempt_networks .* such as 10\.0\.0\.0/8"):
        AdmissionSettings(exempt_networks=text)


def test_a_burst_of_none_would_lock_everybody_out() -> None:
    with pytest.raises(InvalidArgument, match="handshake_burst"):
        AdmissionSettings(handshake_burst=0)
    AdmissionSettings(handshake_burst=0, handshakes_per_s=0)


def test_each_type_of_clients_has_a_budget() -> None:
    settings = AdmissionSettings(agent=ClientBudget(connections=3))
    assert [settings.budget_of(kind).connections for kind in ClientType] == [0, 0, 3, 0]
