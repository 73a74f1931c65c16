"""What a client makes of the frames that it gets, held strictly to the spec: every breach is a failed assertion."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from gateway.connections.fanout.recode import codec_names
from gateway.errors import RequestRefused
from gateway.protocol.data import DataFrame, parse_data
from gateway.protocol.encoding import Encoding, decode
from gateway.protocol.extensions import Quantization
from gateway.protocol.frames import body_of, iter_frames
from gateway.protocol.messages import Error, GoAway, Notice, SessionMessage, StreamInfo
from gateway.protocol.meta import parse_meta
from gateway.protocol.regions import Region
from gateway.protocol.session_body import parse_session
from gateway.protocol.signals import Abort, Ack, Cancel, End, Gap, Ping, Pong, Replay, Resume, Signal
from gateway.protocol.tensors import TensorSpec, view_tensors
from gateway.protocol.transfers import Assembler, Chunk, parse_chunk
from gateway.protocol.wire import DATA_OPCODES, JSON_OPCODES, Opcode

_SIGNALS: dict[int, type[Signal]] = {
    signal.opcode: signal for signal in (Ack, Gap, Replay, End, Abort, Ping, Pong, Resume, Cancel)
}


@dataclass(frozen=True)
class Arrival:
    """A message that has arrived whole; a record of a batch counts as one.

    Attributes:
        opcode: MESSAGE, BATCH, REQUEST or REPLY.
        stream: id; 0 of a request or reply.
        publisher: the sender's peer.
        offset: or the correlation.
        payload: decoded.
        large: it came in chunks.
        encoded: its payload, or a chunk of it, was.
        delta: and that as a delta.
        flags: of the data frame.
        headers: of the message.
        specs: of its tensors, of a record those of the record.
        quantized: how a view's integers stand for numbers.
        region: what it changes, if it is a patch.
    """

    opcode: int
    stream: int
    publisher: int
    offset: int
    payload: bytes
    large: bool = False
    encoded: bool = False
    delta: bool = False
    flags: int = 0
    headers: tuple[tuple[str, object], ...] | None = None
    specs: tuple[TensorSpec, ...] = ()
    quantized: Quantization | None = None
    region: Region | None = None

    @property
    def array(self) -> npt.NDArray[Any]:
        """Its only tensor."""
        return view_tensors(self.specs, self.payload)[0]


class _Transfer:
    def __init__(self, head: DataFrame, base: Arrival | None) -> None:
        assert head.plan is not None
        self.head = head
        self.base = base
        self.delta = False
        self.assembler = Assembler(head.plan)
        self.encoded = False
        self.corrupt = False


class Reader:
    """Reads what one connection is sent.

    Args:
        codecs: names that were agreed on; anything else in an encoding is a breach.

    Attributes:
        log: everything that has arrived, in order: session messages, signals and :class:`Arrival`.
        transfers: large messages under way.
        newest: by stream, what arrived last: what deltas refer to.
        strict: whether data that does not decode is a breach: the gateway passes on what it need not decode.
    """

    def __init__(self, codecs: frozenset[str] = frozenset()) -> None:
        self.codecs = codecs
        self.log: list[SessionMessage | Signal | Arrival] = []
        self.transfers: dict[int, _Transfer] = {}
        self.streams: dict[int, StreamInfo] = {}
        self.newest: dict[int, Arrival] = {}
        self.received_chunks = 0
        self.strict = True

    @property
    def arrivals(self) -> list[Arrival]:
        """The messages, in order."""
        return [entry for entry in self.log if isinstance(entry, Arrival)]

    @property
    def offsets(self) -> list[int]:
        """Their offsets."""
        return [arrival.offset for arrival in self.arrivals]

    @property
    def gaps(self) -> list[Gap]:
        """The announced gaps."""
        return [entry for entry in self.log if isinstance(entry, Gap)]

    @property
    def replays(self) -> list[Replay]:
        """The announced replays."""
        return [entry for entry in self.log if isinstance(entry, Replay)]

    @property
    def notices(self) -> list[Notice]:
        """What became of messages that were published."""
        return [entry for entry in self.log if isinstance(entry, Notice)]

    @property
    def ended(self) -> list[StreamInfo]:
        """The streams that have ended."""
        return [entry for entry in self.log if isinstance(entry, StreamInfo) and entry.ended is not None]

    @property
    def errors(self) -> list[Error]:
        """The errors."""
        return [entry for entry in self.log if isinstance(entry, Error)]

    @property
    def codes(self) -> list[int]:
        """Their codes."""
        return [error.code for error in self.errors]

    @property
    def acks(self) -> list[Ack]:
        """The acknowledgements."""
        return [entry for entry in self.log if isinstance(entry, Ack)]

    @property
    def aborts(self) -> list[Abort]:
        """The aborted transfers."""
        return [entry for entry in self.log if isinstance(entry, Abort)]

    @property
    def resumes(self) -> list[Resume]:
        """The large messages that are to be gone on with."""
        return [entry for entry in self.log if isinstance(entry, Resume)]

    @property
    def cancels(self) -> list[Cancel]:
        """Requests that are not wanted any more."""
        return [entry for entry in self.log if isinstance(entry, Cancel)]

    @property
    def leaving(self) -> bool:
        """Whether the server said that it goes."""
        return any(isinstance(entry, GoAway) for entry in self.log)

    def stream_id(self, name: str) -> int:
        """The id by which a stream was announced."""
        return next(id for id, info in self.streams.items() if info.stream == name)

    def feed(self, data: bytes) -> list[Ping]:
        """Take whole WebSocket messages, or several of them joined; the PINGs that are to be answered."""
        message = memoryview(data)
        known = len(self.log)
        for frame in iter_frames(message):
            if frame.opcode in DATA_OPCODES:
                self._data(parse_data(message, frame))
            elif frame.opcode == Opcode.CHUNK:
                self._chunk(parse_chunk(message, frame))
            elif frame.opcode in JSON_OPCODES:
                self._session(parse_session(frame.opcode, body_of(message, frame)))
            else:
                self._signal(_SIGNALS[frame.opcode].parse(message, frame))
        pings = [entry for entry in self.log[known:] if isinstance(entry, Ping)]
        self.log[known:] = [entry for entry in self.log[known:] if not isinstance(entry, Ping)]
        return pings

    def _session(self, message: SessionMessage) -> None:
        self.log.append(message)
        if isinstance(message, StreamInfo) and message.id is not None:
            if message.ended is not None and message.alias is None:
                # Later frames about it are a breach.
                assert self.streams.pop(message.id).epoch == message.epoch
            else:
                self.streams[message.id] = message

    def _signal(self, signal: Signal) -> None:
        if isinstance(signal, End):
            transfer = self.transfers.pop(signal.transfer)
            assert transfer.assembler.complete or transfer.corrupt, "END before the last chunk"
            payload = b"" if transfer.corrupt else bytes(transfer.assembler.payload())
            if signal.checksum is not None and not transfer.corrupt:
                assert signal.checksum == zlib.crc32(payload), "the checksum is not that of the payload"
            self._arrived(transfer.head, signal.offset, payload, transfer.encoded, transfer.delta)
            return
        if isinstance(signal, Abort):
            assert self.transfers.pop(signal.transfer, None) is not None, "ABORT of a transfer that is not under way"
        self.log.append(signal)

    def _data(self, frame: DataFrame) -> None:
        assert frame.stream in self.streams or frame.opcode in (Opcode.REQUEST, Opcode.REPLY), "no STREAM before"
        if frame.plan is not None:
            assert frame.plan.transfer not in self.transfers, "a transfer begins twice"
            self.transfers[frame.plan.transfer] = _Transfer(frame, self.newest.get(frame.stream))
            return
        delta = frame.encoding is not None and frame.encoding.distance > 0
        try:
            payload = self._decoded(frame)
        except RequestRefused:
            assert not self.strict
            self._arrived(frame, frame.offset, b"", encoded=True)
            return
        record_bytes = parse_meta(frame.meta).payload_bytes
        assert len(payload) == record_bytes * frame.count, "the payload is not what the descriptors say"
        for index in range(frame.count):
            record = payload[index * record_bytes : (index + 1) * record_bytes]
            self._arrived(frame, frame.offset + index, record, frame.encoding is not None, delta)

    def _chunk(self, chunk: Chunk) -> None:
        transfer = self.transfers[chunk.transfer]
        self.received_chunks += 1
        if chunk.encoding is not None:
            self._check_agreed(chunk.encoding)
            transfer.encoded = True
            transfer.delta = transfer.delta or chunk.encoding.distance > 0
        try:
            transfer.assembler.receive(chunk, base=_base(transfer.head, chunk.encoding, transfer.base))
        except RequestRefused:
            assert not self.strict
            transfer.corrupt = True

    def _arrived(self, frame: DataFrame, offset: int, payload: bytes, encoded: bool, delta: bool = False) -> None:
        meta = parse_meta(frame.meta)
        headers = meta.headers
        region = None if frame.extensions is None else frame.extensions.region
        assert region is None or "patch" in self.codecs, "a patch to a peer that did not ask for any"
        arrival = Arrival(
            frame.opcode,
            frame.stream,
            frame.publisher,
            offset,
            payload,
            large=frame.plan is not None,
            encoded=encoded,
            delta=delta,
            flags=frame.flags,
            headers=None if headers is None else tuple(headers.items()),
            specs=meta.specs,
            quantized=None if frame.extensions is None else frame.extensions.quantized,
            region=None if region is None else Region(region),
        )
        self.log.append(arrival)
        self.newest[frame.stream] = arrival

    def _decoded(self, frame: DataFrame) -> bytes:
        if frame.encoding is None:
            return bytes(frame.payload)
        self._check_agreed(frame.encoding)
        base = _base(frame, frame.encoding, self.newest.get(frame.stream))
        return bytes(decode(frame.encoding, frame.payload, base=base))

    def _check_agreed(self, encoding: Encoding) -> None:
        assert codec_names(encoding.ids) <= self.codecs, "an encoding that was not agreed on"


def _base(frame: DataFrame, encoding: Encoding | None, newest: Arrival | None) -> bytes | None:
    """What a delta refers to: the message that was the newest before the data frame (spec section 10)."""
    if encoding is None or not encoding.distance:
        return None
    assert newest is not None, "a delta to nothing"
    assert newest.offset == frame.offset - encoding.distance, "a delta to another message than the newest"
    return newest.payload
