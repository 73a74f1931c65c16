"""Late join: delivery of complete messages to receivers that were not there, or too far behind, when they were
published.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Protocol

from gateway.connections.fanout.delivery_class import DeliveryClass
from gateway.connections.fanout.encode_queue import EncodeQueue
from gateway.connections.fanout.form import Work, form_of, made_now, made_of, text_of
from gateway.connections.fanout.recode import decode_run, last_record
from gateway.connections.outbound.backfill import Found, LargeForm
from gateway.connections.outbound.connection import Connection
from gateway.connections.outbound.inbox_source import InboxSource
from gateway.errors import Code, RequestRefused
from gateway.protocol.encoding import PLAIN
from gateway.protocol.signals import Gap
from gateway.streams.large import LargeMessage
from gateway.streams.run import Run, Source
from gateway.streams.span import offsets_of
from gateway.streams.state import LargePatch, PatchRun
from gateway.streams.stream import Stream


class AheadForms(Protocol):
    """Forms of the newest version of a state that were encoded before they are asked for."""

    def came(self, message: Run | LargeMessage) -> None:
        """Take note of a version that has been delivered."""

    def form_of(self, version: Run | LargeMessage, codecs: frozenset[str]) -> Run | LargeForm | None:
        """Return a complete version in such a form, for receivers that know ``codecs``; ``None``: there is none."""


class LateJoin:
    """Late join of the receivers of one source.

    Args:
        source: the stream or inbox.
        queue: keeps the order while messages are decoded.

    Attributes:
        ahead: forms that are encoded ahead; ``None``: none are.
    """

    __slots__ = ("_queue", "_source", "ahead")

    def __init__(self, source: Source, queue: EncodeQueue) -> None:
        self._source = source
        self._queue = queue
        self.ahead: AheadForms | None = None

    def send_newest(
        self,
        members: list[Connection],
        delivery: DeliveryClass,
        newest: Run | LargeMessage,
        *,
        repeated: bool = True,
    ) -> None:
        """Send the newest message of a ``state`` stream to receivers that have just come, ask for it again, or rest.

        Args:
            members: the receivers.
            delivery: their class.
            newest: the message.
            repeated: whether they may have got it before.
        """
        if isinstance(newest, Run) and newest.count > 1:
            form = delivery.format
            if form.takes_chunks:
                record = Work("plain", lambda: (last_record(newest),))
            else:
                record = text_of(form, partial(last_record, newest))
            self._send(record, newest, delivery, members, repeated=repeated)
        else:
            self.send(newest, delivery, members, repeated=repeated)

    def send_decoded(self, run: Run, delivery: DeliveryClass) -> None:
        """Send a message to a class that has come while the message was being encoded, and does not know its codec.

        Args:
            run: holds the message, in one frame.
            delivery: all its members get the message, or a GAP if it cannot be decoded.
        """

        def deliver(result: Sequence[Found] | BaseException) -> None:
            form = made_of(result, run)
            if isinstance(form, Gap) and isinstance(self._source, Stream):
                self._enqueue(form, delivery, list(delivery), repeated=False)
                delivery.advance_to(run.last + 1)
            else:
                delivery.add(form if isinstance(form, Run) else run)

        self._queue.submit(partial(decode_run, run, delivery.profile.codecs), deliver, next_in_turn=True)

    def send(
        self, message: Run | LargeMessage, delivery: DeliveryClass, members: list[Connection], *, repeated: bool = False
    ) -> None:
        """Send a complete message to receivers of one class, in a form that they take; a patch as a keyframe.

        Args:
            message: a run of one frame, or a large message that has its offset.
            delivery: class of the receivers.
            members: the receivers.
            repeated: the message was delivered before, and they may have got it.
        """
        if isinstance(message, PatchRun | LargePatch):
            self._send_keyframe(message, delivery, members, repeated=repeated)
            return
        if isinstance(message, LargeMessage) and delivery.format.takes_chunks:
            size = message.plan.payload_bytes
            too_big = [member for member in members if size > member.max_message_bytes]
            offset = message.offset or 0
            for member in too_big:
                delivery.send_gap(member, Gap(self._source.id, Code.MESSAGE_TOO_BIG, offset, offset))
            if too_big:
                delivery.advance_to(offset + 1)
            members = [member for member in members if size <= member.max_message_bytes]
        if members:
            form: Run | LargeForm | Work | None = None
            if self.ahead is not None and delivery.format.takes_chunks:
                form = self.ahead.form_of(message, delivery.profile.codecs)
            if form is None:
                form = form_of(message, delivery.format, delivery.profile.codecs)
            self._send(form, message, delivery, members, repeated=repeated)

    def _send_keyframe(
        self, patch: PatchRun | LargePatch, delivery: DeliveryClass, members: list[Connection], *, repeated: bool
    ) -> None:
        """Queue the version that a patch makes, as a keyframe: its receivers lag until the patch is merged."""
        delivery.flush()
        delivery.count_deliveries(len(members))
        delivery.flusher.owed += len(members)
        for member in members:
            again = _keyframe_queued(delivery, member) and repeated
            if isinstance(patch, PatchRun):
                member.enqueue((patch,), again=again)
            else:
                member.enqueue_large(patch, patch.chunks, again=again)

    def _send(
        self,
        form: Run | LargeForm | Work,
        message: Run | LargeMessage,
        delivery: DeliveryClass,
        members: list[Connection],
        *,
        repeated: bool,
    ) -> None:
        delivery.count_deliveries(len(members))

        def deliver(result: Sequence[Found] | BaseException) -> None:
            if isinstance(result, RequestRefused) and isinstance(message.source, InboxSource):
                assert isinstance(message, LargeMessage)
                message.source.refuse(message.publisher, message.offset or 0, result)
                return
            made = made_of(result, message)
            if isinstance(made, LargeForm) and isinstance(form, Work):
                made.message.variants[PLAIN] = made.form
            self._enqueue(made, delivery, members, repeated=repeated)
            delivery.advance_to(offsets_of(message)[1] + 1)

        if isinstance(form, Work) and form.brief:
            deliver(made_now(form))
        elif isinstance(form, Work):
            self._queue.submit(form.make, deliver, next_in_turn=True)
        else:
            deliver((form,))

    def _enqueue(self, form: Found, delivery: DeliveryClass, members: list[Connection], *, repeated: bool) -> None:
        delivery.flush()
        delivery.flusher.owed += len(members)
        for member in members:
            if self._source not in member.memberships:
                continue
            if isinstance(form, Gap):
                if isinstance(self._source, Stream):
                    delivery.send_gap(member, form)
                continue
            again = _keyframe_queued(delivery, member) and repeated
            if isinstance(form, Run):
                member.enqueue((form,), again=again)
            else:
                member.enqueue_large(form.message, form.form, again=again)


def _keyframe_queued(delivery: DeliveryClass, member: Connection) -> bool:
    """Record that a member gets a complete version; return whether it held that version before."""
    return delivery.versions is not None and delivery.versions.keyframe_queued(member)
