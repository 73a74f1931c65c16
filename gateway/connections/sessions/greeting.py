"""Greeting: HELLO and WELCOME make a connection that of a client (spec section 3.1)."""

from __future__ import annotations

import logging
import secrets

from gateway import __version__
from gateway.connections.outbound.peer import Peer
from gateway.connections.ports import Authorizer, Clock
from gateway.connections.sessions.pool import Pool
from gateway.connections.sessions.session import Session
from gateway.errors import Code, ProtocolViolation, RequestRefused
from gateway.ids import ClientId
from gateway.protocol.messages import Hello, Notice, Welcome, WelcomeLimits
from gateway.protocol.negotiation import Capabilities, negotiate

logger = logging.getLogger(__name__)


class Greeter:
    """Answer to HELLO.

    Args:
        capabilities: versions, codecs and limits of the gateway.
        authorizer: authenticates clients.
        clock: for the time in WELCOME.
        heartbeat_interval_s: time between two pings of a client.
        pool: connections by client.

    Attributes:
        superseded_connections: connections that another client took over from, by the same ``client_id``.
    """

    def __init__(
        self, capabilities: Capabilities, authorizer: Authorizer, clock: Clock, heartbeat_interval_s: float, pool: Pool
    ) -> None:
        self._capabilities = capabilities
        self._authorizer = authorizer
        self._clock = clock
        self._heartbeat_interval_s = heartbeat_interval_s
        self._pool = pool
        self.superseded_connections = 0

    def greet(self, session: Session, hello: Hello) -> None:
        """Answer HELLO.

        Raises:
            ProtocolViolation: the client is not accepted; the code says why.
        """
        agreement = negotiate(hello, self._capabilities)
        connection = session.connection
        client_id = hello.client_id or ClientId(f"{hello.client_type.value}-{secrets.token_hex(6)}")
        try:
            now_s = self._clock.monotonic_s()
            session.grant = self._authorizer.authenticate(client_id, hello.client_type, hello.token, now_s)
        except RequestRefused as refusal:
            raise ProtocolViolation(Code.UNAUTHENTICATED, refusal.message) from None
        peer = Peer(
            session.peer.id,
            client_id,
            hello.client_type,
            hello.agent,
            secrets.token_hex(8),
            hello.instance,
            made_up=hello.client_id is None,
        )
        session.introduce(peer)
        connection.codecs = _shared(frozenset(agreement.codecs + agreement.filters))
        connection.max_message_bytes = agreement.max_message_bytes
        self._supersede(session)
        self._pool.introduce(session)
        connection.send(
            Welcome(
                version=agreement.version,
                client_id=client_id,
                session=peer.session_id,
                peer=peer.id,
                codecs=agreement.codecs,
                filters=agreement.filters,
                limits=WelcomeLimits.of(self._capabilities.limits),
                heartbeat_interval_s=self._heartbeat_interval_s,
                time_ns=self._clock.time_ns(),
                agent=f"frys/{__version__}",
            )
        )

    def _supersede(self, newer: Session) -> None:
        """Tell the connection that had the ``client_id`` before, unless the same running client reconnects."""
        peer = newer.peer
        earlier = self._pool.newest_of(peer.client_id)
        if earlier is None or earlier.connection.closed:
            return
        if peer.instance is not None and earlier.peer.instance == peer.instance:
            return
        self.superseded_connections += 1
        logger.warning(
            "two clients use the client_id %s: %s, which came now, takes over from %s; give each an id of its own",
            peer.client_id,
            _described(newer),
            _described(earlier),
        )
        reason = (
            f"client_id {peer.client_id} is used by another client as well: {_described(newer)} has connected, and "
            f"gets from now on what only one connection of a client gets, acknowledged messages and requests; give "
            f"each client an id of its own"
        )
        earlier.connection.send(Notice(None, None, None, Code.SUPERSEDED, reason, client_id=peer.client_id))


def _described(session: Session) -> str:
    """Return how people tell a connection from others."""
    where = session.connection.transport.peer_address()
    return (
        f"peer {session.peer.id}" + (f" from {where}" if where else "") + f" ({session.peer.agent or 'no agent named'})"
    )


_codec_sets: dict[frozenset[str], frozenset[str]] = {}


def _shared(codecs: frozenset[str]) -> frozenset[str]:
    """Return one object for all equal sets: ten thousand connections share a handful."""
    return _codec_sets.setdefault(codecs, codecs)
