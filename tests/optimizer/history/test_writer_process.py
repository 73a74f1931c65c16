"""Writing process: whatever happens to it, the gateway goes on at once, and every record is counted once."""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway.optimizer.child_process import FIRST_PAUSE_S, STALLED_S
from gateway.optimizer.history.layout import pack_record
from gateway.optimizer.history.reading import ReadingTally, read_history
from gateway.optimizer.history.writer_process import MAX_WAITING, WriterProcess
from tests.optimizer.history.records import record

TIMEOUT_S = 30.0


@pytest.fixture
def process(tmp_path: Path) -> Iterator[WriterProcess]:
    writing = WriterProcess(tmp_path / "traffic", 10_000_000)
    yield writing
    writing.close(TIMEOUT_S)


def put(process: WriterProcess, count: int, first: int = 0) -> None:
    for number in range(first, first + count):
        process.put(pack_record(record(number)))


def pump_until(process: WriterProcess, holds: Callable[[], bool], now_s: float = 0.0) -> None:
    """Pump, by a clock that stands still, until something holds."""
    end_s = time.monotonic() + TIMEOUT_S
    while not holds():
        assert time.monotonic() < end_s
        process.pump(now_s)
        time.sleep(0.005)  # for the other process


def pid_of(process: WriterProcess) -> int:
    assert process._process is not None
    return process._process.pid


def numbers(process: WriterProcess) -> list[int]:
    return [int(each.stream.partition("/")[2]) for each in read_history(process.directory, ReadingTally())]


def accounted(process: WriterProcess) -> int:
    """Records whose fate is known, and those that wait."""
    return process.written + process.failed + process.lost + process.dropped + process.waiting


def test_what_is_put_is_written(process: WriterProcess) -> None:
    process.pump(0.0)
    assert (process.running, process.starts) == (True, 1)
    put(process, 3)
    pump_until(process, lambda: process.written == 3)
    assert (process.waiting, process.starts) == (0, 1)
    assert process.held_bytes == sum(path.stat().st_size for path in process.directory.iterdir())
    assert numbers(process) == [0, 1, 2]


def test_closing_writes_all_that_waits(process: WriterProcess) -> None:
    put(process, 1000)
    process.close(TIMEOUT_S)
    assert (process.written, process.waiting, process.running) == (1000, 0, False)
    assert numbers(process) == list(range(1000))


def test_another_one_takes_the_place_of_one_that_is_killed(
    process: WriterProcess, caplog: pytest.LogCaptureFixture
) -> None:
    put(process, 3)
    pump_until(process, lambda: process.written == 3)
    os.kill(pid_of(process), signal.SIGKILL)
    pump_until(process, lambda: not process.running)
    assert "has ended with status -9; 0 records are lost" in caplog.text
    assert process.failure == ""
    put(process, 3, 3)
    process.pump(FIRST_PAUSE_S / 2)
    assert (process.running, process.failure) == (False, "no process writes")
    pump_until(process, lambda: process.written == 6, FIRST_PAUSE_S)
    assert process.starts == 2
    assert process.failure == ""
    assert numbers(process) == [0, 1, 2, 3, 4, 5]


def test_records_that_were_with_a_process_that_is_killed_are_lost_and_counted(process: WriterProcess) -> None:
    put(process, 1)
    pump_until(process, lambda: process.written == 1)
    os.kill(pid_of(process), signal.SIGSTOP)
    put(process, 50, 1)
    process.pump(0.0)
    os.kill(pid_of(process), signal.SIGKILL)
    pump_until(process, lambda: not process.running)
    assert (process.written, process.lost, process.waiting) == (1, 50, 0)


def test_past_a_bound_the_oldest_records_are_dropped_while_a_process_stands_still(process: WriterProcess) -> None:
    put(process, 1)
    pump_until(process, lambda: process.written == 1)
    os.kill(pid_of(process), signal.SIGSTOP)
    for _ in range(10):
        put(process, 1000, 1)
        process.pump(0.0)  # would hang if it waited
    assert process.dropped > 0
    assert len(process._waiting) == MAX_WAITING
    assert accounted(process) == process.recorded == 10_001
    os.kill(pid_of(process), signal.SIGCONT)
    pump_until(process, lambda: process.waiting == 0)
    assert (process.lost, process.written + process.dropped) == (0, 10_001)


def test_one_that_takes_nothing_for_long_is_replaced(process: WriterProcess, caplog: pytest.LogCaptureFixture) -> None:
    put(process, 1)
    pump_until(process, lambda: process.written == 1)
    os.kill(pid_of(process), signal.SIGSTOP)
    put(process, 4000, 1)
    process.pump(0.0)
    process.pump(STALLED_S / 2)
    assert (process.running, process.starts) == (True, 1)
    process.pump(STALLED_S)
    assert (process.running, process.starts) == (False, 1)
    assert "has taken nothing for 30 s" in caplog.text
    pump_until(process, lambda: process.waiting == 0, STALLED_S + FIRST_PAUSE_S)
    assert process.starts == 2
    assert process.lost > 0
    assert accounted(process) == process.recorded


def test_as_long_as_one_that_was_killed_does_not_end_no_other_starts(
    process: WriterProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a disk that does not answer keeps a process from ending: with one every other minute they would pile up."""
    put(process, 1)
    pump_until(process, lambda: process.written == 1)
    pid = pid_of(process)
    os.kill(pid, signal.SIGSTOP)
    put(process, 4000, 1)
    process.pump(0.0)
    with monkeypatch.context() as patch:
        patch.setattr("subprocess.Popen.kill", lambda killed: None)
        process.pump(STALLED_S)
    for now_s in (100.0, 1000.0, 10_000.0):
        process.pump(now_s)
    assert (process.running, process.starts) == (False, 1)
    os.kill(pid, signal.SIGKILL)
    pump_until(process, lambda: process.waiting == 0, 20_000.0)
    assert process.starts == 2
    assert accounted(process) == process.recorded


def test_more_is_written_than_the_pipe_takes_at_once(process: WriterProcess) -> None:
    for begin in range(0, 20_000, 4000):
        put(process, 4000, begin)
        pump_until(process, lambda: not process._waiting)
    pump_until(process, lambda: process.waiting == 0)
    assert (process.written, process.dropped) == (20_000, 0)


def test_closing_does_not_wait_for_one_that_stands_still(
    process: WriterProcess, caplog: pytest.LogCaptureFixture
) -> None:
    put(process, 1)
    pump_until(process, lambda: process.written == 1)
    os.kill(pid_of(process), signal.SIGSTOP)
    put(process, 4000, 1)
    process.close(0.05)
    assert not process.running
    assert accounted(process) == process.recorded == 4001
    assert process.waiting == 0
    assert "4000 records were not written before the stop" in caplog.text


def test_a_disk_that_refuses_is_told_once_and_used_again_when_it_takes_records(
    process: WriterProcess, caplog: pytest.LogCaptureFixture
) -> None:
    process.directory.write_text("in the way")
    put(process, 2)
    pump_until(process, lambda: process.failed == 2)
    put(process, 2)
    with caplog.at_level(logging.INFO):
        pump_until(process, lambda: process.failed == 4)
        assert caplog.messages == [
            f"traffic history {process.directory} cannot be written, records are lost: File exists"
        ]
        process.directory.unlink()
        put(process, 1, 7)
        pump_until(process, lambda: process.written == 1)
        assert caplog.messages[1] == f"traffic history {process.directory} is written again"
    assert numbers(process) == [7]
    assert process.failure == ""


def test_a_process_that_cannot_be_started_is_tried_again_ever_more_seldom(
    process: WriterProcess, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    put(process, 2)
    with monkeypatch.context() as patch:
        patch.setattr("sys.executable", "/nowhere/python")
        for now_s in (0.0, 0.9, 1.0, 2.0, 2.9, 3.0, 6.9, 7.0):
            process.pump(now_s)
    assert (process.starts, process.running, process.waiting) == (4, False, 2)
    assert "cannot be started" in caplog.text
    pump_until(process, lambda: process.written == 2, 100.0)
    os.kill(pid_of(process), signal.SIGKILL)
    pump_until(process, lambda: not process.running, 100.0)
    put(process, 1)
    pump_until(process, lambda: process.written == 3, 100.0 + FIRST_PAUSE_S)  # it has written: soon, as at first
