"""Parts of SUBSCRIBEs that come in several frames, and their bound (spec section 4.2).

Knows streams and patterns; carries no subscription out. At most one SUBSCRIBE of a connection is incomplete, and only
what can matter is kept of it: positions in streams that exist, and a bounded number of counts of streams that may
come.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

from gateway.connections.sessions.session import Session
from gateway.errors import Code, RequestRefused, fresh
from gateway.ids import StreamName
from gateway.protocol.json_body import BodyRefused
from gateway.protocol.messages import Counts, Position, Subscribe
from gateway.protocol.names import Pattern, compile_pattern, is_stream_name
from gateway.streams.stream import Stream
from gateway.streams.stream_registry import StreamRegistry

CONNECTIONS_OF_FUTURE: Final = 4
"""Connections that may name as many streams without existence as the gateway may have streams; the others share."""


class JoinedParts(NamedTuple):
    """SUBSCRIBE of which all parts have come."""

    request: Subscribe
    positions: int | None
    """Streams that exist in the epoch in which the client has named a position; ``None``: it has named none."""


@dataclass(slots=True)
class _Incomplete:
    """SUBSCRIBE of which parts have come."""

    request: int
    subscription: int
    text: str
    pattern: Pattern | None
    """None: it has been refused."""
    since: dict[str, Position] | None = None
    positions: int = 0
    """Number of those that name the present epoch of their stream."""
    resume: dict[str, tuple[int, int]] | None = None
    account: dict[str, Counts] = field(default_factory=dict)
    refusal: RequestRefused | None = None
    """Error of the first part that was wrong; the last part is answered with it."""

    def refuse(self, refusal: RequestRefused) -> None:
        """Keep nothing any more: the last part will be refused."""
        if self.refusal is None:
            self.refusal = fresh(refusal)
        self.pattern = self.since = self.resume = None
        self.account = {}


class SubscribeParts:
    """SUBSCRIBEs of all connections on their way to being complete.

    Args:
        streams: all streams: positions in others say nothing.
        max_streams: bound on the streams of the gateway. A connection may carry the counts of as many streams that do
            not exist, and all connections together those of :data:`CONNECTIONS_OF_FUTURE` times as many. Counts
            beyond it are forgotten.
    """

    def __init__(self, streams: StreamRegistry, max_streams: int) -> None:
        self._streams = streams
        self._max_future = max_streams
        self._incomplete: dict[Session, _Incomplete] = {}
        self._future: dict[Session, int] = {}
        """Streams that do not exist of which a connection has named counts."""
        self._all_future = 0

    @property
    def named_without_stream(self) -> int:
        """Counts of streams that did not exist when they were named, of all connections."""
        return self._all_future

    def joined(self, session: Session, request: Subscribe) -> JoinedParts | None:
        """Take a SUBSCRIBE, and return the complete one with all that matters of its parts.

        Returns:
            None: others follow.

        Raises:
            RequestRefused: one of its parts was refused, or does not belong to the others. Raised for the last part.
        """
        incomplete = self._incomplete.get(session)
        if incomplete is None or incomplete.request != request.request:
            if not request.more and _names_nothing(request):
                return JoinedParts(request, None)
            before = incomplete
            incomplete = _Incomplete(request.request, request.subscription, request.pattern, None)
            try:
                incomplete.pattern = compile_pattern(request.pattern)
            except RequestRefused as refusal:
                incomplete.refuse(refusal)
            if request.more:
                if before is not None:
                    self._give_up(session, before)
                self._incomplete[session] = incomplete
        elif not request.more:
            del self._incomplete[session]
        try:
            self._add(session, incomplete, request)
        except RequestRefused as refusal:
            incomplete.refuse(refusal)
        if request.more:
            return None
        if incomplete.refusal is not None:
            raise incomplete.refusal
        since = request.since if incomplete.since is None else incomplete.since
        whole = replace(request, since=since, resume=incomplete.resume, account=incomplete.account)
        return JoinedParts(whole, None if incomplete.since is None else incomplete.positions)

    def refused(self, session: Session, refusal: RequestRefused) -> bool:
        """Note that a SUBSCRIBE, or text that may have been one, could not be read.

        Returns:
            Whether it is a part that others follow: it is answered with the last one.
        """
        incomplete = self._incomplete.get(session)
        request = refusal.answers.get("request") if isinstance(refusal, BodyRefused) else None
        if request is None:
            if incomplete is not None:  # it may have been one of its parts
                incomplete.refuse(refusal)
        elif isinstance(refusal, BodyRefused) and refusal.more:
            if incomplete is None or incomplete.request != request:
                if incomplete is not None:
                    self._give_up(session, incomplete)
                incomplete = self._incomplete[session] = _Incomplete(request, -1, "", None)
            incomplete.refuse(refusal)
            return True
        elif incomplete is not None and incomplete.request == request:
            del self._incomplete[session]
        return False

    def unsubscribe(self, session: Session, subscription: int) -> bool:
        """Give up an incomplete SUBSCRIBE, which is not answered; return whether there was one of that number."""
        incomplete = self._incomplete.get(session)
        if incomplete is None or incomplete.subscription != subscription:
            return False
        del self._incomplete[session]
        return True

    def drop(self, session: Session) -> None:
        """Forget what a connection that is gone has named."""
        self._incomplete.pop(session, None)
        self._all_future -= self._future.pop(session, 0)

    def _give_up(self, session: Session, incomplete: _Incomplete) -> None:
        """Answer an incomplete SUBSCRIBE whose rest does not follow."""
        problem = "another SUBSCRIBE has begun before its last part came: send the parts of one after those of another"
        session.refuse(RequestRefused(Code.INVALID_REQUEST, problem), request=incomplete.request)

    def _add(self, session: Session, incomplete: _Incomplete, request: Subscribe) -> None:
        """Add what matters of a part.

        Raises:
            RequestRefused: ``INVALID_REQUEST``, the part is of another subscription or pattern, or names a start that
                is no object beside one that is.
        """
        pattern = incomplete.pattern
        if pattern is None:
            return
        if (request.subscription, request.pattern) != (incomplete.subscription, incomplete.text):
            problem = f"a part for {request.pattern} as subscription {request.subscription}"
            whole = f"the parts before are for {incomplete.text} as {incomplete.subscription}"
            raise RequestRefused(Code.INVALID_REQUEST, f"{problem}: {whole}")
        if isinstance(request.since, Mapping):
            since = incomplete.since or {}
            for stream, position in self._existing(pattern, request.since):
                incomplete.positions += stream.name not in since and stream.epoch == position[0]
                since[stream.name] = position
            incomplete.since = since
        elif request.since is not None and (request.more or incomplete.since is not None):
            problem = f"since {request.since!r} in a SUBSCRIBE of several parts"
            raise RequestRefused(Code.INVALID_REQUEST, f"{problem}: it must be an object in all of them")
        if request.resume:
            resume = incomplete.resume or {}
            resume.update((stream.name, place) for stream, place in self._existing(pattern, request.resume))
            incomplete.resume = resume
        account = incomplete.account
        for name, counts in (request.account or {}).items():
            known = self._streams.get(StreamName(name))
            if known is not None:
                if pattern.matches(name):
                    account[known.name] = counts
            elif name not in account and is_stream_name(name) and pattern.matches(name) and self._take_future(session):
                account[name] = counts

    def _existing(
        self, pattern: Pattern, named: Mapping[str, tuple[int, int]]
    ) -> Iterator[tuple[Stream, tuple[int, int]]]:
        """Yield those of the named streams that exist and match; their own names are kept, not those of the request."""
        for name, pair in named.items():
            stream = self._streams.get(StreamName(name))
            if stream is not None and pattern.matches(name):
                yield stream, pair

    def _take_future(self, session: Session) -> bool:
        """Count one more stream that does not exist, unless there are too many."""
        taken = self._future.get(session, 0)
        if taken >= self._max_future or self._all_future >= CONNECTIONS_OF_FUTURE * self._max_future:
            return False
        self._future[session] = taken + 1
        self._all_future += 1
        return True


def _names_nothing(request: Subscribe) -> bool:
    """Return whether a SUBSCRIBE names no streams beside its pattern."""
    return not isinstance(request.since, Mapping) and not request.resume and not request.account
