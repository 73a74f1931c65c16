"""Worker of shadow trials: whatever happens to its process, the gateway goes on at once, and slots are free again."""

from __future__ import annotations

import os
import resource
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from gateway.optimizer.child_process import FIRST_PAUSE_S, STALLED_S
from gateway.optimizer.shadow.sample_memory import SLOTS
from gateway.optimizer.shadow.trial_messages import MAX_LINE_BYTES, TrialAnswer, TrialRequest
from gateway.optimizer.shadow.trial_worker import SILENT_S, SampleSlot, TrialWorker

TIMEOUT_S = 30.0
SAMPLE = np.arange(16_384, dtype=np.int64).data.cast("B")


@pytest.fixture
def worker() -> Iterator[TrialWorker]:
    trying = TrialWorker()
    yield trying
    trying.close(TIMEOUT_S)


def request_for(slot: SampleSlot, *chains: str) -> TrialRequest:
    size, _ = slot.memory.fill(slot.number, SAMPLE, None)
    return TrialRequest(slot.number, size, 0, "int64", chains or ("none", "lz4"), 60.0)


def taken(worker: TrialWorker) -> SampleSlot:
    slot = worker.take_slot()
    assert slot is not None
    return slot


def ask(worker: TrialWorker, now_s: float = 0.0) -> SampleSlot:
    slot = taken(worker)
    assert worker.ask(slot, request_for(slot), now_s)
    assert worker.has(slot)
    return slot


def pump_until(worker: TrialWorker, holds: Callable[[], bool], now_s: float = 0.0) -> list[TrialAnswer]:
    """Pump, by a clock that stands still, until something holds; return the answers."""
    answers, end_s = list[TrialAnswer](), time.monotonic() + TIMEOUT_S
    while not holds():
        assert time.monotonic() < end_s
        answers += worker.pump(now_s)
        time.sleep(0.005)  # for the other process
    return answers


def pid_of(worker: TrialWorker) -> int:
    assert worker._process is not None
    return worker._process.pid


def answered(worker: TrialWorker, now_s: float = 0.0) -> TrialAnswer:
    slot = ask(worker, now_s)
    (answer,) = pump_until(worker, lambda: not worker.has(slot), now_s)
    return answer


def test_a_process_that_does_not_do_its_work_is_told_before_it_is_given_up(worker: TrialWorker) -> None:
    assert worker.fault(0.0) == "does not run"
    worker.pump(0.0)
    assert worker.fault(1000.0) == ""
    os.kill(pid_of(worker), signal.SIGSTOP)
    slot = ask(worker)
    assert worker.fault(SILENT_S / 2) == ""
    assert worker.fault(SILENT_S) == "has answered nothing for 5 s"
    os.kill(pid_of(worker), signal.SIGCONT)
    pump_until(worker, lambda: not worker.has(slot), SILENT_S)
    assert worker.fault(1000.0) == ""


def test_samples_are_tried_and_wiped(worker: TrialWorker) -> None:
    assert (worker.running, worker.free_slots, worker.take_slot()) == (False, 0, None)
    worker.pump(0.0)
    assert (worker.running, worker.starts, worker.free_slots) == (True, 1, SLOTS)
    for _ in range(2):
        slots = [ask(worker) for _ in range(SLOTS)]
        assert worker.take_slot() is None
        answers = pump_until(worker, lambda: worker.free_slots == SLOTS)
        assert [answer.slot for answer in answers] == [slot.number for slot in slots]
        for answer in answers:
            assert answer.error == ""
            assert [each.chain for each in answer.tried] == ["none", "lz4"]
        assert not any(any(slot.memory.slot(slot.number)) for slot in slots)


def test_a_slot_that_is_not_used_is_given_back_and_wiped(worker: TrialWorker) -> None:
    worker.pump(0.0)
    slot = taken(worker)
    request_for(slot)
    worker.give_back(slot)
    assert worker.free_slots == SLOTS
    assert not any(slot.memory.slot(slot.number))
    slot = taken(worker)
    assert not worker.ask(slot, request_for(slot, *["lz4"] * MAX_LINE_BYTES), 0.0)
    assert worker.free_slots == SLOTS


def test_another_one_takes_the_place_of_one_that_is_killed(
    worker: TrialWorker, caplog: pytest.LogCaptureFixture
) -> None:
    worker.pump(0.0)
    answered(worker)
    os.kill(pid_of(worker), signal.SIGSTOP)
    slot, copied = ask(worker), taken(worker)
    os.kill(pid_of(worker), signal.SIGKILL)
    pump_until(worker, lambda: not worker.running)
    assert "has ended with status -9; 1 samples are lost" in caplog.text
    assert not worker.has(slot)
    assert not worker.ask(copied, request_for(copied), 0.0)
    assert worker.take_slot() is None
    for now_s, starts in ((FIRST_PAUSE_S / 2, 1), (FIRST_PAUSE_S, 2)):
        worker.pump(now_s)
        assert worker.starts == starts
    assert worker.free_slots == SLOTS
    assert not worker.ask(copied, request_for(copied), FIRST_PAUSE_S)
    assert answered(worker, FIRST_PAUSE_S).error == ""


def test_one_that_answers_nothing_for_long_is_replaced(worker: TrialWorker, caplog: pytest.LogCaptureFixture) -> None:
    worker.pump(0.0)
    answered(worker)
    os.kill(pid_of(worker), signal.SIGSTOP)
    for _ in range(SLOTS):
        ask(worker, 100.0)
    runs = []
    for passed_s in (STALLED_S / 2, STALLED_S):
        worker.pump(100.0 + passed_s)  # would hang if it waited
        runs.append(worker.running)
    assert runs == [True, False]
    assert f"has answered nothing for 30 s; {SLOTS} samples are lost" in caplog.text
    pump_until(worker, lambda: worker.starts == 2, 200.0)  # once the other one has ended
    assert answered(worker, 200.0).error == ""


def test_closing_does_not_wait_for_one_that_stands_still(worker: TrialWorker) -> None:
    worker.pump(0.0)
    answered(worker)
    os.kill(pid_of(worker), signal.SIGSTOP)
    ask(worker)
    worker.close(TIMEOUT_S)
    assert not worker.running


def test_one_that_writes_nonsense_is_replaced(worker: TrialWorker, caplog: pytest.LogCaptureFixture) -> None:
    worker.pump(0.0)
    slot = ask(worker)
    for now_s, written in ((0.0, b"nonsense\n"), (1000.0, TrialAnswer(3, 0.0, ()).line())):
        pump_until(worker, lambda: worker.running, now_s)
        assert worker._process is not None
        worker._process._line = written
        pump_until(worker, lambda: not worker.running, now_s)
        assert not worker.has(slot)
    assert "has written no answer to a request for a trial: b'nonsense'" in caplog.text
    assert "has written an answer for slot 3, which it was not asked for" in caplog.text


def test_one_without_memory_fails_or_ends_and_the_gateway_goes_on(worker: TrialWorker) -> None:
    worker.pump(0.0)
    answered(worker)
    resource.prlimit(pid_of(worker), resource.RLIMIT_DATA, (1, 1))
    resource.prlimit(pid_of(worker), resource.RLIMIT_AS, (1, 1))
    slot = taken(worker)
    assert worker.ask(slot, request_for(slot, *["shuffle+zstd:9", "pco:8", "lz4"] * 4), 0.0)
    pump_until(worker, lambda: not worker.has(slot))
    assert not any(worker.has(SampleSlot(slot.memory, number)) for number in range(SLOTS))


def test_it_is_the_first_that_the_system_kills_for_memory(worker: TrialWorker) -> None:
    worker.pump(0.0)
    answered(worker)
    assert int(Path(f"/proc/{pid_of(worker)}/oom_score_adj").read_text()) == 1000


def test_it_has_no_library_for_learning_and_no_thread(worker: TrialWorker) -> None:
    worker.pump(0.0)
    answered(worker)
    assert os.listdir(f"/proc/{pid_of(worker)}/task") == [str(pid_of(worker))]
    assert "sklearn" not in Path(f"/proc/{pid_of(worker)}/maps").read_text()


@pytest.mark.parametrize("what", ["sys.executable", "os.memfd_create"])
def test_one_that_cannot_be_started_is_tried_again_ever_more_seldom(
    worker: TrialWorker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, what: str
) -> None:
    def refused(*_: object) -> int:
        raise OSError(12, "Cannot allocate memory")

    with monkeypatch.context() as patch:
        patch.setattr(what, "/nowhere/python" if what == "sys.executable" else refused)
        for now_s in (0.0, 0.5, 1.0, 2.5, 3.0):
            worker.pump(now_s)
    assert (worker.starts, worker.running, worker.free_slots) == (3, False, 0)
    assert "shadow trials" in caplog.text
    worker.pump(100.0)
    assert answered(worker, 100.0).error == ""
