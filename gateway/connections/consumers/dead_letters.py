"""Dead letters: messages that could not be processed, in the ``event`` stream ``<stream>.dead`` (spec section 7.4)."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Final, NamedTuple

from gateway.connections.consumers.ack_unit import AckUnit
from gateway.connections.fanout.recode import frame_of
from gateway.connections.ports import Workers
from gateway.connections.sessions.local import GatewayEntry, LocalConnection
from gateway.connections.sessions.publication import PublishOutcome, PublishReceipt
from gateway.errors import Code, FrysError, RequestRefused
from gateway.ids import ClientId
from gateway.protocol.durability import Durability
from gateway.protocol.encoding import decode
from gateway.protocol.messages import ClientType, Kind
from gateway.protocol.meta import parse_meta, write_meta
from gateway.protocol.tensors import TensorSpec
from gateway.protocol.wire import Buffer, Opcode
from gateway.streams.large import LargeMessage
from gateway.streams.run import Run

logger = logging.getLogger(__name__)

SUFFIX: Final = ".dead"
"""Suffix that makes the name of a stream that of its dead letters."""
HEADER: Final = "dead_letter"
"""Header of a dead letter that states its origin; the other headers are those of the message."""
CLIENT_ID: Final = ClientId("gateway")
"""Client that publishes dead letters."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """Origin of a dead letter, as its header states it."""

    stream: str
    offset: int
    """Offset of the message; of a record batch that of its first record: the tensor then holds all records."""
    client_id: str
    """The receiver that did not process it."""
    tries: int
    """Deliveries that were in vain."""
    reason: str


class _Burial(NamedTuple):
    unit: AckUnit
    letter: DeadLetter
    durability: Durability | None
    done: Callable[[], object]


class DeadLetters:
    """Publisher of dead letters, which joins the gateway as a client of its own when there is a first one.

    Dead letters are published one after the other: of a receiver that is given up there may be thousands, each of
    which takes its plain size meanwhile.

    Args:
        entry: of the gateway.
        workers: threads for decoding.
    """

    def __init__(self, entry: GatewayEntry, workers: Workers) -> None:
        self._entry = entry
        self._workers = workers
        self._local: LocalConnection | None = None
        self._waiting: deque[_Burial] = deque()
        """Dead letters to be published; the first one is on its way."""

    @property
    def idle(self) -> bool:
        """True while no dead letter is on its way."""
        return not self._waiting

    def put(self, unit: AckUnit, letter: DeadLetter, durability: Durability, done: Callable[[], object]) -> None:
        """Publish a unit as a dead letter.

        Args:
            unit: the message; its bytes must not change until ``done`` is called.
            letter: its origin.
            durability: of its stream, and so of its dead letters, unless their stream exists with another one.
            done: called later, when the dead letter is as safe as that, or could not be published, which is logged.
        """
        self._waiting.append(_Burial(unit, letter, durability, done))
        if len(self._waiting) == 1:
            self._open()

    def _open(self) -> None:
        burial = self._waiting[0]
        self._workers.submit(partial(_opened, burial.unit.content), partial(self._publish, burial))

    def _publish(self, burial: _Burial, opened: _Opened | BaseException) -> None:
        letter = burial.letter
        if isinstance(opened, BaseException):
            self._done(burial, f"it cannot be decoded: {opened}")
            return
        specs, headers, payload = opened
        header = {HEADER: asdict(letter)}
        try:
            write_meta(specs, {**headers, **header})
        except FrysError:  # together too large
            headers = {}

        def done(outcome: PublishOutcome) -> None:
            if isinstance(outcome, RequestRefused) and outcome.code == Code.DURABILITY_MISMATCH and burial.durability:
                self._publish(burial._replace(durability=None), opened)
            else:
                self._done(burial, None if isinstance(outcome, PublishReceipt) else str(outcome))

        try:
            if self._local is None or self._local.closed:
                self._local = LocalConnection(self._entry, client_type=ClientType.EXTENSION, client_id=CLIENT_ID)
            self._local.publish(
                letter.stream + SUFFIX,
                specs,
                payload,
                done,
                kind=Kind.EVENT,
                headers={**headers, **header},
                durability=burial.durability,
            )
        except FrysError as error:
            self._done(burial, str(error))

    def _done(self, burial: _Burial, problem: str | None) -> None:
        if problem is not None:
            letter = burial.letter
            logger.warning(
                "dead letter %d of %s is lost: %s; %s has not processed the message and does not get it again: publish "
                "it again if it matters",
                letter.offset,
                letter.stream,
                problem,
                letter.client_id,
            )
        self._waiting.popleft()
        try:
            burial.done()
        finally:
            if self._waiting:
                self._open()


_Opened = tuple[Sequence[TensorSpec], Mapping[str, Any], Sequence[Buffer]]


def _opened(content: Run | LargeMessage) -> _Opened:
    """Return tensors, headers and plain payload; of a record batch one tensor with all records."""
    if isinstance(content, LargeMessage):
        meta = parse_meta(content.meta)
        chunks = [decode(chunk.encoding, chunk.data) for chunk in content.chunks]
        return meta.specs, meta.headers or {}, chunks
    frame = frame_of(content)
    meta = parse_meta(frame.meta)
    specs: Sequence[TensorSpec] = meta.specs
    if frame.opcode == Opcode.BATCH:
        (record,) = meta.specs
        specs = [TensorSpec(record.name, record.dtype, (frame.count, *record.shape))]
    payload: Buffer = decode(frame.encoding, frame.payload)
    return specs, meta.headers or {}, [payload]
