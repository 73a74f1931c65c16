"""Publishes what could not be processed to the ``event`` stream ``<stream>.dead`` (spec section 7.4)."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Final

from gateway.connections.local import Door, LocalConnection
from gateway.connections.ports import Workers
from gateway.connections.publication import Outcome, Receipt
from gateway.connections.recode import frame_of
from gateway.connections.unit import Unit
from gateway.errors import FrysError
from gateway.ids import ClientId
from gateway.protocol.encoding import decode
from gateway.protocol.messages import ClientType, Kind
from gateway.protocol.meta import parse_meta, write_meta
from gateway.protocol.tensors import TensorSpec
from gateway.protocol.wire import Buffer, Opcode
from gateway.streams.large import LargeMessage
from gateway.streams.run import Run

logger = logging.getLogger(__name__)

SUFFIX: Final = ".dead"
"""Behind the name of a stream, that of its dead letters."""
HEADER: Final = "dead_letter"
"""The header of a dead letter that says where it comes from; the others are those of the message."""
CLIENT_ID: Final = ClientId("gateway")
"""Who publishes dead letters."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """The header of a dead letter."""

    stream: str
    offset: int
    """Of a record batch that of its first record; the tensor then holds all records."""
    client_id: str
    """The receiver that did not process it."""
    tries: int
    """How often it was delivered."""
    reason: str


class DeadLetters:
    """Joins the gateway as a client of its own when there is a first dead letter.

    They are opened one after the other: of a receiver that is given up there may be thousands, each of which takes its
    plain size while it is published.

    Args:
        door: of the gateway.
        workers: decode in threads.
    """

    def __init__(self, door: Door, workers: Workers) -> None:
        self._door = door
        self._workers = workers
        self._local: LocalConnection | None = None
        self._waiting: deque[tuple[Unit, DeadLetter]] = deque()
        """The first one is being opened."""

    @property
    def idle(self) -> bool:
        """Whether nothing is on its way."""
        return not self._waiting

    def put(self, unit: Unit, letter: DeadLetter) -> None:
        """Publish a unit as a dead letter. What cannot be published is logged."""
        self._waiting.append((unit, letter))
        if len(self._waiting) == 1:
            self._open()

    def _open(self) -> None:
        unit, letter = self._waiting[0]

        def opened(result: _Opened | BaseException) -> None:
            self._publish(letter, result)
            self._waiting.popleft()
            if self._waiting:
                self._open()

        self._workers.submit(partial(_opened, unit.content), opened)

    def _publish(self, letter: DeadLetter, opened: _Opened | BaseException) -> None:
        if isinstance(opened, BaseException):
            logger.warning("dead letter %d of %s cannot be decoded: %s", letter.offset, letter.stream, opened)
            return
        specs, headers, payload = opened
        header = {HEADER: asdict(letter)}
        try:
            write_meta(specs, {**headers, **header})
        except FrysError:  # together too large
            headers = {}
        try:
            if self._local is None or self._local.closed:
                self._local = LocalConnection(self._door, client_type=ClientType.EXTENSION, client_id=CLIENT_ID)
            self._local.publish(
                letter.stream + SUFFIX,
                specs,
                payload,
                partial(_done, letter),
                kind=Kind.EVENT,
                headers={**headers, **header},
            )
        except FrysError as error:
            logger.warning("dead letter %d of %s is lost: %s", letter.offset, letter.stream, error)


_Opened = tuple[Sequence[TensorSpec], Mapping[str, Any], Sequence[Buffer]]


def _opened(content: Run | LargeMessage) -> _Opened:
    """Tensors, headers and plain payload; of a record batch one tensor with all records."""
    if isinstance(content, LargeMessage):
        meta = parse_meta(content.meta)
        chunks = [
            chunk.data if chunk.encoding is None else decode(chunk.encoding, chunk.data) for chunk in content.chunks
        ]
        return meta.specs, meta.headers or {}, chunks
    frame = frame_of(content)
    meta = parse_meta(frame.meta)
    specs: Sequence[TensorSpec] = meta.specs
    if frame.opcode == Opcode.BATCH:
        (record,) = meta.specs
        specs = [TensorSpec(record.name, record.dtype, (frame.count, *record.shape))]
    payload: Buffer = frame.payload if frame.encoding is None else decode(frame.encoding, frame.payload)
    return specs, meta.headers or {}, [payload]


def _done(letter: DeadLetter, outcome: Outcome) -> None:
    if not isinstance(outcome, Receipt):
        logger.warning("dead letter %d of %s is lost: %s", letter.offset, letter.stream, outcome)
