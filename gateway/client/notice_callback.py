"""Tells the application what became of its messages at their receivers."""

from __future__ import annotations

from collections.abc import Callable

from gateway.client.notice import Notice
from gateway.client.report import call_back
from gateway.errors import RequestRefused


class NoticeCallback:
    """Tells the application, or, if it does not ask, reports the notice as an error that nobody waits for.

    Args:
        on_notice: the application's callback.
        report: for errors that nobody waits for.
    """

    def __init__(self, on_notice: Callable[[Notice], None] | None, report: Callable[[Exception], None]) -> None:
        self._on_notice = on_notice
        self._report = report

    def received(self, notice: Notice) -> None:
        """NOTICE has come (spec section 7.6)."""
        if self._on_notice is not None:
            call_back(self._on_notice, notice)
        else:
            self._report(RequestRefused(notice.code, str(notice)))
