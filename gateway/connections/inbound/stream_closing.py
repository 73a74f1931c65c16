"""Stream closing: the publishes that a stream which has ended still has under way, and what is known of publishers."""

from __future__ import annotations

from gateway.connections.inbound.commit_gate import CommitGate
from gateway.connections.inbound.partial_uploads import PartialUploads
from gateway.connections.sessions.pool import Pool
from gateway.connections.sessions.session import AliasBinding
from gateway.errors import RequestRefused
from gateway.streams.producers import Producers
from gateway.streams.stream import Stream


class StreamClosing:
    """The publishers' side of the end of a stream (spec section 4.11).

    Args:
        gate: has messages that are not stored yet.
        partial_uploads: has large messages that are not complete.
        producers: publishes of each producer that have been accepted.
        pool: connections.
    """

    def __init__(self, gate: CommitGate, partial_uploads: PartialUploads, producers: Producers, pool: Pool) -> None:
        self._gate = gate
        self._partial_uploads = partial_uploads
        self._producers = producers
        self._pool = pool

    def close(self, stream: Stream, refusal: RequestRefused) -> None:
        """Refuse the publishes to a stream that are under way: first those that wait to be stored, as they came first.

        Messages that have been acknowledged are not concerned, nor those whose acknowledgement is held back.
        """
        self._gate.end(stream, refusal)
        self._partial_uploads.end(stream, refusal)
        self._producers.forget(stream)

    def release(self, binding: AliasBinding, refusal: RequestRefused) -> None:
        """Release an alias from a stream that has ended, and tell its connection; messages to it are refused."""
        binding.end(refusal)
        session = self._pool.get(binding.peer)
        # A client that does not read its answers learns it with its next message.
        if session is not None and not session.connection.paused:
            session.refuse(refusal, alias=binding.alias, stream=binding.name)
