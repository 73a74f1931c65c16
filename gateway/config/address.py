"""URLs of the ports of a gateway, which a user can paste as they are printed."""

from __future__ import annotations

import ipaddress


def url_of(scheme: str, host: str, port: int) -> str:
    """Return the URL at which a client on this machine reaches a port.

    An IPv6 address stands in brackets (RFC 3986, section 3.2.2). An address that means all networks, such as
    ``0.0.0.0``, is one to listen on, not one to connect to: the loopback address of the same family takes its place.

    Args:
        scheme: ``ws`` or ``http``.
        host: address or host name that the port is bound to; empty: all addresses.
        port: number of the port.
    """
    if listens_everywhere(host):
        host = "::1" if ":" in host else "127.0.0.1"
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def listens_everywhere(host: str) -> bool:
    """Return whether a port that is bound to ``host`` is reached by every address of the machine."""
    try:
        return not host or ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False
