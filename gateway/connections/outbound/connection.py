"""Delivery to one connected client: directly while it keeps up, through its outbox while it lags."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Final, Protocol

from gateway.connections.lagging.credit_gate import CreditGates
from gateway.connections.lagging.lag_changes import LagChanges
from gateway.connections.lagging.pending_snapshot import KeyframeMaker
from gateway.connections.lagging.publisher_hold import hold_publishers
from gateway.connections.outbound.backfill import Taken
from gateway.connections.outbound.bulk_window import BULK_WRITE_BYTES
from gateway.connections.outbound.credited_outbox import CreditedOutbox
from gateway.connections.outbound.delivery_accounts import DeliveryAccounts
from gateway.connections.outbound.formats import Format, framed
from gateway.connections.outbound.frame_writer import DeliverySettings, FrameWriter
from gateway.connections.outbound.no_entries import NO_ENTRIES, with_entry
from gateway.connections.outbound.null_transport import NULL_TRANSPORT
from gateway.connections.outbound.outbox import Outbox
from gateway.connections.outbound.peer import Peer
from gateway.connections.ports import Clock, Transport
from gateway.connections.receiver_profile import ReceiverProfile
from gateway.connections.slices import Slices, let_go
from gateway.errors import Code
from gateway.protocol.messages import Error, Kind, StreamInfo
from gateway.protocol.signals import Abort, Gap, Pong, Replay
from gateway.streams.large import LargeMessage, StoredChunk
from gateway.streams.run import Run, Source
from gateway.streams.state import Newest, Patch

SENT_A_STEP: Final = 128
"""Runs and chunks that are sent at a time: some hundred microseconds."""


class Membership(Protocol):
    """A delivery class, or a consumer, that serves a connection."""

    def read(self, first: int, last: int, max_bytes: int, taken: Taken) -> None:
        """Read from history, in the encoding that its members can decode."""

    def book(self, connection: Connection) -> None:
        """Bring into a member's accounts what was written to all members."""

    def begin_waiting(self, connection: Connection) -> None:
        """Take note that messages wait in a member's outbox, from which they are counted one by one."""

    def end_waiting(self, connection: Connection) -> None:
        """Take note that nothing of the source waits in a member's outbox any more."""


class Connection(FrameWriter):
    """The way out to one client. Used on the loop's thread only.

    A client that keeps up has no outbox content: its delivery classes write to its transport. One that lags is served
    from its outbox, in order, until the outbox is empty.

    Args:
        peer: the client.
        transport: where its frames are written.
        form: the format that it takes.
        settings: bounds of the connection.
        clock: measures the link, and ends the turn.
        keyframes: makes keyframes of versions that came as patches.
        lag_changes: takes note when the client falls behind or catches up.
        slices: drops messages of a client that counts as slow, bit by bit.

    Attributes:
        peer: the client, as it has introduced itself.
        profile: all of the client that the choice of encodings may know, as its codecs.
        max_message_bytes: payload of the largest message that the client takes.
        memberships: by source, the delivery class or the consumer that serves it.
        outbox: messages that wait; made when the client falls behind for the first time.
        lagging: everything for the client goes through the outbox.
        gates: credit of the streams that the client receives; ``None``: it grants none for state and event.
    """

    __slots__ = (
        "_keyframes",
        "_lag_changes",
        "_slices",
        "gates",
        "lagging",
        "max_message_bytes",
        "memberships",
        "outbox",
        "peer",
        "profile",
    )

    def __init__(
        self,
        peer: Peer,
        transport: Transport,
        form: Format,
        settings: DeliverySettings,
        clock: Clock,
        accounts: DeliveryAccounts,
        keyframes: KeyframeMaker,
        lag_changes: LagChanges[Connection],
        slices: Slices,
    ) -> None:
        super().__init__(transport, form, settings, clock, accounts)
        self.peer = peer
        self._keyframes = keyframes
        self._lag_changes = lag_changes
        self._slices = slices
        self.profile = ReceiverProfile(frozenset())
        self.max_message_bytes = 0
        self.memberships: dict[Source, Membership] = NO_ENTRIES
        self.outbox: Outbox | None = None
        self.lagging = False
        self.gates: CreditGates | None = None

    def grant_credit(self) -> None:
        """Take note, before any stream is joined, that the client grants credit for streams of all kinds."""
        self.gates = CreditGates(self._clock.call_soon, self._go_on_with)

    def send_signal(self, source: Source, signal: Gap | Replay | StreamInfo | Error) -> None:
        """Send a signal about messages of a source, which the accounts count; it passes the messages in the outbox."""
        self.book(source)
        if self.accounts.signal(source.id, signal):
            self.send(signal)

    def send_in_order(self, source: Source, signal: Gap | Replay) -> None:
        """Send a signal behind the messages of ``source`` that wait."""
        if self.outbox is None or not self.outbox.put_signal(source, signal):
            self.send_signal(source, signal)

    def send_gap(self, source: Source, gap: Gap) -> None:
        """Announce messages that will not come, behind the messages of ``source`` that wait."""
        if self.lagging or self.waits_for(source):
            self.made_outbox().put_gap(source, gap)
            self.drain()
        else:
            self.send_signal(source, gap)

    def deliver(self, runs: Sequence[Run]) -> None:
        """Deliver runs of one source that no other receiver gets with them."""
        if self.lagging or (len(runs) > 1 and sum([run.size for run in runs]) > BULK_WRITE_BYTES):
            self.enqueue(runs)
            return
        self.accounts.runs(runs)
        if not self.write_framed(framed(self.format, runs)):
            self.fall_behind()

    def enqueue(self, runs: Sequence[Run], *, again: bool = False) -> None:
        """Deliver runs through the outbox; messages of kind ``control`` pass it unless they are large.

        Args:
            runs: in order, of any sources.
            again: the client has got the newest of them before.
        """
        outbox = self.outbox if self.lagging and self.outbox is not None else self._queueing()
        for run in runs:
            if run.source.kind is not Kind.CONTROL:
                outbox.put_run(run, again=again)
                continue
            queue = outbox.queue_of(run.source)
            waiting_bytes = 0 if queue is None else queue.backlog_bytes
            if run.size <= BULK_WRITE_BYTES and not outbox.waiting_bytes_of(run.source):
                self.book(run.source)
                self.accounts.messages(run.source.id, run.first, run.count)
                self.send_urgent(b"".join(self.format.runs((run,))))
            elif waiting_bytes < outbox.limit_bytes + self.settings.urgent_limit_bytes:
                # It is large, or behind a large one of its stream, which it may not pass.
                outbox.put_run(run)
            else:
                self.close(Code.SLOW_CONSUMER, f"{waiting_bytes} bytes of {run.source.name} are waiting: read faster")
        self.drain()

    def enqueue_large(self, message: LargeMessage, form: list[StoredChunk], *, again: bool = False) -> None:
        """Deliver a large message that has its offset, from its first chunk on.

        Args:
            message: has all its chunks.
            form: the chunks in an encoding that the client can decode.
            again: the client has got the message before.
        """
        self._queueing().put_large(message, form, again=again)
        self.drain()

    def enqueue_delta(self, message: LargeMessage, form: list[StoredChunk]) -> bool:
        """Deliver a large message as a delta to the version that is on its way to the client.

        Returns:
            False if so much waits that the client is to get a keyframe instead.
        """
        taken = self._queueing().put_delta(message, form)
        self.drain()
        return taken

    def follow(self, message: LargeMessage, form: list[StoredChunk], sent: int) -> None:
        """Go on through the outbox with a large message under way.

        Args:
            message: its chunks are still coming.
            form: the chunks in an encoding that the client can decode; grows as they come.
            sent: number of chunks that were written directly.
        """
        self.fall_behind().follow(message, form, sent)
        self.drain()

    def commit(self, message: LargeMessage, form: list[StoredChunk]) -> None:
        """End a large message that goes through the outbox: it has got its offset."""
        self._queueing().commit(message, form)
        self.drain()

    def backfill(self, source: Source, first: int, last: int) -> None:
        """Deliver messages from history, before all messages of ``source`` that come from now on."""
        self._queueing().put_backfill(source, first, last)
        self.drain()

    @property
    def has_waiting(self) -> bool:
        """Whether messages wait for the client; of one that is not paced, whether it lags."""
        return self.lagging and not (self.paced and not self.paused and self.outbox is not None and self.outbox.idle)

    def fall_behind(self) -> Outbox:
        """Send everything through the outbox from now on, and return it."""
        if not (self.lagging or self.closed):
            self.lagging = True
            self._lag_changes.note(self, lagging=True)
        return self.made_outbox()

    def made_outbox(self) -> Outbox:
        """Return the outbox, made by the first call; for a closed client one that nothing keeps."""
        if self.outbox is not None and not self.closed:
            return self.outbox
        limit_bytes, max_hold_s, gates = self.settings.outbox_limit_bytes, self.settings.max_event_hold_s, self.gates
        outbox = Outbox(limit_bytes, max_hold_s) if gates is None else CreditedOutbox(limit_bytes, max_hold_s, gates)
        if not self.closed:
            self.outbox = outbox
        return outbox

    def _queueing(self) -> Outbox:
        """Return the outbox for messages that are to be drained; what waits for credit there makes nobody lag."""
        return self.fall_behind() if self.gates is None else self.made_outbox()

    def drain(self) -> None:
        """Send what the transport takes from the outbox; join the delivery classes again when it is empty."""
        outbox = self.outbox
        if outbox is None or not (self.lagging or self.gates is not None):
            return
        if outbox.turnover:
            self._tell_memberships(outbox)
        if not (self.paused or outbox.draining or (self.announcements is not None and self.announcements.first)):
            if outbox.drain(self, SENT_A_STEP):
                self.drain_in_slices()
            may_end = self.lagging and outbox.idle and not outbox.bulk.paced
            if may_end and self.bulk_open and not self._transport_full():
                outbox.clear()
                self.lagging = False
                self._lag_changes.note(self, lagging=False)
            self._tell_memberships(outbox)
        if self.gates is not None and not outbox.idle:
            self.fall_behind()
        if not outbox.calm:
            hold_publishers(outbox, self._clock, self._slices)

    def drain_in_slices(self) -> None:
        """Send everything through the outbox from now on, and that in later turns: it takes long."""
        self.fall_behind().draining = True
        self._slices.add(self._drain_on)

    def _drain_on(self) -> bool:
        self.made_outbox().draining = False
        self.drain()
        return False

    def go_on(self, source: Source) -> None:
        """Implement :meth:`~gateway.connections.outbound.backfill.BackfillReader.go_on`."""
        self._go_on_with((source,))

    def _go_on_with(self, sources: Sequence[Source]) -> None:
        if self.outbox is not None:
            for source in sources:
                self.outbox.go_on(source)
            self.drain()

    def pause_writing(self) -> None:
        """Fall behind: the transport holds more than high water."""
        if not self.closed:
            self.paused = True
            self.fall_behind()

    def resume_writing(self) -> None:
        """Go on sending: the transport has drained."""
        self.paused = False
        self._urgent_bytes = 0
        self.reading.release(self)
        if self.announcements is not None:
            self.announcements.resume()
        if self.lagging:
            self._slices.begin(self._drain_on)

    def enter(self, source: Source, membership: Membership) -> None:
        """Note the delivery class or the consumer that serves a source from now on."""
        self.memberships = with_entry(self.memberships, source, membership)

    def leave(self, source: Source) -> None:
        """Note that the client does not receive a source any more; what waits is dropped, unless it is under way."""
        self.memberships.pop(source, None)
        if self.gates is not None:
            self.gates.drop(source)
        if self.outbox is not None:
            self.outbox.forget(source)
            if not self.lagging:
                self.drain()
        self.format.forget(source.id)

    def end(self, source: Source, info: StreamInfo) -> None:
        """Close the accounts of a source that has ended, and tell the client, behind what it was sent.

        Everything else of the source is dropped. A client that has unsubscribed when its turn comes is not told.

        Args:
            source: the stream, view or observed stream, which the client does not receive any more.
            info: the end (spec section 4.11).
        """
        waits = self.lagging or self.waits_for(source)
        self.accounts.end(source.id, waits=waits)
        if not waits:
            self.send(info)
            return
        for transfer in self.made_outbox().end(source, info):
            self.send(Abort(transfer, Code.STREAM_ENDED))
        self.drain()

    def answered(self, pong: Pong) -> None:
        """Open the bulk window further: the client has read everything up to a PING of ours."""
        now_ns = self._clock.time_ns()
        self.answered_ns = max(self.answered_ns, pong.t0)
        self.answer_delay_ns = now_ns - pong.t0
        if self.bulk_window is not None:
            self.bulk_window.answered(pong, now_ns, self.round_trip if self.paced else None)
            self.drain()

    def lose(self) -> None:
        """Discard everything that is written from now on: the client is gone, but has sent what is still handled."""
        self.reading.end()
        self.transport = NULL_TRANSPORT
        self._lag_changes.note(self, lagging=self.lagging)
        self.resume_writing()

    def detach(self) -> None:
        """Discard everything that waits or is still written: the client is gone, or is being closed."""
        super().detach()
        self.lagging = False
        if self.gates is not None:
            self._slices.add(partial(let_go, self.gates.detach()))
        if self.outbox is not None:
            self._slices.add(partial(let_go, self.outbox.clear()))
            hold_publishers(self.outbox, self._clock, self._slices)
        self._lag_changes.note(self, lagging=False)

    def _tell_memberships(self, outbox: Outbox) -> None:
        turnover, outbox.turnover = outbox.turnover, []
        for source in turnover:
            membership = self.memberships.get(source)
            if membership is not None:
                (membership.end_waiting if outbox.queue_of(source) is None else membership.begin_waiting)(self)

    def book(self, source: Source) -> None:
        """Bring into the accounts of one source what its delivery class has written so far."""
        membership = self.memberships.get(source)
        if membership is not None:
            membership.book(self)

    def holds_newest(self, source: Source) -> bool:
        """Return whether the client has the newest version of a state, or gets it by what is under way to it."""
        return self.outbox is None or self.outbox.all_under_way(source)

    def waits_for(self, source: Source) -> bool:
        """Return whether messages of a source wait in the outbox, or are under way."""
        return self.outbox is not None and self.outbox.queue_of(source) is not None

    @property
    def queue_full(self) -> bool:
        """Whether publishes that must not be lost have to be refused."""
        return (outbox := self.outbox) is not None and outbox.inbox_bytes >= outbox.limit_bytes

    def read_backfill(self, source: Source, first: int, last: int, max_bytes: int, taken: Taken) -> None:
        """Implement :meth:`~gateway.connections.outbound.backfill.BackfillReader.read_backfill`."""
        membership = self.memberships.get(source)
        if membership is None:
            taken(())
        else:
            membership.read(first, last, max_bytes, taken)

    def keyframe_of(self, patch: Patch) -> Newest | Gap | None:
        """Implement :meth:`~gateway.connections.lagging.pending_snapshot.SnapshotReader.keyframe_of`."""
        form = self.format
        write = None if form.takes_chunks else form.writing
        return self._keyframes.keyframe(patch, write, partial(self.go_on, patch.source))

    def _transport_full(self) -> bool:
        """Return :attr:`paused`, which writing to the transport may have changed since it was looked at."""
        return self.paused
