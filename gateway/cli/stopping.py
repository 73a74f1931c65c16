"""Stopping of ``frys serve``: signals, and the end of the process at the deadline whatever is still at work."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Final

from gateway.cli.exit_code import ExitCode
from gateway.cli.interruption import ENDING
from gateway.server.stopping import MIN_STORING_S
from gateway.streams.store_files import kept_together

logger = logging.getLogger(__name__)

GRACE_S: Final = 0.5
"""Time behind the deadline in which the process ends by itself: a gateway that is in time is not cut off."""


class Stopping:
    """Stop of the gateway of this process.

    Args:
        deadline_s: time that stopping takes at most.
        store_path: file of the gateway's store; ``None``: it has none.

    Attributes:
        wanted: set when the gateway is to stop.
        outcome: exit code of the process, once the gateway has stopped; ``None``: it has not.
    """

    def __init__(self, deadline_s: float, store_path: Path | None) -> None:
        self._deadline_s = deadline_s
        self._store_path = store_path
        self.wanted = asyncio.Event()
        self._has_signal = False
        """Whether a signal has come that asks a program to end; a terminal that closes only tells that it does."""
        self.outcome: ExitCode | None = None

    def listen_for_signals(self) -> None:
        """Stop on SIGTERM, SIGINT and SIGHUP; a SIGHUP that the parent process has ignored (nohup) stays ignored."""
        loop = asyncio.get_running_loop()
        for number in ENDING:
            if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
                loop.add_signal_handler(number, self._signalled, number)

    def begin_for(self, asker: str) -> float:
        """Stop, because an operator has asked for it on the admin port. A second call does nothing.

        Args:
            asker: who that is, for the log.

        Returns:
            the seconds that stopping takes at most.
        """
        self._begin(f"asked by {asker}")
        return self._deadline_s

    def _begin(self, cause: str) -> None:
        if not self.wanted.is_set():
            rule = "a second signal stops at once"
            if not self._has_signal:
                rule = "the next SIGTERM or Ctrl-C changes nothing, and the one after it stops at once"
            logger.info("stopping within %g s (%s); %s", self._deadline_s, cause, rule)
            self.wanted.set()
            # Its own thread, because the loop, or the end of the interpreter, may be what does not come to an end.
            threading.Thread(target=self._watch, name="frys-deadline", daemon=True).start()

    def _signalled(self, number: signal.Signals) -> None:
        if self._has_signal and number != signal.SIGHUP:
            self._end(ExitCode.INTERRUPTED, f"stopped at once by a second signal ({number.name}){self._left()}")
        # A terminal that is closed sends several SIGHUP, and systemd one behind SIGTERM. An operator's hook asks on the
        # admin port, and the orchestrator sends its SIGTERM behind the hook: that is the first one.
        self._has_signal = self._has_signal or number != signal.SIGHUP
        self._begin(number.name)

    def _watch(self) -> None:
        threading.Event().wait(max(self._deadline_s, MIN_STORING_S) + GRACE_S)
        if self.outcome is not None:
            # The gateway has stopped: a thread that encodes would hold up the end of the process.
            self._end(self.outcome)
        problem = f"stopping took longer than {self._deadline_s:g} s and was cut off{self._left()}"
        self._end(ExitCode.INCOMPLETE, problem)

    def _left(self) -> str:
        lost = ": messages that were queued for clients are lost"
        path = self._store_path
        return lost if path is None else f"{lost}; {kept_together(path)}; no acknowledged message is lost"

    def _end(self, code: ExitCode, line: str = "") -> None:
        # Not sys.exit, which waits for the threads that encode. The terminal may be closed.
        with suppress(OSError, ValueError):
            if line:
                print(f"frys serve: {line}", file=sys.stderr)
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)
