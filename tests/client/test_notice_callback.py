"""Tests who is told of notices."""

import pytest

from gateway.client.notice import Notice
from gateway.client.notice_callback import NoticeCallback
from gateway.errors import Code, RequestRefused

NOTICE = Notice("wf/tasks", 3, 3, Code.DEAD_LETTER, "worker", "not processed")


def test_the_application_is_told_if_it_asks() -> None:
    told: list[Notice] = []
    reported: list[Exception] = []
    NoticeCallback(told.append, reported.append).received(NOTICE)
    assert (told, reported) == ([NOTICE], [])


def test_otherwise_it_is_an_error_that_nobody_waits_for() -> None:
    reported: list[Exception] = []
    NoticeCallback(None, reported.append).received(NOTICE)
    (error,) = reported
    assert isinstance(error, RequestRefused)
    assert (error.code, error.message) == (Code.DEAD_LETTER, str(NOTICE))


def test_a_callback_that_fails_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    def fail(notice: Notice) -> None:
        raise ValueError("in the application")

    NoticeCallback(fail, print).received(NOTICE)
    assert "in the application" in caplog.text
