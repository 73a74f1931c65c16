"""Inbound dispatcher: passes each frame of a session to the part of the client that it concerns (spec section 2)."""

from __future__ import annotations

from functools import partial

from gateway.client.credit_taken import CreditTaken
from gateway.client.decoding.decoding import Decoding, Destination
from gateway.client.decoding.inbound_frame import InboundFrame
from gateway.client.messages.message_run import MessageRun
from gateway.client.presence.presences import Presences
from gateway.client.report import Notice, Reporter
from gateway.client.requests.requester import Requester
from gateway.client.requests.responder import RequestDestination, Responder
from gateway.client.sending.publisher import Publisher
from gateway.client.sending.send_context import SendContext
from gateway.client.session.session import Handler, Handlers, Session
from gateway.client.subscribing.subscriptions import Subscriptions
from gateway.errors import Code, RequestRefused
from gateway.protocol import messages
from gateway.protocol.data import parse_data
from gateway.protocol.frames import Frame, body_of
from gateway.protocol.limits import Limits
from gateway.protocol.messages import Error, Kind, StreamInfo
from gateway.protocol.meta import parse_meta
from gateway.protocol.names import is_address
from gateway.protocol.reorder_buffer import ReorderBuffer
from gateway.protocol.runs import FrameRun
from gateway.protocol.session_body import parse_session
from gateway.protocol.wire import DATA_HEADER, DATA_ROUTE, ROUTE_AT, Opcode


class InboundDispatcher:
    """Frames that arrive on one session.

    Args:
        session: the session.
        context: the way out.
        publisher: takes acknowledgements.
        subscriptions: take messages, gaps and replays.
        requester: takes replies.
        responder: takes requests and cancellations.
        presences: take MEMBERS.
        report: takes notices, and errors that nobody waits for.
        limits: bounds on messages from the gateway.
    """

    def __init__(
        self,
        session: Session,
        context: SendContext,
        publisher: Publisher,
        subscriptions: Subscriptions,
        requester: Requester,
        responder: Responder,
        presences: Presences,
        report: Reporter,
        limits: Limits,
    ) -> None:
        self._session = session
        self._context = context
        self._publisher = publisher
        self._subscriptions = subscriptions
        self._requester = requester
        self._responder = responder
        self._presences = presences
        self._report = report
        self._inbox = RequestDestination(responder, session)
        self._max_message_bytes, self._max_transfers = limits.max_message_bytes, limits.max_transfers
        self._decoding = Decoding(
            session.welcome,
            context.flow,
            session.now_ns,
            max_message_bytes=limits.max_message_bytes,
            max_transfers=limits.max_transfers,
            partial_transfers=subscriptions.partial_transfers,
            meter=subscriptions.load.meter,
        )

    def handlers(self) -> Handlers:
        """Return the handlers of frames, by opcode."""
        frames: dict[int, Handler] = {
            Opcode.MESSAGE: self._message_received,
            Opcode.BATCH: self._message_received,
            Opcode.REQUEST: self._request_received,
            Opcode.REPLY: self._reply_received,
            Opcode.CHUNK: self._decoding.chunk_received,
            Opcode.END: self._decoding.end_received,
            Opcode.ABORT: self._decoding.abort_received,
            Opcode.ACK: self._publisher.acked,
            Opcode.RESUME: self._context.resumptions.received,
            Opcode.CANCEL: self._responder.cancelled,
            Opcode.GAP: self._subscriptions.gap_received,
            Opcode.REPLAY: self._subscriptions.replay_received,
            Opcode.STREAM: self._stream_received,
            Opcode.NOTICE: self._notice_received,
            Opcode.MEMBERS: self._presences.received,
        }
        if not self._session.welcome.credits:
            return Handlers(frames, self._run_received, self._decoding.place)
        credits = CreditTaken(self._subscriptions.load.subscriptions, self._order_of, self._max_transfers)
        frames[Opcode.END] = partial(credits.end_received, self._decoding.end_received)
        frames[Opcode.ABORT] = partial(credits.abort_received, self._decoding.abort_received)
        for opcode in (Opcode.MESSAGE, Opcode.BATCH):
            frames[opcode] = partial(credits.message_received, self._message_received)
        frames[Opcode.STREAM] = partial(credits.stream_received, self._stream_received)

        def run_received(run: FrameRun) -> None:
            # Each frame by itself: a run is one item of a buffer, however many messages it has.
            for frame in run.frames():
                frames[Opcode.MESSAGE](run.message, frame)

        return Handlers(frames, run_received, self._decoding.place)

    def close(self) -> None:
        """End decoding, since the session is over, and keep large messages that were cut for the next one."""
        self._subscriptions.keep_partial(self._decoding.close())

    def refused(self, error: Error) -> None:
        """Hand an ERROR to the part whose frame it answers (spec section 12.2)."""
        alias = self._context.aliases.refused_by(error)
        if self._responder.refused(error) or self._requester.refused(error) or self._subscriptions.refused(error):
            return
        if alias is None:
            self._report(RequestRefused(error.code, error.message))
        elif is_address(alias.name):
            self._requester.address_refused(error, alias)
        else:
            self._publisher.refused(error, alias)

    def _order_of(self, stream: int) -> ReorderBuffer | None:
        sink = self._subscriptions.sink(stream)
        return None if sink is None else sink.order

    def _message_received(self, message: memoryview, frame: Frame) -> None:
        if frame.end - frame.start >= DATA_HEADER.size:
            header = DATA_HEADER.unpack_from(message, frame.start)
            sink = self._subscriptions.sink(header[4])
            if sink is not None and sink.head is not None:
                payload = sink.head.payload_of(message, frame.start, header)
                if payload is not None:
                    *_, offset, timestamp_ns = header
                    sink.deliver_alike(offset, timestamp_ns, self._session.now_ns(), payload)
                    return
        self._other_message_received(message, frame)

    def _other_message_received(self, message: memoryview, frame: Frame) -> None:
        """Receive a message whose head is not that of the message before."""
        try:
            data = parse_data(message, frame)
        except RequestRefused as error:
            # The frame named a stream before it went wrong, or parse_data would have raised ProtocolViolation.
            stream, _, _ = DATA_ROUTE.unpack_from(message, frame.start + ROUTE_AT)
            sink = self._subscriptions.sink(stream)
            if sink is None:
                raise
            sink.fail(error, None)
            return
        destination = self._subscriptions.sink(data.stream)
        if destination is not None:
            if len(self._subscriptions.partial_transfers):
                self._subscriptions.forget_superseded(destination, data)
            self._receive(InboundFrame(data, self._session.now_ns()), destination)

    def _run_received(self, run: FrameRun) -> None:
        """Deliver messages that are alike as one run if they are of an ``event`` stream.

        Messages of other kinds are delivered one by one: deltas refer to one of them, or a newer one takes its place,
        or each is acknowledged.
        """
        sink = self._subscriptions.sink(run.stream)
        if sink is None:
            return
        try:
            meta = parse_meta(run.meta) if sink.kind is Kind.EVENT else None
        except RequestRefused:
            meta = None  # reported for each message
        if meta is None or meta.payload_bytes != run.payload_bytes or meta.payload_bytes > self._max_message_bytes:
            for frame in run.frames():
                self._message_received(run.message, frame)
            return
        item = MessageRun(sink.stream, sink.kind, sink.epoch, self._session.now_ns(), run, meta)
        sink.order.add_ready(lambda: sink.deliver_run(item))

    def _request_received(self, message: memoryview, frame: Frame) -> None:
        self._receive(InboundFrame(parse_data(message, frame), self._session.now_ns()), self._inbox)

    def _reply_received(self, message: memoryview, frame: Frame) -> None:
        data = parse_data(message, frame)
        destination = self._requester.reply_destination(data.offset)
        if destination is not None:
            self._receive(InboundFrame(data, self._session.now_ns()), destination)

    def _receive(self, inbound: InboundFrame, destination: Destination) -> None:
        try:
            inbound.check()
            self._decoding.receive(inbound, destination)
        except RequestRefused as error:
            destination.fail(error, inbound)

    def _stream_received(self, message: memoryview, frame: Frame) -> None:
        info = parse_session(frame.opcode, body_of(message, frame))
        assert isinstance(info, StreamInfo)
        self._subscriptions.stream_received(info)
        alias = self._context.aliases.get(info.alias)
        if alias is not None:
            alias.answer(info)

    def _notice_received(self, message: memoryview, frame: Frame) -> None:
        notice = parse_session(frame.opcode, body_of(message, frame))
        assert isinstance(notice, messages.Notice)
        if notice.code == Code.CHUNKS_ADVISED and notice.stream is not None:
            self._session.chunk_sizes.advise(notice.stream, notice.chunk_bytes)
            return
        self._report.notice(Notice.of(notice))
