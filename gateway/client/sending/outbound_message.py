"""Outbound message: its content, its state on the way out, and the caller that waits for its result."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import KW_ONLY, dataclass, field, replace
from itertools import islice
from typing import Final, TypeVar

from gateway.client.options import Progress
from gateway.client.sending.content import Content
from gateway.client.sending.declaration import ANYTHING, Declaration
from gateway.client.session.gateway_clock import GatewayClock
from gateway.client.time_limit import TimeLimit
from gateway.errors import Action, ConnectionFailed, FrysError, RequestRefused, RequestTimeout, UsageError
from gateway.protocol.checksum import checksum_of
from gateway.protocol.encoding import Chain
from gateway.protocol.extensions import Extensions
from gateway.protocol.transfers import split_payload
from gateway.protocol.wire import Opcode

T = TypeVar("T")

AGAIN_AFTER: Final = frozenset({Action.RECONNECT, Action.RECONNECT_LATER})
"""Actions for refused messages that are sent again (spec section 12)."""


@dataclass(slots=True, eq=False)
class OutboundMessage:
    """Message that waits to be sent, or that was sent and is not acknowledged yet."""

    opcode: int
    """MESSAGE, BATCH, REQUEST or REPLY."""
    content: Content
    timestamp_ns: int
    """Time of publishing, Unix time in ns by the gateway's clock."""
    _: KW_ONLY
    flags: int = 0
    """ACK, FAILED, MORE."""
    declaration: Declaration = ANYTHING
    """Properties that the publisher declares of the stream."""
    extensions: Extensions | None = None
    """Extensions of the data frame; None: it has none."""
    clock: GatewayClock | None = None
    """Gateway's clock by which the message has its deadline; None: it has none."""
    count: int = 1
    """Records of a BATCH."""
    correlation: int = 0
    """Correlation of a REQUEST or REPLY."""
    confirmed: bool = False
    """Sent only when the gateway has said that it takes it, if it is large: no other answer comes to it."""
    chain: Chain | None = None
    """Codec chain; None: automatic."""
    progress: Progress | None = None
    done: asyncio.Future[object] | None = None
    """Result or error for the caller that waits; None: no caller waits."""
    started_s: float = 0.0
    """Time of the call, by ``time.perf_counter``."""
    sequence: int = field(default=0, init=False)
    """Sequence of a publish, given when it is first written; 0 before."""
    begun: bool = field(default=False, init=False)
    """The head of a large message was written, so that the gateway may have a part of it."""
    ended: bool = field(default=False, init=False)
    """The last frame was written, so that the gateway may have the message."""
    lost_s: float | None = field(default=None, init=False)
    """Loop time at which the connection that carried the last frame was lost; None if never."""
    postponed: RequestRefused | None = field(default=None, init=False)
    """Reason for which it has to wait; its caller gets it if the time limit passes meanwhile."""
    line: Sequence[OutboundMessage] = field(default=(), init=False)
    """Messages of its queue that wait to be sent; none passes the first."""
    attempt: int = field(default=0, init=False)
    """Number of times that it was begun and refused for now, or had to make way for such a message."""
    place: int = field(default=0, init=False)
    """Sequence that it had first, or correlation, by which it keeps its place among messages that are sent again; 0: it
    was not refused."""
    _postponed_s: float = field(default=0.0, init=False)
    """Loop time at which it was first refused for now."""
    frame_bytes: int = field(default=0, init=False)
    """Bytes written of the message, as frames."""
    payload_sent_bytes: int = field(default=0, init=False)
    """Bytes written of the payload, as encoded."""
    checksums: list[int] = field(init=False)
    """Checksum of the payload of a large message up to each chunk that was sent; see :meth:`sent_up_to`."""
    _chunk_bytes: int = field(default=0, init=False)
    _time_limit: TimeLimit | None = field(default=None, init=False)

    @property
    def abandoned(self) -> bool:
        """True if the message need not be sent any more: its caller gave up, or the message was refused."""
        return self.done is not None and self.done.done()

    @property
    def turn(self) -> tuple[bool, float]:
        """Key by which messages of a queue are sent: first those that keep their sequences, then in order of calls."""
        return self.lost_s is None, self.place or self.sequence or math.inf

    def fits_one_frame(self, chunk_bytes: int, frame_bytes: int) -> bool:
        """Return whether it need not be cut; see :meth:`gateway.client.sending.content.Content.fits_one_frame`.

        A message that was lost on its way is cut, so that the part that arrives is not lost again.
        """
        again = self.lost_s is not None and self.content.payload_bytes > chunk_bytes
        return not again and self.content.fits_one_frame(chunk_bytes, frame_bytes)

    def restart(self) -> None:
        """Prepare to send the message again; of a large one the part that is missing."""
        self.ended = False
        if not self.begun:
            self.forget_sent()

    def judge_by(self, clock: GatewayClock) -> None:
        """Move the deadline, if there is one, to the same moment by the clock of another gateway, or of one that was
        restarted.
        """
        if self.clock is None or self.clock is clock:
            return
        assert self.extensions is not None
        assert self.extensions.deadline_ns is not None
        deadline_ns = self.extensions.deadline_ns + clock.ahead_of(self.clock)
        self.extensions, self.clock = replace(self.extensions, deadline_ns=deadline_ns), clock

    def postpone(self, refusal: RequestRefused) -> None:
        """Prepare to send the message again after a pause: the gateway refused it for now."""
        if not self._postponed_s:
            self._postponed_s = asyncio.get_running_loop().time()
        self.postponed = refusal
        self.renew()

    def renew(self) -> None:
        """Prepare to send the message from its beginning, as another one: the gateway has not taken it, and will not.

        A sequence that was refused is used up.
        """
        self.place = self.place or self.sequence or self.correlation
        self.attempt += 1
        self.sequence = self._chunk_bytes = 0
        self.begun = self.ended = False
        self.lost_s = None
        self.forget_sent()

    def parts(self, most_bytes: int) -> list[OutboundMessage]:
        """Return record batches of at most so many bytes with the records of this one, which was not sent yet.

        A record that is larger is a message of its own.
        """
        record_bytes = self.content.payload_bytes // self.count
        most = max(1, most_bytes // record_bytes)
        payload = memoryview(self.content.payload())
        parts = []
        for first in range(0, self.count, most):
            count = min(most, self.count - first)
            # Bytes, which never change, are not copied again.
            records = bytes(payload[first * record_bytes : (first + count) * record_bytes])
            content = self.content._replace(buffers=[records], payload_bytes=len(records))
            parts.append(
                replace(self, opcode=Opcode.BATCH if count > 1 else Opcode.MESSAGE, content=content, count=count)
            )
        return parts

    def may_wait(self, refusal: RequestRefused) -> bool:
        """Return whether it is sent again after a refusal: one for now, as long as its caller's time limit lasts."""
        if self.abandoned or refusal.action not in AGAIN_AFTER:
            return False
        timeout_s = None if self._time_limit is None else self._time_limit.timeout_s
        if timeout_s is None or not self._postponed_s:
            return True
        return asyncio.get_running_loop().time() - self._postponed_s < timeout_s

    def forget_sent(self) -> None:
        """Count nothing of what was sent so far."""
        self.frame_bytes = self.payload_sent_bytes = 0

    def sent_up_to(self, index: int, chunk_bytes: int) -> int:
        """Return the checksum of the payload before chunk ``index``; forget what was sent from there on.

        Chunks that the gateway claims to have and this client did not send are taken from the payload.
        """
        if self._chunk_bytes != chunk_bytes:
            self._chunk_bytes = chunk_bytes
            self.checksums = [0]
        for part in islice(split_payload(self.content.buffers, chunk_bytes), len(self.checksums) - 1, index):
            self.checksums.append(checksum_of(part, self.checksums[-1]))
        del self.checksums[index + 1 :]
        return self.checksums[-1]

    def chunk_sent(self, frame_bytes: int, data_bytes: int, checksum: int) -> None:
        """Count a chunk of a large message, and keep the checksum of the payload up to its end."""
        self.frame_bytes += frame_bytes
        self.payload_sent_bytes += data_bytes
        self.checksums.append(checksum)

    def advanced(self, sent_bytes: int) -> None:
        """Tell the caller how much of the payload is sent, and start its time limit again.

        Raises:
            Exception: what the caller's function raises, which ends the message. If that is no ``Exception``, the
                caller alone gets it, not the task that sends.
        """
        self.touch()
        if self.progress is None:
            return
        try:
            self.progress(sent_bytes, self.content.payload_bytes)
        except Exception:
            raise
        except BaseException as error:
            self.fail(error)
            raise UsageError(f"progress raised {error!r}") from error

    def touch(self) -> None:
        """Start the caller's time limit again: the message makes progress."""
        if self._time_limit is not None and not self.abandoned:
            self._time_limit.restart()

    def finish(self, result: object) -> None:
        """Give the result to the caller, if one waits."""
        if self.done is not None and not self.done.done():
            self.done.set_result(result)

    def fail(self, error: BaseException) -> None:
        """Give an error to the caller, if one waits."""
        if self.done is not None and not self.done.done():
            self.done.set_exception(error)

    async def result(self, timeout_s: float | None, waited_for: str, obstacle: Callable[[], str]) -> object:
        """Wait for the result; see :meth:`wait`."""
        assert self.done is not None
        try:
            return await self.wait(self.done, timeout_s, waited_for, obstacle)
        except BaseException:
            self._forget_error()
            raise

    async def wait(
        self, awaited: Awaitable[T], timeout_s: float | None, waited_for: str, obstacle: Callable[[], str]
    ) -> T:
        """Wait for an outcome of this message.

        Args:
            awaited: the outcome, e.g. the result.
            timeout_s: longest time without any progress; None: no limit.
            waited_for: name of the outcome for the error, e.g. ``"the acknowledgement of wf/loss"``.
            obstacle: returns the reason for which the message waits, if it could not be sent until now.

        Raises:
            RequestTimeout: there was no progress for so long; the part that is not sent will not be.
            RequestRefused: the same, and the gateway has refused this message for now all the time, or one before it.
            FrysError: the error that the message ended with.
        """
        try:
            with TimeLimit(timeout_s) as self._time_limit:
                return await awaited
        except TimeoutError as error:
            if isinstance(error, FrysError):
                raise
            if isinstance(awaited, asyncio.Future) and awaited.done() and not awaited.cancelled():
                late: T = awaited.result()  # it came in the turn in which the limit passed
                return late
            sent = self.ended or self.lost_s is not None
            refusal = self.postponed or (self.line[0].postponed if self.line else None)
            if refusal is not None and not sent:
                raise RequestRefused(refusal.code, refusal.message) from None
            if self.ended:
                state = "was sent, and may have arrived: allow more time (timeout_s) if receivers are slow"
            elif sent:
                state = f"was sent, and may have arrived, but its connection was lost; {obstacle()}"
            else:
                state = f"could not be sent: {obstacle()}"
            raise RequestTimeout(f"{waited_for} did not come within {timeout_s} s; the message {state}") from None
        finally:
            # The caller no longer waits: a later frame, such as another part of a reply, must not move its time limit.
            self._time_limit = None
            del awaited  # see _forget_error()

    def _forget_error(self) -> None:
        """Forget the error that the caller has got.

        Its traceback refers to the call, and by that to this message and its payload: if they referred to the error,
        they would wait for the collector together. Nobody awaits the result a second time: a call waits for its own.
        """
        done = self.done
        if done is not None and done.done() and not done.cancelled() and done.exception() is not None:
            self.done = asyncio.get_running_loop().create_future()
            self.done.set_exception(ConnectionFailed("its caller has got the error"))
            self.done.exception()


def lost_on_the_way(name: str) -> ConnectionFailed:
    """Return the error for a message, called ``name``, that the gateway may or may not have received."""
    return ConnectionFailed(
        f"the connection was lost before the answer to {name} came; the gateway may have received it or not"
    )
