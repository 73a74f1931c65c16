"""Acknowledgement handles: one for each unit that the program has received and must answer (spec section 7.4)."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Final, NamedTuple, Self

from gateway.client.messages.frame_sender import FrameSender
from gateway.errors import UsageError
from gateway.protocol.arguments import check_count, check_type
from gateway.protocol.extensions import Identity
from gateway.protocol.messages import Credits
from gateway.protocol.signals import Credit

MAX_CODE: Final = 2**32 - 1
"""Largest code that DONE carries."""

MAX_CREDIT_MESSAGES: Final = 2**32 - 1
MAX_CREDIT_BYTES: Final = 2**53 - 1
"""Largest window: what CREDIT carries, and JSON exactly."""


class AckUnitRange(NamedTuple):
    """A message or a record batch as it arrived: it is acknowledged as one."""

    epoch: int
    first: int
    count: int  # type: ignore[assignment]  # hides tuple.count, which is not called
    nbytes: int
    """Size of its decoded payload."""
    identity: Identity | None
    session: FrameSender | None
    """Session on which it came and took credit; ``None``: it took none."""

    @property
    def last(self) -> int:
        """Last offset of the unit."""
        return self.first + self.count - 1


def check_refusal(code: int) -> int:
    """Return the code of a refusal as DONE carries it (spec section 7.4).

    Raises:
        InvalidArgument: no integer, or out of range; 0 would mean that the message is processed.
    """
    return check_count("code", code, maximum=MAX_CODE)


class AckScope:
    """Units of one subscription, over all its streams, that wait for an answer, and the credit that their answers free.

    A subscription with a credit window of its own grants credit again whenever half of the window is free (spec section
    7.5). If its credit counts for all streams, messages without acknowledgements free what they took when they do not
    wait for the program any more.

    Args:
        window: units and bytes that may be under way; ``None``: the gateway chooses the window and needs no grants.
        check: raises for a caller that must not answer, in another process or event loop.

    Attributes:
        window: see above.
        check: see above.
        handles: the units that wait for an answer, in the order of their arrival. A handle is alive as long as its
            message: in the buffer, or in the program.

    Raises:
        InvalidArgument: a window in which nothing fits.
    """

    __slots__ = (
        "_free_bytes",
        "_free_messages",
        "_number",
        "_session",
        "_taken_bytes",
        "_taken_messages",
        "check",
        "handles",
        "window",
    )

    def __init__(self, window: Credits | None, check: Callable[[], None] = lambda: None) -> None:
        if window is not None:
            check_type("credits", window, Credits, "it must be a Credits(messages, bytes), or None")
            messages = check_count("credits.messages", window.messages, maximum=MAX_CREDIT_MESSAGES)
            window = Credits(messages, check_count("credits.bytes", window.bytes, maximum=MAX_CREDIT_BYTES))
        self.window = window
        self.check = check
        self.handles: dict[PendingAck, weakref.ref[AckHandle]] = {}
        self._session: FrameSender | None = None
        self._number = 0
        self._free_messages = self._free_bytes = 0
        self._taken_messages = self._taken_bytes = 0
        """Credit that messages without acknowledgements have taken, and that is not free again."""

    def begin(self, session: FrameSender, number: int) -> None:
        """Start on a new session with the full window free.

        Args:
            session: the session.
            number: number of the subscription on this session.
        """
        self._session = session
        self._number = number
        self._free_messages = self._free_bytes = self._taken_messages = self._taken_bytes = 0

    def take(self, nbytes: int) -> None:
        """Count a message without acknowledgements, of so many bytes, that has come on the present session."""
        self._taken_messages += 1
        self._taken_bytes += nbytes

    def hold(self, messages: int, nbytes: int) -> None:
        """Free the credit of messages without acknowledgements, but for so many messages and bytes that still wait."""
        free_messages = max(0, self._taken_messages - messages)
        free_bytes = max(0, self._taken_bytes - nbytes)
        self._taken_messages -= free_messages
        self._taken_bytes -= free_bytes
        self._free(self._session, free_messages, free_bytes)

    def release(self, session: FrameSender | None, nbytes: int) -> None:
        """Free the credit of a unit that came on ``session`` and does not wait for the program any more."""
        if session is self._session:
            self._free(session, 1, nbytes)

    def _free(self, session: FrameSender | None, messages: int, nbytes: int) -> None:
        window = self.window
        if window is None or session is None:
            return
        self._free_messages += messages
        self._free_bytes += nbytes
        if self._free_messages * 2 >= window.messages or self._free_bytes * 2 >= window.bytes:
            session.send_each((Credit(self._number, self._free_messages, self._free_bytes).write(),))
            self._free_messages = self._free_bytes = 0

    def withdraw(self) -> None:
        """Drop all units without an answer, because the subscription has ended."""
        for pending, reference in list(self.handles.items()):
            handle = reference()
            if handle is None:
                self.drop(pending)
            else:
                handle.withdraw()

    def holds(self, pending: PendingAck) -> bool:
        """Return whether a unit waits for an answer that the program can still give."""
        reference = self.handles.get(pending)
        return reference is not None and reference() is not None

    def drop(self, pending: PendingAck) -> None:
        """Give up a unit that the program has let go of without an answer."""
        del self.handles[pending]
        self.release(pending.unit.session, pending.unit.nbytes)
        pending.answered(self)


class PendingAck:
    """Unit that the program has received and not answered yet, through one or several subscriptions.

    Args:
        unit: the unit as it arrived.
        settle: called when all subscriptions have answered.
        report: called when the program reports that it works on the unit.

    Attributes:
        unit: the unit as its latest delivery brought it.
        processed: whether the program has acknowledged the unit through one of the subscriptions.
        refusers: subscriptions that have refused the unit and want it again.
        code: reason of the last refusal.
    """

    __slots__ = ("_open", "_report", "_settle", "code", "processed", "refusers", "unit")

    def __init__(
        self, unit: AckUnitRange, settle: Callable[[PendingAck], None], report: Callable[[PendingAck], None]
    ) -> None:
        self.unit = unit
        self.processed = False
        # Tuples: almost always of one subscription, and the empty one costs nothing.
        self.refusers: tuple[AckScope, ...] = ()
        self.code = 0
        self._settle = settle
        self._report = report
        self._open: tuple[AckScope, ...] = ()

    @property
    def held(self) -> bool:
        """Whether a message of the unit waits in a buffer, or is held by the program, which has not answered yet."""
        return any(scope.holds(self) for scope in self._open)

    @property
    def open_scopes(self) -> tuple[AckScope, ...]:
        """Subscriptions that have not answered."""
        return self._open

    def wait(self, scope: AckScope) -> None:
        """Wait for the answer of one more subscription."""
        self._open += (scope,)

    def answered(self, scope: AckScope) -> None:
        """Note that a subscription has answered."""
        self._open = () if len(self._open) == 1 else tuple([other for other in self._open if other is not scope])
        if not self._open:
            self._settle(self)

    def in_progress(self) -> None:
        """Report that the program works on the unit."""
        self._report(self)


class AckHandle:
    """Answer of one subscription for a unit. The first answer counts.

    Args:
        pending: the unit.
        scope: of the subscription.
    """

    __slots__ = ("__weakref__", "_held", "_pending", "_records_open", "_settled", "scope")

    def __init__(self, pending: PendingAck, scope: AckScope) -> None:
        self.scope = scope
        self._pending = pending
        self._records_open = pending.unit.count
        self._settled = False
        self._held: object = None
        pending.wait(scope)
        scope.handles[pending] = weakref.ref(self)

    def hold(self, holder: object) -> None:
        """Keep what the answer needs, until the program has answered: it has got the message. Any thread may call."""
        self._held = holder
        if self._settled:  # meanwhile
            self._held = None

    def check(self) -> None:
        """Raise unless the caller may answer; called for the program before it answers.

        Raises:
            UsageError: the client belongs to another process or event loop.
        """
        self.scope.check()

    def done(self) -> None:
        """Answer that the program has processed the unit."""
        if not self._settled:
            self._pending.processed = True
            self._settle()

    def record_done(self) -> None:
        """Count one more record of the batch as processed: with the last one, the batch is."""
        self._records_open -= 1
        if not self._records_open:
            self.done()

    def refuse(self, code: int) -> None:
        """Answer that the program has not processed the unit, and wants it again."""
        if not self._settled:
            self._pending.refusers += (self.scope,)
            self._pending.code = code
            self._settle()

    def in_progress(self) -> None:
        """Report that the program works on the unit."""
        if not self._settled:
            self._pending.in_progress()

    def withdraw(self) -> None:
        """Give up the unit without an answer."""
        if not self._settled:
            self._settle()

    def _settle(self) -> None:
        self._settled = True
        scope, pending = self.scope, self._pending
        unit = pending.unit
        scope.handles.pop(pending, None)
        scope.release(unit.session, unit.nbytes)
        pending.answered(scope)
        self._held = None  # the last, since it may close the client


class RecordAckHandle:
    """Answer for one record of a batch, which is acknowledged as one. The first answer counts."""

    __slots__ = ("_batch", "_scope")

    def __init__(self, batch: AckHandle) -> None:
        self._batch: AckHandle | None = batch
        self._scope = batch.scope

    def check(self) -> None:
        """Raise unless the caller may answer; see :meth:`AckHandle.check`."""
        self._scope.check()

    def done(self) -> None:
        """Answer that the program has processed the record."""
        batch, self._batch = self._batch, None
        if batch is not None:
            batch.record_done()

    def refuse(self, code: int) -> None:
        """Answer that the program has not: the batch comes again."""
        batch, self._batch = self._batch, None
        if batch is not None:
            batch.refuse(code)

    def in_progress(self) -> None:
        """Report that the program works on the record, and so on the batch."""
        if self._batch is not None:
            self._batch.in_progress()


class JoinedAckHandle:
    """Answer for messages that were joined to one batch: it goes to each of them that has none yet.

    Args:
        handles: those of the messages, in their order.

    Attributes:
        handles: see above.
    """

    __slots__ = ("handles",)

    def __init__(self, handles: list[AckHandle]) -> None:
        self.handles = handles

    def hold(self, holder: object) -> None:
        """Keep what the answers need; see :meth:`AckHandle.hold`."""
        for handle in self.handles:
            handle.hold(holder)

    def check(self) -> None:
        """Raise unless the caller may answer; see :meth:`AckHandle.check`."""
        self.handles[0].check()

    def done(self) -> None:
        """Answer that the program has processed the messages."""
        for handle in self.handles:
            handle.done()

    def refuse(self, code: int) -> None:
        """Answer that the program has not processed the messages, and wants them again."""
        for handle in self.handles:
            handle.refuse(code)

    def in_progress(self) -> None:
        """Report that the program works on the messages."""
        for handle in self.handles:
            handle.in_progress()


class DetachedAckHandle:
    """Handle of a copy, made by ``pickle`` or ``deepcopy``, of a message or batch: it takes no answer.

    Args:
        stream: name of the stream, for the error.
    """

    __slots__ = ("_stream",)

    def __init__(self, stream: str) -> None:
        self._stream = stream

    def __reduce__(self) -> tuple[type[Self], tuple[str]]:
        # Protocols 0 and 1 of pickle know no slots.
        return type(self), (self._stream,)

    def check(self) -> None:
        """Raise: the gateway cannot be told.

        Raises:
            UsageError: always.
        """
        raise UsageError(
            f"this is a copy of a message of {self._stream}: acknowledge the one that the client gave, in its process"
        )

    def done(self) -> None:
        """Raise, as :meth:`check`."""
        self.check()

    def refuse(self, code: int) -> None:
        """Raise, as :meth:`check`."""
        self.check()

    def in_progress(self) -> None:
        """Raise, as :meth:`check`."""
        self.check()


AnyAckHandle = AckHandle | RecordAckHandle | JoinedAckHandle | DetachedAckHandle
"""Handle of a message or a batch."""
