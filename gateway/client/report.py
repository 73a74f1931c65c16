"""Reports of errors and notices that no caller waits for, to the application's callbacks or to the log."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final, NamedTuple, NoReturn, ParamSpec, Protocol

from gateway.errors import Code, RequestRefused, code_of
from gateway.ids import StreamName
from gateway.protocol import messages
from gateway.protocol.names import dead_letters_of

P = ParamSpec("P")

Report = Callable[[Exception], None]
"""Called with an error that no caller waits for, e.g. a refused ``publish_nowait``."""

logger: Final = logging.getLogger("gateway.client")

LOG_EVERY_S: Final = 1.0
"""Interval in which the log gets at most one such error, and at its end the number of those left out."""


class ErrorReport(Protocol):
    """Receiver of errors that no caller waits for, which is told of messages that are lost by them."""

    def __call__(self, error: Exception, *, lost: int = 0) -> None:
        """Report an error, by which so many messages of ``publish_nowait`` are lost."""


class Notice(NamedTuple):
    """Messages that did not reach a receiver or were not processed by it, or a change of what this client gets."""

    stream: str
    """Stream of the messages; empty if the notice concerns none."""
    first: int
    """First offset that the notice concerns; 0 if it concerns none."""
    last: int
    """Last offset; -1 if the notice concerns none."""
    code: Code | int
    """``Code.EXPIRED`` or ``Code.DEAD_LETTER``; ``Code.VIEW_LOWERED`` if states come to this client as it reads them,
    or at intervals, or streams by a ``lower_view``, and ``Code.VIEW_RESTORED`` at the end of that; the number of
    another one that this version does not know."""
    client_id: str | None
    """The receiver, if it is known."""
    reason: str
    """Explanation for people."""

    @classmethod
    def of(cls, notice: messages.Notice) -> Notice:
        """Return the notice in a NOTICE frame of the gateway."""
        first = 0 if notice.first is None else notice.first
        last = -1 if notice.last is None else notice.last
        return cls(notice.stream or "", first, last, code_of(notice.code), notice.client_id, notice.reason)

    def __str__(self) -> str:
        if not self.stream:
            return self.reason
        single = self.first == self.last
        offsets = f"message {self.first}" if single else f"messages {self.first} to {self.last}"
        receiver = self.client_id or "a receiver"
        if self.code != Code.DEAD_LETTER:
            return f"{offsets} of {self.stream} did not get through to {receiver}: {self.reason}"
        place, them = dead_letters_of(StreamName(self.stream)), "it" if single else "them"
        return f"{offsets} of {self.stream} went to {place}, because {receiver} did not process {them}: {self.reason}"


def call_back(callback: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> None:
    """Call the application from within the client. An exception that it raises is logged and goes no further.

    ``SystemExit`` and ``KeyboardInterrupt`` go to the program, see :func:`raise_soon`.
    """
    try:
        callback(*args, **kwargs)
    except (SystemExit, KeyboardInterrupt) as error:
        raise_soon(error)
    except BaseException:
        name = getattr(callback, "__qualname__", None) or repr(callback)
        logger.exception("the callback %s of the application failed: correct it; the client goes on", name)


def raise_soon(error: BaseException) -> None:
    """Have the running loop raise ``error``, which is meant for the program, when it is done with what it does now.

    Raised at once, it would end the work in the midst of which the client has called the program. The loop may go on:
    that of a notebook does, and that of a blocking client, which logs the error.
    """
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        raise error from None
    loop.call_soon(_raise, error)


def _raise(error: BaseException) -> NoReturn:
    raise error


@contextmanager
def keeping(error: BaseException | None) -> Iterator[None]:
    """Close something in a block that ``error`` leaves: a failure to close is logged, and does not take its place."""
    try:
        yield
    except Exception as failure:
        if error is None:
            raise
        logger.warning("closing failed (%s: %s) on the way of: %r", type(failure).__name__, failure, error)


TOLD: Final = frozenset({Code.VIEW_LOWERED, Code.VIEW_RESTORED})
"""Codes of notices that are no errors: nothing is lost, and the program need do nothing."""


class Reporter:
    """Receiver of errors that nobody waits for; it is called with each.

    Args:
        on_error: the application's callback; None: errors are logged.
        on_notice: the application's callback for notices; None: they are errors.
        monotonic_s: clock for the log's interval.
    """

    def __init__(
        self,
        on_error: Report | None,
        on_notice: Callable[[Notice], None] | None = None,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._on_error = on_error
        self._on_notice = on_notice
        self._monotonic_s = monotonic_s
        self._quiet_until_s = float("-inf")
        self._left_out = 0
        self._lost = 0
        """Messages that are lost by the errors that were left out."""
        self._last = ""
        """Text of the last one of them; the error itself would hold the frames that it has passed."""

    def __call__(self, error: Exception, *, lost: int = 0) -> None:
        """Report one error; see :class:`ErrorReport`."""
        if self._on_error is not None:
            call_back(self._on_error, error)
            return
        now_s = self._monotonic_s()
        text = f"{type(error).__name__}: {error}"
        if now_s >= self._quiet_until_s:
            self.flush()
            logger.warning("%s", text)
            self._quiet_until_s = now_s + LOG_EVERY_S
            return
        if not self._left_out:
            with suppress(RuntimeError):  # no loop: with the next error, or when the client is closed
                asyncio.get_running_loop().call_later(self._quiet_until_s - now_s, self.flush)
        self._left_out += 1
        self._lost += lost
        self._last = text

    def flush(self) -> None:
        """Log how many errors were left out since the last one, if there are any."""
        if self._left_out:
            errors = f"{self._left_out} more errors, the last one" if self._left_out > 1 else "one more error"
            lost = f" ({self._lost} messages of publish_nowait are lost by them)" if self._lost else ""
            logger.warning("%s: %s%s", errors, self._last, lost)
            self._left_out, self._lost, self._last = 0, 0, ""
            self._quiet_until_s = self._monotonic_s() + LOG_EVERY_S

    def notice(self, notice: Notice) -> None:
        """Report a NOTICE (spec section 7.6)."""
        if self._on_notice is not None:
            call_back(self._on_notice, notice)
        elif notice.code in TOLD:
            logger.info("%s", notice)
        else:
            self(RequestRefused(notice.code, str(notice)))
