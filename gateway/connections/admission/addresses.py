"""Addresses: sockets and handshakes of each address, in bounded memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from typing import Final

from gateway.connections.admission.settings import Network
from gateway.connections.admission.turnstile import Turnstile

MAX_TURNSTILES: Final = 16_384
"""Addresses whose handshakes are counted at a time; beyond them the one that was seen least recently is forgotten."""

BURST_S: Final = 2.0
"""Time whose handshakes an address may do at once."""

SITE_BITS: Final = 64
"""Bits of an IPv6 address that its owner chooses freely."""

ParsedAddress = tuple[int, int]
"""Version, and number of the address; of IPv6 without the bits that its owner chooses."""


class Addresses:
    """Sockets and handshakes of each address that has bounds.

    Args:
        handshakes_per_s: handshakes of one address in a second; 0: no bound.
        exempt: networks whose addresses have no bounds.
        draw: returns random numbers from 0 up to 1.
    """

    def __init__(self, handshakes_per_s: float, exempt: Collection[Network], draw: Callable[[], float]) -> None:
        self._handshakes_per_s = handshakes_per_s
        self._exempt = exempt
        self._draw = draw
        self._sockets: Counter[ParsedAddress] = Counter()
        self._admitted: Counter[ParsedAddress] = Counter()
        self._turnstiles: dict[ParsedAddress, Turnstile] = {}
        """Turnstile of each address that has come lately; the one that was seen least recently is the first."""
        self._parsed = lru_cache(1024)(self._parse)

    def __len__(self) -> int:
        """Return the number of addresses that are remembered."""
        return len(self._sockets.keys() | self._turnstiles.keys())

    def enter(self, address: str) -> None:
        """Count a socket, until :meth:`leave`."""
        parsed = self._parsed(address)
        if parsed is not None:
            self._sockets[parsed] += 1

    def admit(self, address: str) -> None:
        """Count one of the sockets as a connection, too."""
        parsed = self._parsed(address)
        if parsed is not None:
            self._admitted[parsed] += 1

    def leave(self, address: str, *, admitted: bool) -> None:
        """Count a socket no more, and as a connection neither if it was ``admitted``."""
        parsed = self._parsed(address)
        if parsed is not None:
            _decrement(self._sockets, parsed)
            if admitted:
                _decrement(self._admitted, parsed)

    def sockets_of(self, address: str) -> int:
        """Return the sockets of an address; 0 if it has no bounds."""
        parsed = self._parsed(address)
        return 0 if parsed is None else self._sockets[parsed]

    def connections_of(self, address: str) -> int:
        """Return the connections of an address; 0 if it has no bounds."""
        parsed = self._parsed(address)
        return 0 if parsed is None else self._admitted[parsed]

    def return_after_s(self, address: str, now_s: float) -> float | None:
        """Return ``None`` if the address may do a handshake now, which is counted, or the seconds to wait before."""
        parsed = self._parsed(address) if self._handshakes_per_s else None
        if parsed is None:
            return None
        turnstile = self._turnstiles.pop(parsed, None)
        if turnstile is None:
            if len(self._turnstiles) >= MAX_TURNSTILES:
                del self._turnstiles[next(iter(self._turnstiles))]
            burst = max(1, round(BURST_S * self._handshakes_per_s))
            turnstile = Turnstile(self._handshakes_per_s, burst, self._draw)
        self._turnstiles[parsed] = turnstile
        return None if turnstile.take(now_s) else turnstile.return_after_s(now_s)

    def _parse(self, text: str) -> ParsedAddress | None:
        """Return an address as a key; ``None``: it has no bounds, or is none."""
        try:
            address = ip_address(text)
        except ValueError:
            return None
        if isinstance(address, IPv6Address):
            address = address.ipv4_mapped or address
        if any(address in network for network in self._exempt):
            return None
        return address.version, int(address) >> (SITE_BITS if address.version == 6 else 0)


def _decrement(counts: Counter[ParsedAddress], address: ParsedAddress) -> None:
    counts[address] -= 1
    if counts[address] <= 0:
        del counts[address]
