"""Deletions: streams that clients end by DELETE (spec section 4.11)."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import Final

from gateway.connections.hub.hub import Hub
from gateway.connections.inbound.commit_gate import CommitGate
from gateway.connections.sessions.session import Session
from gateway.connections.slices import step_of
from gateway.errors import Code, RequestRefused
from gateway.protocol.messages import Delete, Deleted, EndReason
from gateway.protocol.names import Pattern, check_deleted, check_stream_name, compile_pattern
from gateway.protocol.state import State
from gateway.streams.stream import Stream
from gateway.streams.stream_registry import StreamRegistry

logger = logging.getLogger(__name__)

MAX_DELETED: Final = 64
"""Streams that one request ends; more of them take more requests."""

NAMED: Final = 3
"""Streams of one request that the log names."""

LOOKED_AT: Final = 512
"""Streams whose names are compared with a pattern in one step."""


class Deletions:
    """Handler of DELETE.

    A request with a pattern may take many steps. They are part of the backlog of its connection, whose next frame
    finds the streams ended; so each connection has one search under way at most.

    Args:
        hub: ends streams.
        streams: all streams.
        gate: knows the health of the store.
    """

    def __init__(self, hub: Hub, streams: StreamRegistry, gate: CommitGate) -> None:
        self._hub = hub
        self._streams = streams
        self._gate = gate
        self._logged: dict[Session, tuple[str, int]] = {}
        """Pattern of the last request of each connection, if another one has to continue it, and the streams that all
        of them ended."""

    def delete(self, session: Session, request: Delete) -> None:
        """End the streams that match a pattern, at most :data:`MAX_DELETED`, before the next frame is handled.

        The answer follows when the store has taken note of it.

        Raises:
            RequestRefused: ``DRAINING``, ``INVALID_NAME``, ``FORBIDDEN``; ``UNKNOWN_STREAM``, there is no stream of the
                name; ``QUEUE_FULL``, the store fails.
        """
        if session.state is State.DRAINING:
            raise RequestRefused(Code.DRAINING, "the gateway is stopping; connect again later")
        pattern = compile_pattern(check_deleted(request.pattern))
        if not session.grant.may_control(pattern.text):
            raise session.forbidden(f"delete {pattern.text}")
        problem = self._gate.store_health.problem
        if problem is not None:
            raise RequestRefused(Code.QUEUE_FULL, f"{pattern.text} is not deleted, as the store fails: {problem}")
        if pattern.is_literal:
            stream = self._streams.get(check_stream_name(pattern.text))
            if stream is None:
                raise RequestRefused(Code.UNKNOWN_STREAM, f"there is no stream {pattern.text}")
            for _ in self._ending(session, request, [stream], more=False):
                raise AssertionError("one stream is ended in one step")
            return
        step = step_of(self._searching(session, request, pattern))
        if step():
            session.backlog.add(step)

    def drop(self, session: Session) -> None:
        """Log the sum of what a connection that is gone has deleted, if it has not asked for the rest."""
        logged = self._logged.pop(session, None)
        if logged is not None:
            pattern, count = logged
            _log_sum(session, pattern, count)

    def _searching(self, session: Session, request: Delete, pattern: Pattern) -> Iterator[None]:
        found: list[Stream] = []
        for piece in self._streams.pieces(pattern, LOOKED_AT):
            found += [stream for stream in piece if pattern.matches(stream.name)]
            if len(found) > MAX_DELETED:
                break
            yield
        found = [stream for stream in found if stream.ended is None]
        yield from self._ending(session, request, found[:MAX_DELETED], more=len(found) > MAX_DELETED)

    def _ending(self, session: Session, request: Delete, streams: Sequence[Stream], *, more: bool) -> Iterator[None]:
        """End streams, one a step; the answer is sent when the deletion of the last one is stored."""
        names: list[str] = []
        left = len(streams)
        failure: Exception | None = None

        def answer() -> None:
            if failure is None:
                session.connection.send(Deleted(request.request, tuple(names), more or None))
                return
            problem = f"{len(names)} streams ended, but the store has not taken note of it: {failure}"
            problem = f"{problem}; they come back if the gateway is restarted before the store works again"
            session.refuse(RequestRefused(Code.QUEUE_FULL, problem), request=request.request)

        def ended(error: Exception | None) -> None:
            nonlocal left, failure
            left -= 1
            failure = failure or error
            if not left:
                answer()

        self._log(session, request.pattern, streams, more=more)
        if not streams:
            answer()
            return
        for at, stream in enumerate(streams):
            if at:
                yield
            if stream.ended is None:
                names.append(stream.name)
                self._hub.end(stream, EndReason.DELETED, ended)
            else:
                # It was ended by somebody else, or by a rule, since the last step.
                ended(None)

    def _log(self, session: Session, pattern: str, streams: Sequence[Stream], *, more: bool) -> None:
        """Log who deletes which streams: of requests that continue one another the first, and the sum with the last."""
        before = self._logged.get(session)
        if before is None or before[0] != pattern:
            self.drop(session)
            if streams:
                _log_first(session, pattern, streams, more=more)
            if more:
                self._logged[session] = (pattern, len(streams))
            return
        self._logged[session] = (pattern, before[1] + len(streams))
        if not more:
            self.drop(session)


def _log_first(session: Session, pattern: str, streams: Sequence[Stream], *, more: bool) -> None:
    named = ", ".join(stream.name for stream in streams[:NAMED])
    others = len(streams) - NAMED
    if more:
        named = f"{named} and more than {others} others, by {pattern}"
    elif others > 0:
        named = f"{named} and {others} other{'s' * (others > 1)}, by {pattern}"
    logger.info("%s deletes %s", _name_of(session), named)


def _log_sum(session: Session, pattern: str, count: int) -> None:
    logger.info("%s has deleted %d streams by %s", _name_of(session), count, pattern)


def _name_of(session: Session) -> str:
    return f"{session.peer.client_id} ({session.peer.agent or 'no agent named'})"
