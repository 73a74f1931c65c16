"""Greeting: HELLO and WELCOME make a connection that of a client (spec section 3.1)."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable
from functools import partial
from typing import Final, Protocol

from gateway import __version__
from gateway.connections.admission.admission import Admission, RetryAfter
from gateway.connections.outbound.peer import Peer
from gateway.connections.ports import Authorizer, Clock, Grant
from gateway.connections.receiver_profile import ReceiverProfile, sdk_of, shared
from gateway.connections.sessions.grant import EVERYTHING
from gateway.connections.sessions.pool import Pool
from gateway.connections.sessions.session import Session
from gateway.connections.turn_time import TurnTime
from gateway.errors import Code, ProtocolViolation, RequestRefused
from gateway.ids import ClientId
from gateway.protocol.limits import WelcomeLimits
from gateway.protocol.messages import ClientType, Hello, Welcome
from gateway.protocol.names import INSTANCE_MARK
from gateway.protocol.negotiation import Capabilities, negotiate
from gateway.protocol.state import Role, State, advance
from gateway.protocol.takeover import Claim, Generations, Outcome, decide
from gateway.protocol.wire import Opcode

logger = logging.getLogger(__name__)

GREETINGS_S: Final = 0.0005
"""Time of a turn for HELLOs: thousands may come in one, and others have messages to send."""


class Granting(Authorizer, Protocol):
    """Authorizer that keeps the grants which it has given, until they expire."""

    def give(self, session: Session, grant: Grant) -> None:
        """Give a session its grant, in place of the one before."""


class Greeter:
    """Answer to HELLO.

    Args:
        capabilities: versions, codecs and limits of the gateway.
        access: authenticates clients, and gives sessions their grants.
        clock: for the time in WELCOME.
        heartbeat_interval_s: time between two pings of a client.
        pool: connections by client.
        admission: decides whether there is room for a client of its type.
        part: closes a connection whose ``client_id`` another one has now, and treats it as lost.

    Attributes:
        superseded_connections: connections that were closed with ``SUPERSEDED``.
    """

    def __init__(
        self,
        capabilities: Capabilities,
        access: Granting,
        clock: Clock,
        heartbeat_interval_s: float,
        pool: Pool,
        admission: Admission,
        part: Callable[[Session, ProtocolViolation], object],
    ) -> None:
        self._capabilities = capabilities
        self._access = access
        self._clock = clock
        self._heartbeat_interval_s = heartbeat_interval_s
        self._pool = pool
        self._admission = admission
        self._part = part
        self._turn = TurnTime(clock, GREETINGS_S)
        self._last_waiting: Session | None = None
        """Session whose HELLO was the last that had to wait."""
        self._generations = Generations()
        self.superseded_connections = 0

    def receive(self, session: Session, hello: Hello) -> None:
        """Answer HELLO; in a later turn if this one has answered many, and before the next frame of the client.

        HELLOs are answered in their order: else the older of two connections of a client, whose HELLO waits, would
        take over from the newer one. Code in the gateway's own process is answered at once.

        Raises:
            ProtocolViolation: the client is not accepted; the code says why.
        """
        if not session.local and (self._others_wait() or self._turn.spent()):
            self._last_waiting = session
            session.backlog.add(partial(self._greet_later, session, hello))
        else:
            self._greet(session, hello)

    def _others_wait(self) -> bool:
        last = self._last_waiting
        if last is not None and (last.state is not State.GREETING or last.connection.closed):
            last = self._last_waiting = None
        return last is not None

    def _greet_later(self, session: Session, hello: Hello) -> bool:
        try:
            self._greet(session, hello)
        except ProtocolViolation as violation:
            session.fail(violation)
        return False

    def _greet(self, session: Session, hello: Hello) -> None:
        agreement = negotiate(hello, self._capabilities)
        connection = session.connection
        now_s = self._clock.monotonic_s()
        grant = EVERYTHING if session.local else self._grant_of(session, hello, now_s)
        client_id = hello.client_id or _made_up_id(hello.client_type, grant)
        self._check_room(session, client_id, hello.client_type, now_s, named=hello.client_id is not None)
        generation = self._take_over(session, client_id, hello)
        peer = Peer(
            session.peer.id,
            client_id,
            hello.client_type,
            hello.agent,
            secrets.token_hex(8),
            hello.instance,
            generation,
            made_up=hello.client_id is None,
            takes_chunk_advice=bool(hello.chunk_advice),
        )
        session.introduce(peer)
        self._access.give(session, grant)
        codecs = frozenset(agreement.codecs + agreement.filters)
        connection.profile = shared(ReceiverProfile(codecs, sdk=sdk_of(hello.agent)))
        connection.max_message_bytes = agreement.max_message_bytes
        if hello.credits:
            connection.grant_credit()
        if not session.buries:
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
                generation=generation,
                credits=hello.credits or None,
            )
        )
        session.state = advance(Role.SERVER, session.state, Opcode.WELCOME)

    def _grant_of(self, session: Session, hello: Hello, now_s: float) -> Grant:
        """Return the permissions of a client, by the token of HELLO, or else by that of its handshake.

        Raises:
            ProtocolViolation: ``UNAUTHENTICATED``.
        """
        token, session.bearer = hello.token or session.bearer, None
        try:
            return self._access.authenticate(hello.client_id, hello.client_type, token, now_s)
        except RequestRefused as refusal:
            raise ProtocolViolation(Code.UNAUTHENTICATED, refusal.message) from None

    def _check_room(
        self, session: Session, client_id: ClientId, client_type: ClientType, now_s: float, *, named: bool
    ) -> None:
        """Check that there is room for the client, or that it was claimed: what was kept for others is not for it.

        Raises:
            ProtocolViolation: ``TOO_MANY_CONNECTIONS``, or ``BAD_HELLO`` if the URL has another type than HELLO.
        """
        if session.claimed not in (None, client_type):
            problem = f"HELLO has client_type {client_type}, and the URL has client_type={session.claimed}"
            raise ProtocolViolation(Code.BAD_HELLO, problem)
        holder = self._pool.newest_of(client_id)
        replaces = holder is not None and holder.peer.client_type is client_type
        replaces = replaces or session.buries
        decision = self._admission.decide_hello(client_type, now_s, replaces=replaces, named=named)
        if isinstance(decision, RetryAfter):
            raise decision.violation()

    def _take_over(self, newcomer: Session, client_id: ClientId, hello: Hello) -> int:
        """Close the connection that has a ``client_id``, and return the generation of the client that gets it.

        Raises:
            ProtocolViolation: ``SUPERSEDED``, the ``client_id`` belongs to a newer program.
        """
        now_ns = self._clock.time_ns()
        claim = Claim(self._generations.recognized(hello.generation, now_ns), hello.instance)
        holder = None if newcomer.buries else self._pool.newest_of(client_id)
        # A connection that is lost or closed holds nothing, and counts as lost before the newcomer does anything.
        if holder is not None and holder.connection.closed:
            self._part(holder, ProtocolViolation(Code.RECONNECTED, "the client has a newer connection"))
        elif holder is not None and not holder.lost:
            held = Claim(holder.peer.generation, holder.peer.instance)
            match decide(claim, held):
                case Outcome.REFUSED:
                    self.superseded_connections += 1
                    raise _superseded(client_id, older=_described(newcomer, hello.agent), newer=_described(holder))
                case Outcome.TAKEN_OVER:
                    self.superseded_connections += 1
                    newer = _described(newcomer, hello.agent)
                    self._part(holder, _superseded(client_id, older=_described(holder), newer=newer))
                case Outcome.RECONNECTED:
                    problem = f"the client has a newer connection, peer {newcomer.peer.id}"
                    self._part(holder, ProtocolViolation(Code.RECONNECTED, problem))
                    return holder.peer.generation
        return self._generations.next(now_ns) if claim.generation is None else claim.generation


def _made_up_id(client_type: ClientType, grant: Grant) -> ClientId:
    """Return a name that nobody else has; behind the subject of the token, it is one of that subject."""
    number = secrets.token_hex(6)
    if grant.subject is None:
        return ClientId(f"{client_type.value}-{number}")
    return ClientId(f"{grant.subject}{INSTANCE_MARK}{number}")


def _superseded(client_id: ClientId, *, older: str, newer: str) -> ProtocolViolation:
    """Log that a program has lost its ``client_id`` to another, and return the reason that it is told."""
    logger.warning(
        "two clients use the client_id %s: %s has it, %s came earlier and is closed; give each an id of its own",
        client_id,
        newer,
        older,
    )
    problem = (
        f"client_id {client_id} belongs to another client, which came later: {newer}; give each client an "
        f"id of its own, or end one of them"
    )
    return ProtocolViolation(Code.SUPERSEDED, problem)


def _described(session: Session, agent: str = "") -> str:
    """Return how people tell a connection from others; ``agent`` is that of HELLO if it is not answered yet."""
    where = session.connection.transport.peer_address()
    software = agent or session.peer.agent or "no agent named"
    return f"peer {session.peer.id}" + (f" from {where}" if where else "") + f" ({software})"
