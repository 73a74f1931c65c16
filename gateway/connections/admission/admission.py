"""Admission: the decision whether a client may come in, made before its handshake and again at its HELLO."""

from __future__ import annotations

import enum
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from gateway.connections.admission.addresses import Addresses
from gateway.connections.admission.participants import Participants
from gateway.connections.admission.population import Population
from gateway.connections.admission.settings import AdmissionSettings
from gateway.connections.admission.stats import UNKNOWN, AdmissionStats, BudgetStats
from gateway.connections.admission.turnstile import Turnstile
from gateway.errors import Code, ProtocolViolation
from gateway.protocol.messages import ClientType
from gateway.protocol.negotiation import is_dashboard

RESERVED_PART: Final = 8
"""One in so many connections and handshakes is kept for admin panels, at most."""

FULL_RETURN_S: Final = 5.0
"""Least time after which a client is to return that found no room: room is made by clients that leave."""

LINE_PER_S: Final = 1000.0
"""Clients in a second that are to return, if the rate of handshakes has no bound."""

MAX_WAITING: Final = 2048
"""Clients that wait for their handshake, as long as the rate has a bound: a second or two. A gateway that does not keep
up with the rate tells the others to return, instead of having them wait until they give up."""

SOCKETS_PER_CONNECTION: Final = 2
"""Sockets that an address may have for each of its connections: those beyond are told so, and not taken."""


class Reason(enum.StrEnum):
    """Reason for which a client is not taken now."""

    HANDSHAKES = "handshakes"
    """Too many come at the same time."""
    MAX_CONNECTIONS = "max_connections"
    """The gateway has as many connections as it may have."""
    CLIENT_TYPE = "client_type"
    """The budget of the client's type is spent."""
    ADDRESS = "address"
    """The address has too many connections, or makes too many."""
    DRAINING = "draining"
    """The gateway is stopping."""
    OVERLOAD = "overload"
    """The gateway has more to do than it can, and the client only looks on."""


_CODES: Final = {Reason.DRAINING: Code.GOING_AWAY, Reason.ADDRESS: Code.ADDRESS_LIMIT, Reason.OVERLOAD: Code.OVERLOADED}


@dataclass(frozen=True, slots=True)
class Admit:
    """Decision that a client may come in."""


@dataclass(frozen=True, slots=True)
class RetryAfter:
    """Decision that a client may not come in now."""

    reason: Reason
    message: str
    """Fault, for people."""
    retry_after_s: float
    """Seconds after which the client is to return. The gateway spreads them: the client adds little to it."""

    @property
    def code(self) -> Code:
        """Close code that tells of it."""
        return _CODES.get(self.reason, Code.TOO_MANY_CONNECTIONS)

    def violation(self) -> ProtocolViolation:
        """Return the error that closes a connection for it."""
        return ProtocolViolation(self.code, self.message, round(self.retry_after_s, 3))


ADMIT: Final = Admit()
_OVERLOADED: Final = "the gateway is overloaded, and takes no dashboards"
_NAMELESS: Final = "the gateway is overloaded, and takes no agents without a client_id: give this program one"
"""Reason of a close frame, which has room for 123 bytes. Such an agent counts as a dashboard."""


class Admission:
    """Decisions about clients that come.

    Decides by numbers only, in constant time and memory: the same calls with the same random numbers give the same
    decisions.

    Args:
        max_connections: connections at once.
        settings: further bounds.
        population: connections that stand.
        draw: returns random numbers from 0 up to 1.

    Attributes:
        settings: the bounds.
        participants: connections that take part in each workflow.
        waiting: clients that have asked for a WebSocket and have not had their turn, as the server counts them.
        draining: whether all newcomers are refused, because the gateway is stopping.
        refuses_dashboards: whether new dashboards are refused, because the gateway is overloaded.
        admitted: clients that were admitted before their handshake, by the type that they claimed.
        refused: clients that were not, or were closed when they had said HELLO; by reason, and by type.
    """

    def __init__(
        self,
        max_connections: int,
        settings: AdmissionSettings,
        population: Population,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self.settings = settings
        self._max_connections = max_connections
        self.waiting = 0
        self._reserved_connections = min(settings.reserved_connections, max_connections // RESERVED_PART)
        self._population = population
        self._draw = draw
        self.participants = Participants(settings.each_workflow)
        self.refuses_dashboards = False
        self.draining = False
        per_s = settings.handshakes_per_s or LINE_PER_S
        self._turnstile = Turnstile(per_s, settings.handshake_burst, draw)
        self._addresses = Addresses(settings.address_handshakes_per_s, settings.networks, draw)
        self.admitted: Counter[ClientType | None] = Counter()
        self.refused: Counter[tuple[Reason, ClientType | None]] = Counter()

    @property
    def counts_addresses(self) -> bool:
        """Whether an address has bounds: then its sockets are to be told by :meth:`enter` and :meth:`leave`."""
        return bool(self.settings.address_connections)

    def enter(self, address: str) -> bool:
        """Count a socket of an address until :meth:`leave`, and return True, or return False: there are far too many.

        Such a socket is to be dropped at once, and not to leave.
        """
        if self._addresses.sockets_of(address) >= SOCKETS_PER_CONNECTION * self.settings.address_connections:
            self.refused[Reason.ADDRESS, None] += 1
            return False
        self._addresses.enter(address)
        return True

    def leave(self, address: str, *, admitted: bool) -> None:
        """Count a socket of an address no more; ``admitted``: :meth:`decide` had let it in."""
        self._addresses.leave(address, admitted=admitted)

    def decide(self, kind: ClientType | None, address: str, now_s: float) -> Admit | RetryAfter:
        """Decide about a client that asks for a WebSocket.

        Args:
            kind: type that the client claims; ``None``: it claims none.
            address: address that it comes from; empty: none is known. Its socket has been counted by :meth:`enter`.
            now_s: time, never earlier than at the last call.
        """
        refusal = self._refusal(kind, address, now_s)
        if refusal is None:
            self.admitted[kind] += 1
            if self.counts_addresses:
                self._addresses.admit(address)
            return ADMIT
        return self._refuse(kind, *refusal)

    def decide_hello(self, kind: ClientType, now_s: float, *, replaces: bool, named: bool = True) -> Admit | RetryAfter:
        """Decide about a client that has said HELLO.

        Args:
            kind: its type.
            now_s: time, never earlier than at the last call.
            replaces: it takes the place of another connection of the same type.
            named: it has a ``client_id`` of its own.
        """
        if self.refuses_dashboards and not replaces and is_dashboard(kind, named=named):
            why = _OVERLOADED if kind is ClientType.EXTENSION else _NAMELESS
            return self._refuse(kind, Reason.OVERLOAD, why, self._full_return_s(now_s))
        fault = None if replaces else self._spent(kind)
        if fault is None:
            return ADMIT
        return self._refuse(kind, Reason.CLIENT_TYPE, fault, self._full_return_s(now_s))

    def check_room(self, now_s: float) -> None:
        """Refuse a connection past the bound on all of them.

        Raises:
            ProtocolViolation: ``TOO_MANY_CONNECTIONS``.
        """
        if self._population.connections >= self._max_connections:
            raise self._refuse(None, Reason.MAX_CONNECTIONS, self._full(), self._full_return_s(now_s)).violation()

    def stats(self) -> AdmissionStats:
        """Return the numbers so far."""
        kinds = (None, *ClientType)
        population, settings = self._population, self.settings
        return AdmissionStats(
            admitted={kind or UNKNOWN: self.admitted[kind] for kind in kinds},
            refused={
                reason.value: {kind or UNKNOWN: self.refused[reason, kind] for kind in kinds} for reason in Reason
            },
            connections=population.connections,
            max_connections=self._max_connections,
            reserved_connections=self._reserved_connections,
            addresses=len(self._addresses),
            budgets={
                kind.value: BudgetStats(population.by_type[kind], settings.budget_of(kind).connections)
                for kind in ClientType
            },
            max_workflow_connections=settings.each_workflow.connections,
            refused_by_workflows=self.participants.refused,
            workflows=self.participants.most(),
        )

    def _refuse(self, kind: ClientType | None, reason: Reason, fault: str, retry_after_s: float) -> RetryAfter:
        self.refused[reason, kind] += 1
        joint = ", or" if fault is _NAMELESS else ";"
        return RetryAfter(reason, f"{fault}{joint} try again in {retry_after_s:.1f} s", retry_after_s)

    def _refusal(self, kind: ClientType | None, address: str, now_s: float) -> tuple[Reason, str, float] | None:
        settings = self.settings
        limit = settings.address_connections
        if self.draining:
            return Reason.DRAINING, "the gateway is stopping", self._full_return_s(now_s)
        if limit and self._addresses.connections_of(address) >= limit:
            fault = f"your address has address_connections={limit} already"
            return Reason.ADDRESS, fault, FULL_RETURN_S * (1.0 + self._draw())
        is_panel = kind is ClientType.ADMIN_PANEL
        if self._population.connections >= self._max_connections - (0 if is_panel else self._reserved_connections):
            return Reason.MAX_CONNECTIONS, self._full(), self._full_return_s(now_s)
        fault_of_type = None if kind is None else self._spent(kind)
        if fault_of_type is not None:
            return Reason.CLIENT_TYPE, fault_of_type, self._full_return_s(now_s)
        if self.refuses_dashboards and kind is ClientType.EXTENSION:
            return Reason.OVERLOAD, _OVERLOADED, self._full_return_s(now_s)
        # The address first: one that comes too often is not to take the tokens of the others.
        wait_s = self._addresses.return_after_s(address, now_s)
        if wait_s is not None:
            per_s = settings.address_handshakes_per_s
            return Reason.ADDRESS, f"your address connects more often than address_handshakes_per_s={per_s:g}", wait_s
        kept = 0 if is_panel else settings.handshake_burst // RESERVED_PART
        is_crowded = self.waiting > MAX_WAITING and not is_panel
        if settings.handshakes_per_s and (is_crowded or not self._turnstile.take(now_s, kept)):
            fault = (
                f"more clients connect than admission.handshakes_per_s={settings.handshakes_per_s:g} lets in at once"
            )
            return Reason.HANDSHAKES, fault, self._turnstile.return_after_s(now_s)
        return None

    def _spent(self, kind: ClientType) -> str | None:
        """Return the fault of one client more of a type; ``None`` if there is none."""
        limit = self.settings.budget_of(kind).connections
        if not limit or self._population.by_type[kind] < limit:
            return None
        return f"the gateway has admission.{kind.value}.connections={limit} already"

    def _full(self) -> str:
        return f"the gateway has max_connections={self._max_connections} already"

    def _full_return_s(self, now_s: float) -> float:
        """Return the time after which a client that finds no room is to return: longer, the more there are."""
        return max(FULL_RETURN_S * (1.0 + self._draw()), self._turnstile.return_after_s(now_s))
