"""Tests where errors and notices go that nobody waits for."""

import asyncio
from dataclasses import replace

import pytest

from gateway.client import report as report_module
from gateway.client.report import Notice, Reporter, call_back, keeping
from gateway.errors import Code, FrysError, RequestRefused
from gateway.protocol import messages
from tests.client.waiting import until

NOTICE = Notice("wf/tasks", 3, 3, Code.DEAD_LETTER, "worker", "not processed")


def test_the_callback_gets_every_error() -> None:
    told: list[Exception] = []
    report = Reporter(told.append)
    errors = [FrysError(str(number)) for number in range(5)]
    for error in errors:
        report(error)
    assert told == errors


def test_a_callback_that_fails_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    def fail(error: Exception) -> None:
        raise ValueError("in the application")

    Reporter(fail)(FrysError("x"))
    assert "in the application" in caplog.text
    assert "the callback test_a_callback_that_fails_is_logged.<locals>.fail of the application failed" in caplog.text


def test_without_a_callback_the_log_is_not_flooded(caplog: pytest.LogCaptureFixture) -> None:
    now_s = 0.0
    report = Reporter(None, monotonic_s=lambda: now_s)
    for number in range(100):
        report(FrysError(f"error {number}"))
    now_s = 1.5
    report(FrysError("the last"))
    assert [record.getMessage() for record in caplog.records] == [
        "FrysError: error 0",
        "99 more errors, the last one: FrysError: error 99",
        "FrysError: the last",
    ]


@pytest.mark.parametrize("closed", [False, True])
async def test_what_was_left_out_of_the_log_is_told_once_and_without_another_error(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, *, closed: bool
) -> None:
    monkeypatch.setattr(report_module, "LOG_EVERY_S", 60.0 if closed else 0.01)
    report = Reporter(None, monotonic_s=lambda: 0.0)
    for number in range(4):
        report(FrysError(f"error {number}"), lost=number)
    if closed:
        report.flush()
    await until(lambda: len(caplog.records) == 2)
    report.flush()
    assert [record.getMessage() for record in caplog.records] == [
        "FrysError: error 0",
        "3 more errors, the last one: FrysError: error 3 (6 messages of publish_nowait are lost by them)",
    ]


def test_the_application_is_told_of_notices_if_it_asks() -> None:
    told: list[Notice] = []
    reported: list[Exception] = []
    Reporter(reported.append, told.append).notice(NOTICE)
    assert (told, reported) == ([NOTICE], [])


def test_otherwise_a_notice_is_an_error_that_nobody_waits_for() -> None:
    reported: list[Exception] = []
    Reporter(reported.append).notice(NOTICE)
    (error,) = reported
    assert isinstance(error, RequestRefused)
    assert (error.code, error.message) == (Code.DEAD_LETTER, str(NOTICE))


@pytest.mark.parametrize("code", [Code.VIEW_LOWERED, Code.VIEW_RESTORED])
def test_a_notice_that_states_come_otherwise_is_no_error(code: Code, caplog: pytest.LogCaptureFixture) -> None:
    errors: list[Exception] = []
    with caplog.at_level("INFO"):
        Reporter(errors.append).notice(Notice("", 0, -1, code, None, "states come as they are read"))
    assert not errors
    assert "states come as they are read" in caplog.text


def test_a_callback_for_notices_that_fails_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    def fail(notice: Notice) -> None:
        raise ValueError("in the application")

    Reporter(None, fail).notice(NOTICE)
    assert "in the application" in caplog.text


def test_a_notice_is_what_the_gateway_said() -> None:
    told = messages.Notice("wf/tasks", 3, 4, Code.EXPIRED, "late", client_id="worker")
    assert Notice.of(told) == Notice("wf/tasks", 3, 4, Code.EXPIRED, "worker", "late")
    codes = [Notice.of(replace(told, code=code)).code for code in (int(Code.EXPIRED), 5299)]
    assert [type(code) for code in codes] == [Code, int]


@pytest.mark.parametrize(
    ("last", "client_id", "text"),
    [
        (3, "worker", "message 3 of wf/tasks did not get through to worker: late"),
        (4, None, "messages 3 to 4 of wf/tasks did not get through to a receiver: late"),
    ],
)
def test_a_notice_says_what_did_not_reach_whom_and_why(last: int, client_id: str | None, text: str) -> None:
    assert str(Notice("wf/tasks", 3, last, Code.EXPIRED, client_id, "late")) == text


@pytest.mark.parametrize(
    ("last", "text"),
    [
        (3, "message 3 of wf/tasks went to wf/tasks.dead, because worker did not process it: refused"),
        (4, "messages 3 to 4 of wf/tasks went to wf/tasks.dead, because worker did not process them: refused"),
    ],
)
def test_a_notice_says_where_the_dead_letters_are(last: int, text: str) -> None:
    assert str(Notice("wf/tasks", 3, last, Code.DEAD_LETTER, "worker", "refused")) == text


def test_a_callback_that_is_cancelled_does_not_cancel_the_client(caplog: pytest.LogCaptureFixture) -> None:
    def cancel() -> None:
        raise asyncio.CancelledError

    call_back(cancel)
    assert "CancelledError" in caplog.text


@pytest.mark.parametrize("meant", [SystemExit, KeyboardInterrupt])
def test_a_callback_may_end_the_program(meant: type[BaseException]) -> None:
    def end() -> None:
        raise meant

    with pytest.raises(meant):
        call_back(end)


@pytest.mark.parametrize("meant", [SystemExit, KeyboardInterrupt])
def test_a_callback_that_ends_the_program_does_not_interrupt_the_client(meant: type[BaseException]) -> None:
    done: list[str] = []

    def end() -> None:
        raise meant

    async def work() -> None:
        call_back(end)
        done.append("the rest of the work")
        await asyncio.sleep(0)
        done.append("what follows")

    loop = asyncio.new_event_loop()
    working = loop.create_task(work())
    with pytest.raises(meant):
        loop.run_until_complete(working)
    assert done[0] == "the rest of the work"
    loop.run_until_complete(working)
    assert done[1:] == ["what follows"]
    loop.close()


def test_a_failure_to_close_does_not_take_the_place_of_another_error(caplog: pytest.LogCaptureFixture) -> None:
    def fail(error: BaseException | None) -> None:
        with keeping(error):
            raise FrysError("of closing")

    fail(ValueError("of the program"))
    assert "closing failed (FrysError: of closing) on the way of: ValueError('of the program')" in caplog.text
    with pytest.raises(FrysError, match="of closing"):
        fail(None)


def test_a_notice_of_no_messages_is_told_by_its_reason() -> None:
    told: list[Notice] = []
    errors: list[Exception] = []
    notice = Notice.of(messages.Notice(None, None, None, 5299, "something is new", client_id="worker"))
    Reporter(errors.append, told.append).notice(notice)
    Reporter(errors.append).notice(notice)
    assert told == [Notice("", 0, -1, 5299, "worker", "something is new")]
    assert [str(error) for error in errors] == ["something is new (CODE_5299, code 5299)"]
