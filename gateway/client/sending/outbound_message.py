"""One message on its way out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable
from typing import TypeVar

from gateway.client.options import Progress
from gateway.client.sending.content import Content
from gateway.client.sending.declaration import ANYTHING, Declaration
from gateway.errors import ConnectionFailed, FrysError, RequestTimeout
from gateway.protocol.encoding import Chain
from gateway.protocol.extensions import Extensions

T = TypeVar("T")


class OutboundMessage:
    """A message to be sent, what is known of it, and who waits for it.

    Attributes:
        opcode: MESSAGE, BATCH, REQUEST or REPLY.
        content: what to send.
        timestamp_ns: when it was published, by the gateway's clock.
        flags: ACK, FAILED, MORE.
        declaration: what the publisher says that the stream is.
        extensions: of the data frame; None: it has none.
        count: records, of a BATCH.
        correlation: of a REQUEST or REPLY.
        chain: how to encode; None: automatic.
        done: result or error for whoever waits; None if nobody does.
        sequence: of a publish, given when it is first written; 0 before.
        begun: the head of a large one was written, so that the gateway may have a part of it.
        ended: its last frame was written, so that the gateway may have it.
        lost_s: when the connection was lost on which it had ended, by the loop's clock; None if none was.
        frame_bytes: what was written of it, as frames.
        payload_sent_bytes: what was written of its payload, as encoded.
    """

    __slots__ = (
        "_deadline",
        "_timeout_s",
        "begun",
        "chain",
        "content",
        "correlation",
        "count",
        "declaration",
        "done",
        "ended",
        "extensions",
        "flags",
        "frame_bytes",
        "lost_s",
        "opcode",
        "payload_sent_bytes",
        "progress",
        "sequence",
        "started_s",
        "timestamp_ns",
    )

    def __init__(
        self,
        opcode: int,
        content: Content,
        timestamp_ns: int,
        *,
        flags: int = 0,
        declaration: Declaration = ANYTHING,
        extensions: Extensions | None = None,
        count: int = 1,
        correlation: int = 0,
        chain: Chain | None = None,
        progress: Progress | None = None,
        done: asyncio.Future[object] | None = None,
        started_s: float = 0.0,
    ) -> None:
        self.opcode = opcode
        self.content = content
        self.timestamp_ns = timestamp_ns
        self.flags = flags
        self.declaration = declaration
        self.extensions = extensions
        self.count = count
        self.correlation = correlation
        self.chain = chain
        self.progress = progress
        self.done = done
        self.started_s = started_s
        self.sequence = 0
        self.begun = False
        self.ended = False
        self.lost_s: float | None = None
        self.frame_bytes = 0
        self.payload_sent_bytes = 0
        self._deadline: asyncio.Timeout | None = None
        self._timeout_s: float | None = None

    @property
    def abandoned(self) -> bool:
        """Whether nobody wants it any more: its caller gave up, or it was refused already."""
        return self.done is not None and self.done.done()

    def restart(self) -> None:
        """It will be sent again; of a large one the part that is missing."""
        self.ended = False
        if not self.begun:
            self.forget_sent()

    def forget_sent(self) -> None:
        """Nothing that was sent of it counts."""
        self.frame_bytes = self.payload_sent_bytes = 0

    def advanced(self, sent_bytes: int) -> None:
        """So much of the payload is sent: tell the caller, whose time limit starts again."""
        self.touch()
        if self.progress is not None:
            self.progress(sent_bytes, self.content.payload_bytes)

    def touch(self) -> None:
        """Something moves: the time limit of whoever waits starts again."""
        deadline = self._deadline
        if deadline is not None and self._timeout_s is not None and not deadline.expired() and not self.abandoned:
            deadline.reschedule(asyncio.get_running_loop().time() + self._timeout_s)

    def finish(self, result: object) -> None:
        """Give the result to whoever waits."""
        if self.done is not None and not self.done.done():
            self.done.set_result(result)

    def fail(self, error: Exception) -> None:
        """Give an error to whoever waits."""
        if self.done is not None and not self.done.done():
            self.done.set_exception(error)

    async def result(self, timeout_s: float | None, waited_for: str) -> object:
        """Wait for the result; as :meth:`wait`."""
        assert self.done is not None
        return await self.wait(self.done, timeout_s, waited_for)

    async def wait(self, what: Awaitable[T], timeout_s: float | None, waited_for: str) -> T:
        """Wait for something that comes of this message.

        Args:
            what: e.g. its result.
            timeout_s: the longest time without any progress.
            waited_for: for the error, e.g. ``"the acknowledgement of wf/loss"``.

        Raises:
            RequestTimeout: there was no progress for so long; what is not sent of it will not be.
            FrysError: what went wrong.
        """
        try:
            async with asyncio.timeout(timeout_s) as self._deadline:
                self._timeout_s = timeout_s
                return await what
        except TimeoutError as error:
            if isinstance(error, FrysError):
                raise
            state = "it was sent" if self.ended else "it could not be sent, there is no connection or no room"
            raise RequestTimeout(f"{waited_for} did not come within {timeout_s} s ({state})") from None
        finally:
            # Nobody waits: what comes now, such as another part of a reply, moves no time limit.
            self._deadline = None

    def latency_s(self) -> float:
        """Time since the call."""
        return time.perf_counter() - self.started_s


def lost_on_the_way(job_name: str) -> ConnectionFailed:
    """The error for a message that the gateway may or may not have got."""
    return ConnectionFailed(
        f"the connection was lost before the answer to {job_name} came; the gateway may have got it or not"
    )
