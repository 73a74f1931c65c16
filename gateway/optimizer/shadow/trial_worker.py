"""Worker of shadow trials, as the gateway sees it: a process that is asked by a pipe, and slots for its samples.

The gateway never waits for the process. One that ends, or answers nothing for long, is replaced by another one, and its
samples are lost with its memory.
"""

from __future__ import annotations

import contextlib
import logging
import os
from dataclasses import dataclass
from typing import Final

from gateway.optimizer.child_process import STALLED_S, BadMessage, ChildProcess, StartPause
from gateway.optimizer.shadow.sample_memory import SLOTS, SampleMemory
from gateway.optimizer.shadow.trial_messages import MAX_LINE_BYTES, TrialAnswer, TrialRequest

logger = logging.getLogger(__name__)

MODULE: Final = "gateway.optimizer.shadow.worker"
"""Program of the process."""
SILENT_S: Final = 5.0
"""Time without an answer from which the process does not count as working; a trial takes some 10 ms."""


@dataclass(frozen=True, slots=True)
class SampleSlot:
    """Slot that was taken for a sample."""

    memory: SampleMemory
    """Memory that it belongs to."""
    number: int
    """Number of the slot."""


class TrialWorker:
    """Process with the slots of its samples. Used on the loop's thread, but for :meth:`close`.

    Attributes:
        starts: number of times that a process was started.
    """

    def __init__(self) -> None:
        self._process: ChildProcess | None = None
        self._memory: SampleMemory | None = None
        self._taken: set[int] = set()
        self._asked: dict[int, float] = {}
        """Slots whose samples are with the process, with the time at which that was asked."""
        self._answered_s = 0.0
        self._pause = StartPause()
        self.starts = 0

    @property
    def running(self) -> bool:
        """True if there is a process."""
        return self._process is not None

    @property
    def free_slots(self) -> int:
        """Slots that can be taken."""
        return 0 if self._memory is None else SLOTS - len(self._taken)

    def take_slot(self) -> SampleSlot | None:
        """Return a slot for a sample; ``None``: there is none."""
        if self._memory is None:
            return None
        number = next((each for each in range(SLOTS) if each not in self._taken), None)
        if number is None:
            return None
        self._taken.add(number)
        return SampleSlot(self._memory, number)

    def give_back(self, slot: SampleSlot) -> None:
        """Return a slot whose sample is not to be tried; nothing of it stays."""
        slot.memory.clear(slot.number)
        if slot.memory is self._memory:
            self._taken.discard(slot.number)

    def ask(self, slot: SampleSlot, request: TrialRequest, now_s: float) -> bool:
        """Ask the process; return whether it is there, and the request short enough. Otherwise the slot is returned.

        Args:
            slot: has the sample.
            request: what to try.
            now_s: a monotonic time.
        """
        line = request.line()
        if slot.memory is self._memory and len(line) <= MAX_LINE_BYTES:
            assert self._process is not None
            with contextlib.suppress(OSError):  # it has ended, as the next look at it will show
                self._process.write(line)
                self._asked[slot.number] = now_s
                return True
        self.give_back(slot)
        return False

    def has(self, slot: SampleSlot) -> bool:
        """Return whether the sample of a slot is with the process."""
        return slot.memory is self._memory and slot.number in self._asked

    def pump(self, now_s: float) -> list[TrialAnswer]:
        """Return the answers that have come; never waits for the process.

        Starts one if there is none, and the one before has ended.

        Args:
            now_s: a monotonic time.
        """
        if self._process is None:
            if self._pause.is_over(now_s):
                self._start(now_s)
            return []
        status = self._process.poll()
        try:
            answers = self._read()
        except BadMessage as error:
            self._give_up(now_s, f"has written {error}")
            return []
        if answers:
            self._pause.shorten()
            self._answered_s = now_s
        if status is not None:
            self._give_up(now_s, f"has ended with status {status}")
        elif self._silent_s(now_s) >= STALLED_S:
            self._give_up(now_s, f"has answered nothing for {STALLED_S:g} s")
        return answers

    def fault(self, now_s: float) -> str:
        """Return what the process does instead of its work, for people; empty: nothing is known.

        Args:
            now_s: a monotonic time.
        """
        if self._process is None:
            return "does not run"
        return f"has answered nothing for {SILENT_S:g} s" if self._silent_s(now_s) >= SILENT_S else ""

    def close(self, timeout_s: float) -> None:
        """End the process, whatever it does; for any thread.

        Args:
            timeout_s: longest time to wait for its end.
        """
        if self._process is not None:
            self._end()
        self._pause.wait_for_end(timeout_s)

    def _start(self, now_s: float) -> None:
        self.starts += 1
        try:
            memory = SampleMemory()
        except (OSError, AttributeError) as error:  # a system other than Linux has no such memory
            self._pause.begin(now_s)
            logger.warning("there is no memory for samples, so there are no shadow trials: %s", error)
            return
        try:
            process = ChildProcess.of_module(MODULE, str(memory.descriptor), pass_fds=[memory.descriptor])
        except OSError as error:
            memory.close()
            self._pause.begin(now_s)
            logger.warning("the process of shadow trials cannot be started: %s", error.strerror)
            return
        finally:
            os.close(memory.descriptor)
        self._process, self._memory = process, memory

    def _read(self) -> list[TrialAnswer]:
        """Return the answers that have come, and free their slots."""
        assert self._process is not None
        answers = [TrialAnswer.parse(line) for line in self._process.read_lines((1 + SLOTS) * MAX_LINE_BYTES)]
        for answer in answers:
            if self._asked.pop(answer.slot, None) is None:
                raise BadMessage(f"an answer for slot {answer.slot}, which it was not asked for")
            self._taken.discard(answer.slot)
        return answers

    def _silent_s(self, now_s: float) -> float:
        """Return for how long the process has answered nothing that it was asked."""
        return now_s - max(self._answered_s, min(self._asked.values())) if self._asked else 0.0

    def _give_up(self, now_s: float, reason: str) -> None:
        """End a process, and let another one come later."""
        lost = len(self._asked)
        self._end()
        self._pause.begin(now_s)
        logger.warning("the process of shadow trials %s; %d samples are lost", reason, lost)

    def _end(self) -> None:
        process = self._process
        assert process is not None
        assert self._memory is not None
        self._memory.close()
        self._process = self._memory = None
        self._taken.clear()
        self._asked.clear()
        self._pause.end(process)
