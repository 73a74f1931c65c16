"""URLs of the ports of a gateway, which a user can paste as they are printed."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import Final

NETWORKS: Final = {(4,): "all IPv4 addresses", (6,): "all IPv6 addresses", (4, 6): "all addresses"}
"""Addresses that reach a port, by the families of whose unspecified addresses it is bound to."""


def url_of(scheme: str, host: str, address: str, port: int) -> str:
    """Return the URL at which a client on this machine reaches a port.

    An IPv6 address stands in brackets (RFC 3986, section 3.2.2). A host that means all networks, such as ``0.0.0.0``,
    ``*`` or ``0``, is one to listen on, not one to connect to: the loopback address of the family takes its place.

    Args:
        scheme: ``ws`` or ``http``.
        host: host of the settings, which the user knows.
        address: address of numbers that the port is bound to; the system has found it for ``host``.
        port: number of the port.
    """
    bound = ipaddress.ip_address(address)
    if bound.is_unspecified:
        host = "::1" if bound.version == 6 else "127.0.0.1"
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def is_loopback(host: str) -> bool:
    """Return whether a host of the settings is this machine only; a name but ``localhost`` may be any address."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def networks_of(addresses: Iterable[str]) -> str | None:
    """Return the name of all addresses of the machine that reach a port; ``None`` if only single ones do.

    Args:
        addresses: addresses of numbers that the port is bound to.
    """
    bound = map(ipaddress.ip_address, addresses)
    return NETWORKS.get(tuple(sorted({address.version for address in bound if address.is_unspecified})))
