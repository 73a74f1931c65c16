"""Messages and record batches of the blocking client: those of the async one, whose answers block."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, cast

from gateway.client.messages import message, record_batch
from gateway.client.messages.ack_handle import check_refusal
from gateway.client.sync.loop_thread import LoopThread
from gateway.errors import Code


class BlockingAcks(message.Acknowledged):
    """Blocking twins of ``ack``, ``nack`` and ``in_progress``, for a subclass that has the slot ``_thread``."""

    __slots__ = ()

    _thread: LoopThread | None
    """Thread that takes the answers; ``None``: a copy, which has a handle that takes none."""

    def ack(self) -> None:  # type: ignore[override]  # the blocking twin
        """Acknowledge it as processed: it will not come again.

        Raises:
            UsageError: it is observed.
        """
        handle = self._answered_handle()
        if handle is not None:
            self._call(handle.done)

    def nack(self, code: int = Code.NOT_PROCESSED) -> None:  # type: ignore[override]  # the blocking twin
        """Answer that it is not processed: it comes again, at most ``max_tries`` times, and is a dead letter then.

        Args:
            code: reason, for the publisher: from 1 to 2**32 - 1.

        Raises:
            InvalidArgument: another code.
            UsageError: it is observed.
        """
        code = check_refusal(code)
        handle = self._answered_handle()
        if handle is not None:
            self._call(partial(handle.refuse, code))

    def in_progress(self) -> None:  # type: ignore[override]  # the blocking twin
        """Report that the program still works on it: the gateway waits for ``ack_timeout_s`` from now on.

        The client does this by itself whenever the gateway asks, as long as the program holds the message.

        Raises:
            UsageError: it is observed.
        """
        handle = self._answered_handle()
        if handle is not None:
            self._call(handle.in_progress)

    def __getstate__(self) -> tuple[None, dict[str, Any]]:
        nothing, fields = super().__getstate__()
        if "_thread" in fields:
            fields["_thread"] = None
        return nothing, fields

    def _call(self, answer: Callable[[], None]) -> None:
        assert self._thread is not None
        self._thread.call_soon(answer)


class Message(BlockingAcks, message.Message):
    """A message whose answers block; see :class:`gateway.client.messages.message.Message`."""

    __slots__ = ()


class RecordBatch(BlockingAcks, record_batch.RecordBatch):
    """A record batch whose answers block; see :class:`gateway.client.messages.record_batch.RecordBatch`."""

    __slots__ = ()

    def messages(self) -> Iterator[Message]:
        """Return an iterator that makes a message of each record."""
        return map(blocking_message, super().messages())


class AcknowledgedMessage(Message):
    """A message of a stream that receivers acknowledge: its answers go to the client's thread."""

    __slots__ = ("_thread",)

    def __init__(self, thread: LoopThread | None, source: message.Message) -> None:
        self.copy_from(source)
        self._thread = thread


class AcknowledgedBatch(RecordBatch):
    """A record batch of a stream that receivers acknowledge: its answers go to the client's thread."""

    __slots__ = ("_thread",)

    def __init__(self, thread: LoopThread | None, source: record_batch.RecordBatch) -> None:
        self.copy_from(source)
        self._thread = thread

    def copy_from(self, source: record_batch.RecordBatch) -> None:
        """Set all fields to those of another batch."""
        super().copy_from(source)
        self._thread = source._thread if isinstance(source, AcknowledgedBatch) else None

    def messages(self) -> Iterator[Message]:
        """Return an iterator that makes a message of each record."""
        return map(partial(AcknowledgedMessage, self._thread), record_batch.RecordBatch.messages(self))


def blocking_message(received: message.Message) -> Message:
    """Return a message that takes no answer as one of the blocking client.

    It is the same object with other methods: a copy would take 10 times as long.
    """
    received.__class__ = Message
    return received  # type: ignore[return-value]  # not by cast(), which is a call


def blocking_batch(received: record_batch.RecordBatch) -> RecordBatch:
    """Return a record batch that takes no answer as one of the blocking client; see :func:`blocking_message`."""
    received.__class__ = RecordBatch
    return cast(RecordBatch, received)
