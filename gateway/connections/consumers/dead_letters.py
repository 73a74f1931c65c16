"""Dead letters: messages that could not be processed, in the ``event`` stream ``<stream>.dead`` (spec section 4.9)."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

from gateway.connections.consumers.ack_unit import AckUnit
from gateway.connections.consumers.dead_letter import DeadLetter, OpenedUnit, labelled, opened
from gateway.connections.ports import Workers
from gateway.connections.sessions.local import GatewayEntry, LocalConnection
from gateway.connections.sessions.publication import PublishOutcome, PublishReceipt
from gateway.errors import Code, FrysError, RequestRefused
from gateway.ids import ClientId, StreamName
from gateway.protocol.durability import Durability
from gateway.protocol.messages import ClientType, Kind
from gateway.protocol.names import dead_letters_of
from gateway.streams.stream_registry import StreamRegistry

logger = logging.getLogger(__name__)

CLIENT_ID: Final = ClientId("gateway")
"""Client that publishes dead letters."""
FIRST_PAUSE_S: Final = 1.0
"""Pause before dead letters that were refused are published again; each next one is twice as long."""
LONGEST_PAUSE_S: Final = 60.0


@dataclass(slots=True, eq=False)
class _Burial:
    unit: AckUnit
    letter: DeadLetter
    stream: StreamName
    """Stream of the dead letter."""
    durability: Durability | None
    done: Callable[[], object]


class DeadLetters:
    """Publisher of dead letters, which joins the gateway as a client of its own when there is a first one.

    Dead letters are published one after the other: of a receiver that is given up there may be thousands, each of
    which takes its plain size meanwhile. One that is refused (no room, a full disk) is kept, and those of its stream
    behind it, and published again later: until then its message stays held, and is not delivered.

    Args:
        entry: of the gateway.
        workers: threads for decoding.
        streams: all streams.
        limit_bytes: bound on the dead letters that all streams in memory hold together.

    Attributes:
        waiting_messages: messages that are to become dead letters and are not published yet.
    """

    def __init__(self, entry: GatewayEntry, workers: Workers, streams: StreamRegistry, limit_bytes: int) -> None:
        self._entry = entry
        self._workers = workers
        self._streams = streams
        self._limit_bytes = limit_bytes
        self._local: LocalConnection | None = None
        self._waiting: deque[_Burial] = deque()
        """Dead letters to be published; the first one is on its way."""
        self._refused: dict[StreamName, deque[_Burial]] = {}
        """Dead letters that were refused, and those behind them, by their stream."""
        self._told: set[StreamName] = set()
        """Streams of which the log knows that their dead letters are refused."""
        self._pause_s = FIRST_PAUSE_S
        self._again_s = 0.0
        self.waiting_messages = 0

    @property
    def idle(self) -> bool:
        """True while no dead letter is on its way; those that were refused do not count."""
        return not self._waiting

    def put(self, unit: AckUnit, letter: DeadLetter, durability: Durability, done: Callable[[], object]) -> None:
        """Publish a unit as a dead letter.

        Args:
            unit: the message; its bytes must not change until ``done`` is called.
            letter: its origin.
            durability: of its stream, and so of its dead letters, unless their stream exists with another one.
            done: called later, when the dead letter is as safe as that.
        """
        stream = dead_letters_of(StreamName(letter.stream))
        self.waiting_messages += unit.count
        burial = _Burial(unit, letter, stream, durability, done)
        if stream in self._refused:
            self._refused[stream].append(burial)
            return
        self._waiting.append(burial)
        if len(self._waiting) == 1:
            self._open()

    def sweep(self) -> None:
        """Publish what was refused again, after a pause; to be called about once a second."""
        now_s = self._entry.clock.monotonic_s()
        if not self._refused or self._waiting or now_s < self._again_s:
            return
        self._pause_s = min(self._pause_s * 2, LONGEST_PAUSE_S)
        refused, self._refused = self._refused, {}
        for burials in refused.values():
            self._waiting += burials
        self._open()

    def _open(self) -> None:
        """Begin with the first dead letter that waits."""
        while self._waiting:
            burial = self._waiting[0]
            if burial.stream in self._refused:
                self._refused[burial.stream].append(self._waiting.popleft())
            elif (problem := self._problem(burial)) is not None:
                self._refuse(burial, problem)
            else:
                self._workers.submit(partial(opened, burial.unit.content), partial(self._publish, burial))
                return

    def _problem(self, burial: _Burial) -> str | None:
        """Return the reason why there is no room for a dead letter in memory; ``None`` if there is."""
        stream = self._streams.get(burial.stream)
        in_memory = burial.durability is Durability.MEMORY if stream is None else not stream.durable
        held_bytes = self._streams.dead_letters.held_bytes
        if not in_memory or not held_bytes or held_bytes + burial.unit.nbytes <= self._limit_bytes:
            return None
        return (
            f"the dead letters in memory take {held_bytes} bytes, and dead_letter_bytes is {self._limit_bytes}: raise "
            "that, or set a history for the pattern '**.dead' in [[streams]], which drops the oldest"
        )

    def _publish(self, burial: _Burial, unit: OpenedUnit | BaseException) -> None:
        if isinstance(unit, BaseException):
            self._refuse(burial, f"the message cannot be read: {unit}")
            self._open()
            return
        specs, headers, payload, *_ = labelled(unit, burial.letter)

        def done(outcome: PublishOutcome) -> None:
            if isinstance(outcome, PublishReceipt):
                try:
                    self._bury(burial)
                finally:
                    self._open()
            elif isinstance(outcome, RequestRefused) and outcome.code == Code.DURABILITY_MISMATCH and burial.durability:
                burial.durability = None
                self._publish(burial, unit)
            else:
                self._refuse(burial, str(outcome))
                self._open()

        try:
            if self._local is None or self._local.closed:
                self._local = LocalConnection(
                    self._entry, client_type=ClientType.ADMIN_PANEL, client_id=CLIENT_ID, buries=True
                )
            self._local.publish(
                burial.stream,
                specs,
                payload,
                done,
                kind=Kind.EVENT,
                headers=headers,
                durability=burial.durability,
            )
        except FrysError as error:
            self._refuse(burial, str(error))
            self._open()

    def _refuse(self, burial: _Burial, problem: str) -> None:
        """Keep the first dead letter that waits until there is another chance."""
        self._waiting.popleft()
        self._refused.setdefault(burial.stream, deque()).append(burial)
        self._again_s = self._entry.clock.monotonic_s() + self._pause_s
        if burial.stream not in self._told:
            self._told.add(burial.stream)
            logger.warning(
                "dead letters of %s cannot be published: %s; the first is the message at offset %d, which %s has not "
                "processed. They stay with the stream and count against its limit_bytes, and the gateway tries again",
                burial.letter.stream,
                problem,
                burial.letter.offset,
                burial.letter.client_id,
            )

    def _bury(self, burial: _Burial) -> None:
        """Let go of the first dead letter that waits: it is published."""
        self._waiting.popleft()
        self.waiting_messages -= burial.unit.count
        self._pause_s = FIRST_PAUSE_S
        if burial.stream in self._told:
            self._told.discard(burial.stream)
            logger.info("dead letters of %s are published again", burial.letter.stream)
        burial.done()
