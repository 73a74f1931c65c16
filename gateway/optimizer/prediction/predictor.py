"""Predictor: predictions for streams of which some candidates were not tried, asked of a process that has the model.

The gateway never waits for the process, which ends, stands still or fails without anybody's notice but for its counts:
then there are no predictions, and streams are decided by their trials alone.
"""

from __future__ import annotations

import contextlib
import logging
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from gateway.optimizer.child_process import BadMessage, ChildProcess, StartPause
from gateway.optimizer.history.record import ShadowTrial
from gateway.optimizer.prediction.messages import (
    ModelState,
    Prediction,
    PredictionRequest,
    parse_answer,
)
from gateway.optimizer.prediction.stats import PredictionStats
from gateway.protocol.encoding import Chain

logger = logging.getLogger(__name__)

MODULE: Final = "gateway.optimizer.prediction.program"
"""Program of the process."""
MAX_WAITING: Final = 1024
"""Requests that wait for the process; the oldest makes room."""
MAX_UNSENT_BYTES: Final = 256 * 1024
"""Bytes of requests that are made ready for the pipe at once."""
READ_BYTES: Final = 256 * 1024
"""Bytes of answers that are read at once."""
SILENT_S: Final = 5.0
"""Time without an answer from which no predictions are counted on."""
GIVEN_UP_S: Final = 120.0
"""Time after which a process that answers nothing is given up: it loads its libraries when it has the time."""


class Predictor:
    """Predictor of one gateway. Used on the loop's thread, but for :meth:`close`.

    Args:
        directory: that of the traffic history, from which the process learns at its start.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._process: ChildProcess | None = None
        self._pause = StartPause()
        self._waiting: deque[PredictionRequest] = deque(maxlen=MAX_WAITING)
        self._is_awake = False
        self._unsent = b""
        self._asked: set[int] = set()
        """Streams whose predictions have not come yet."""
        self._silent_since_s: float | None = None
        """Time from which on the process has answered nothing of what it was asked."""
        self._is_silent = False
        """Whether that was a while ago."""
        self._state = ModelState(0, 0.0)
        self._past_cpu_s = 0.0
        """CPU time of processes that have ended."""
        self._fits = self._predicted = self._starts = 0

    @property
    def is_ready(self) -> bool:
        """True if there is a model, and its process answers."""
        return self._process is not None and self._state.trials > 0 and not self._is_silent

    def start(self, now_s: float) -> None:
        """Start the process, which does nothing until its first request, unless the one before has not ended yet."""
        if self._process is None and self._pause.is_over(now_s):
            self._start(now_s)

    def wake(self) -> None:
        """Have a model made ready, if that was not done before: there is traffic."""
        if not self._is_awake:
            self._is_awake = True
            self._waiting.append(PredictionRequest())

    def learn(self, trial: ShadowTrial) -> None:
        """Have the process learn from a trial of all candidates."""
        self._waiting.append(PredictionRequest(trial))

    def ask(self, number: int, trial: ShadowTrial, chains: Iterable[Chain]) -> None:
        """Ask for the figures of chains that were not tried on the stream with this id.

        Args:
            number: the id.
            trial: trial of the stream, of probes or of some candidates.
            chains: the chains.
        """
        names = tuple([str(chain) for chain in chains])
        if names:
            self._waiting.append(PredictionRequest(trial, number, names))

    def pump(self, now_s: float) -> list[Prediction]:
        """Send what waits, and return the predictions that have come; never waits for the process.

        Starts one if there is none, and something waits.

        Args:
            now_s: a monotonic time.
        """
        if self._process is None:
            if self._waiting:
                self.start(now_s)
            return []
        status = self._process.poll()
        try:
            answers = self._read()
        except BadMessage as error:
            self._give_up(now_s, f"has written {error}")
            return []
        if answers:
            self._pause.shorten()
            self._silent_since_s = now_s if self._asked else None
        silent_s = 0.0 if self._silent_since_s is None else now_s - self._silent_since_s
        self._is_silent = silent_s >= SILENT_S
        predictions = [answer for answer in answers if isinstance(answer, Prediction)]
        self._predicted += len(predictions)
        if status is not None:
            self._give_up(now_s, f"has ended with status {status}")
        elif silent_s >= GIVEN_UP_S:
            self._give_up(now_s, f"has answered nothing for {GIVEN_UP_S:g} s")
        else:
            self._send(now_s)
        return predictions

    def close(self, timeout_s: float) -> None:
        """End the process, whatever it does; for any thread.

        Args:
            timeout_s: longest time to wait for its end.
        """
        if self._process is not None:
            self._end()
        self._pause.wait_for_end(timeout_s)

    def stats(self) -> PredictionStats:
        """Return the counts as they stand."""
        return PredictionStats(
            model_trials=self._state.trials,
            fits=self._fits,
            cpu_s=self._past_cpu_s + self._state.cpu_s,
            predicted=self._predicted,
            process_starts=self._starts,
            working=self.is_ready,
            failure=self._state.error,
        )

    def _start(self, now_s: float) -> None:
        self._starts += 1
        try:
            self._process = ChildProcess.of_module(MODULE, str(self._directory))
        except OSError as error:
            self._pause.begin(now_s)
            logger.warning("the process of predictions cannot be started: %s", error.strerror)
            return
        self._unsent = b""

    def _read(self) -> list[Prediction | ModelState]:
        """Return what the process has written since."""
        assert self._process is not None
        answers = [parse_answer(line) for line in self._process.read_lines(READ_BYTES)]
        for answer in answers:
            if isinstance(answer, ModelState):
                if answer.error and not self._state.error:
                    logger.warning("no model of encodings could be fitted: %s", answer.error)
                self._fits += not answer.error
                self._state = answer
            elif answer.number in self._asked:
                self._asked.discard(answer.number)
            else:
                raise BadMessage(f"a prediction for stream {answer.number}, which it was not asked for")
        return answers

    def _send(self, now_s: float) -> None:
        """Write as much of what waits as the pipe takes; a stream is asked for once at a time."""
        assert self._process is not None
        parts, size = [self._unsent], len(self._unsent)
        for _ in range(len(self._waiting)):
            if size >= MAX_UNSENT_BYTES:
                break
            request = self._waiting.popleft()
            if request.number in self._asked:
                self._waiting.append(request)
                continue
            parts.append(request.line())
            size += len(parts[-1])
            if request.number is not None:
                self._asked.add(request.number)
                self._silent_since_s = now_s if self._silent_since_s is None else self._silent_since_s
        self._unsent = b"".join(parts)
        with contextlib.suppress(OSError):  # it is full, or the process has ended, as the next look at it will show
            self._unsent = self._unsent[self._process.write(self._unsent) :] if self._unsent else b""

    def _give_up(self, now_s: float, reason: str) -> None:
        """End a process, and let another one come later, which reads the history anew."""
        self._end()
        self._pause.begin(now_s)
        self._waiting.appendleft(PredictionRequest())
        logger.warning("the process of predictions %s; streams are decided by their trials alone", reason)

    def _end(self) -> None:
        process = self._process
        assert process is not None
        self._process = None
        self._asked.clear()
        self._silent_since_s, self._is_silent = None, False
        self._past_cpu_s += self._state.cpu_s
        self._state = ModelState(0, 0.0)
        self._pause.end(process)
