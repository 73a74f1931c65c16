"""Deletions: streams that clients end by DELETE (spec section 4.11)."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from itertools import islice
from typing import Final

from gateway.connections.hub.hub import Hub
from gateway.connections.inbound.commit_gate import CommitGate
from gateway.connections.sessions.session import Session
from gateway.connections.slices import Slices
from gateway.errors import Code, RequestRefused
from gateway.protocol.messages import Delete, Deleted, EndReason
from gateway.protocol.names import Pattern, check_stream_name, compile_pattern, is_address
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

    Args:
        hub: ends streams.
        streams: all streams.
        slices: turns of the loop for the search of streams.
        gate: knows the health of the store.
    """

    def __init__(self, hub: Hub, streams: StreamRegistry, slices: Slices, gate: CommitGate) -> None:
        self._hub = hub
        self._streams = streams
        self._slices = slices
        self._gate = gate

    def delete(self, session: Session, request: Delete) -> None:
        """End the streams that match a pattern, at most :data:`MAX_DELETED`; the answer follows when they have ended.

        Raises:
            RequestRefused: ``DRAINING``, ``INVALID_NAME``, ``FORBIDDEN``; ``UNKNOWN_STREAM``, there is no stream of the
                name; ``QUEUE_FULL``, the store fails.
        """
        if session.state is State.DRAINING:
            raise RequestRefused(Code.DRAINING, "the gateway is stopping; connect again later")
        pattern = compile_pattern(request.pattern, hint=False)
        if is_address(pattern.text):
            raise RequestRefused(Code.INVALID_NAME, f"{pattern.text} is an address: only streams can be deleted")
        if not session.grant.may_control(pattern.text):
            raise RequestRefused(Code.FORBIDDEN, f"{session.peer.client_id} may not delete {pattern.text}")
        problem = self._gate.store_health.problem
        if problem is not None:
            raise RequestRefused(Code.QUEUE_FULL, f"{pattern.text} is not deleted, as the store fails: {problem}")
        if pattern.is_literal:
            stream = self._streams.get(check_stream_name(pattern.text))
            if stream is None:
                raise RequestRefused(Code.UNKNOWN_STREAM, f"there is no stream {pattern.text}")
            self._end(session, request, [stream], more=False)
            return
        search = _Search(self._streams, pattern)

        def step() -> bool:
            if search.over:
                self._end(session, request, search.found[:MAX_DELETED], more=len(search.found) > MAX_DELETED)
            else:
                search.go_on()
                return True
            return False

        if step() and step():
            # In the order of its connection: so each has one search at most, which holds a list of all streams.
            session.backlog.add(step)

    def _end(self, session: Session, request: Delete, streams: list[Stream], *, more: bool) -> None:
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

        if not streams:
            answer()
            return
        named = ", ".join(stream.name for stream in streams[:NAMED])
        others = len(streams) - NAMED
        if others > 0:
            named = f"{named} and {others} other{'s' * (others > 1)}, by {request.pattern}"
        peer = session.peer
        logger.info("%s (%s) deletes %s", peer.client_id, peer.agent or "no agent named", named)
        remaining = iter(streams)

        def step() -> bool:
            for stream in remaining:
                if stream.ended is None:
                    names.append(stream.name)
                    self._hub.end(stream, EndReason.DELETED, ended)
                else:
                    # It was ended by somebody else, or by a rule, since the last step.
                    ended(None)
                return True
            return False

        if step():
            self._slices.add(step)


class _Search:
    """Search for the streams that match a pattern, up to one more than a request ends."""

    def __init__(self, streams: StreamRegistry, pattern: Pattern) -> None:
        self._streams: Iterator[Stream] = iter(list(streams))
        self._pattern = pattern
        self.found: list[Stream] = []
        self.over = False

    def go_on(self) -> None:
        """Look at some more streams."""
        looked_at = list(islice(self._streams, LOOKED_AT))
        self.found += [stream for stream in looked_at if stream.ended is None and self._pattern.matches(stream.name)]
        self.over = not looked_at or len(self.found) > MAX_DELETED
