"""Announcer: begins the delivery of streams to the subscriptions that match them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from gateway.connections.consumers.consumer_fanout import ConsumerFanout
from gateway.connections.fanout.fanout import Fanout
from gateway.connections.fanout.pubsub_fanout import PubSubFanout
from gateway.connections.fanout.start_position import StartPosition
from gateway.connections.hub.fanout_registry import FanoutRegistry
from gateway.connections.hub.observations import Observations
from gateway.connections.hub.pending_joins import Join
from gateway.connections.outbound.connection import Connection
from gateway.connections.outbound.delivery_accounts import SubscribeOptions
from gateway.connections.sessions.credit_window import CreditWindow
from gateway.connections.sessions.session import Session
from gateway.connections.slices import Slices
from gateway.errors import Code, RequestRefused
from gateway.protocol.messages import Kind
from gateway.protocol.names import Pattern
from gateway.streams.history import Entry
from gateway.streams.stream import Stream
from gateway.streams.stream_registry import StreamRegistry

logger = logging.getLogger(__name__)

READERS_A_STEP: Final = 8
"""Connections for which a new stream is noted in one step, if very many get it: some hundred microseconds."""
MAX_RESUMES: Final = 1024
"""Large messages that a receiver has in part from an earlier connection; past it the first named are sent anew."""


class NewStreams:
    """New streams that very many connections are about to receive, noted for them bit by bit.

    A client that publishes to such a stream waits until it is noted for all. A connection whose subscriptions change
    has it noted before, so that the change finds everything as if it had been noted at once.

    Args:
        slices: takes the steps.
        note: notes where a stream begins for some subscriptions of a session, by their numbers.
    """

    def __init__(self, slices: Slices, note: Callable[[Session, Sequence[int], Stream], object]) -> None:
        self._slices = slices
        self._note = note
        self._found: dict[Stream, dict[Session, list[int]]] = {}
        """Sessions for which a stream is still to be noted, with the numbers of their subscriptions."""

    def __contains__(self, stream: Stream) -> bool:
        return stream in self._found

    @property
    def idle(self) -> bool:
        """True while nothing is to be noted."""
        return not self._found

    def add(self, stream: Stream, found: dict[Session, list[int]]) -> None:
        """Have a stream noted for the sessions that were found."""
        self._found[stream] = found
        self._slices.add(self._step)

    def note(self, session: Session) -> None:
        """Note all streams for a session at once: its subscriptions are about to change."""
        for stream, found in list(self._found.items()):
            numbers = found.pop(session, None)
            if numbers is not None and stream.ended is None:
                self._note(session, numbers, stream)

    def _step(self) -> bool:
        stream, found = next(iter(self._found.items()))
        if stream.ended is not None:
            found.clear()
        for _ in range(min(READERS_A_STEP, len(found))):
            session, numbers = found.popitem()
            try:
                self._note(session, numbers, stream)
            except Exception:
                logger.exception("%s could not be announced to %s", stream.name, session.peer.client_id)
                session.fail(RequestRefused(Code.INTERNAL, "the gateway failed; its log says more"))
        if not found:
            del self._found[stream]
        return bool(self._found)


def sessions_of(subscriptions: Iterable[tuple[Session, int]]) -> dict[Session, list[int]]:
    """Return the numbers of subscriptions by session."""
    found: dict[Session, list[int]] = {}
    for session, number in subscriptions:
        found.setdefault(session, []).append(number)
    return found


class Announcer:
    """Announces streams, each under its own number, and adds their receivers to their fan-outs.

    Args:
        streams: all streams.
        fanouts: their fan-outs.
        observations: serves the subscriptions that observe, under other numbers.
    """

    def __init__(self, streams: StreamRegistry, fanouts: FanoutRegistry, observations: Observations) -> None:
        self._streams = streams
        self._fanouts = fanouts
        self._observations = observations

    def note(
        self, session: Session, subscriptions: Sequence[tuple[int, Pattern]], stream: Stream, options: SubscribeOptions
    ) -> list[Join]:
        """Note where a stream begins for subscriptions of one session; nothing is sent yet.

        From now on no message is missed: a state begins with its newest version whenever it is joined, an event stream
        with the message that is published next or that ``options`` name, and a consumer keeps what is published.

        Args:
            session: the subscriber.
            subscriptions: numbers and patterns of the subscriptions, which match.
            stream: the stream; one that has ended is left out.
            options: where to start; by default with the messages that the kind gives a late joiner (spec section 4.2).
        """
        if self._streams.get(stream.name) is not stream:
            return []
        fanout = self._fanouts.of(stream)
        if isinstance(fanout, ConsumerFanout):
            subscriptions = [each for each in subscriptions if self._has_room(session, each[0], fanout)]
            if not subscriptions:
                return []
        if isinstance(fanout, PubSubFanout):
            if stream.kind is Kind.STATE:
                return [Join(session, subscriptions, stream, options, self._join_pubsub, shared=True)]
            start = fanout.start(session.connection, options.since)
            return [Join(session, subscriptions, stream, options, self._join_pubsub, fanout, start, shared=True)]
        assert isinstance(fanout, ConsumerFanout)
        observing = session.observing
        joins = [
            self._observations.note(session, subscription, pattern, stream, options)
            for subscription, pattern in subscriptions
            if subscription in observing
        ]
        if len(joins) < len(subscriptions):
            fanout.consumer_of(session.peer.client_id)
            working = [each for each in subscriptions if each[0] not in observing] if joins else subscriptions
            joins.append(Join(session, working, stream, options, self._join_acknowledged, shared=True))
        return joins

    def _join_pubsub(self, join: Join, unkept: Entry | None) -> None:
        wanting = self._wanting(join)
        if not wanting:
            return
        connection, options = join.session.connection, join.options
        fanout = self._fanouts.pubsub_of(join.stream)
        start = fanout.start(connection, options.since)
        if join.start is not None:
            start = join.start
        self._announce(join, wanting, start)
        _join_from(fanout, connection, start, unkept, options.resume.get(join.stream.name))

    def _join_acknowledged(self, join: Join, unkept: Entry | None) -> None:
        wanting = self._wanting(join)
        if not wanting:
            return
        session, fanout = join.session, self._fanouts.of(join.stream)
        assert isinstance(fanout, ConsumerFanout)
        before = fanout.consumer_of(session.peer.client_id).connection
        if before is not None and before.closed:
            # Lost, and about to be detached: then it would not be known on which message its client worked.
            fanout.detach(before)
        # The start does not depend on the options, but on the messages that the client has acknowledged.
        start = StartPosition(fanout.first_offset_for(session.peer.client_id), None, newest=False)
        self._announce(join, wanting, start)
        fanout.join(session.connection, credits_for(session, join.stream))

    def _wanting(self, join: Join) -> list[int]:
        """Return the numbers of the subscriptions that still want a stream; none if it has ended."""
        if self._streams.get(join.stream.name) is not join.stream:
            return []
        subscriptions = join.session.subscriptions
        fanout = self._fanouts.of(join.stream)
        return [
            number
            for number, pattern in join.subscriptions
            if subscriptions.get(number) is pattern and self._has_room(join.session, number, fanout)
        ]

    def _has_room(self, session: Session, subscription: int, fanout: Fanout) -> bool:
        """Return whether a stream can be received in addition; tell the client if it cannot."""
        try:
            session.connection.accounts.check_room()
            if isinstance(fanout, ConsumerFanout) and subscription not in session.observing:
                fanout.check_room(session.peer.client_id)
        except RequestRefused as refusal:
            session.refuse(refusal, subscription=subscription, stream=fanout.source.name)
            return False
        return True

    def _announce(self, join: Join, wanting: Sequence[int], start: StartPosition) -> None:
        for subscription in wanting:
            join.session.open_account(join.stream, subscription, join.options, start.offset)
        join.session.connection.send(join.stream.info(start.offset, recovered=start.recovered))


def credits_for(session: Session, stream: Stream) -> list[CreditWindow]:
    """Return the credits of the session's subscriptions that receive a stream and do not only observe."""
    credits = session.credits
    return [credits[number] for number in session.connection.accounts.subscriptions_of(stream.id) if number in credits]


def _join_from(
    fanout: PubSubFanout,
    connection: Connection,
    start: StartPosition,
    unkept: Entry | None,
    resumed: tuple[int, int] | None,
) -> None:
    """Join; ``resumed``: a large message that the receiver has the first chunks of, by transfer, and their number."""
    if resumed is None:
        fanout.join(connection, start, unkept)
        return
    transfer, chunks = resumed
    outbox = connection.made_outbox()
    outbox.resumes[transfer] = chunks
    if len(outbox.resumes) > MAX_RESUMES:
        del outbox.resumes[next(iter(outbox.resumes))]
    fanout.join(connection, start, unkept)
    if fanout.source.kind is Kind.STATE:
        outbox.resumes.pop(transfer, None)  # later versions of the transfer are sent from their first chunk on
