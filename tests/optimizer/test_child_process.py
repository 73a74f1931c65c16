"""Child processes: pipes that nobody waits for, ends, and pauses between starts."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from gateway.optimizer.child_process import FIRST_PAUSE_S, LAST_PAUSE_S, ChildProcess, StartPause

TIMEOUT_S = 30.0
ECHO = "import sys; sys.stdout.buffer.write(sys.stdin.buffer.read()); sys.stdout.flush()"
DEAF = "import time; time.sleep(600)"


@contextmanager
def child(program: str, *arguments: str, env: dict[str, str] | None = None) -> Iterator[ChildProcess]:
    """A process that is ended, and waited for."""
    process = ChildProcess(program, *arguments, env=env)
    try:
        yield process
    finally:
        process.end()
        process.wait_for_end(TIMEOUT_S)


def test_what_is_written_to_it_and_what_it_writes_arrive() -> None:
    with child(ECHO) as process:
        assert process.poll() is None
        with pytest.raises(BlockingIOError):
            process.read(100)
        assert process.write(b"hello") == 5
        process.close_input()
        process.wait_for_end(TIMEOUT_S)
        assert process.poll() == 0
        assert process.read(100) == b"hello"
        assert process.read(100) == b""


def test_it_has_its_arguments_and_its_environment() -> None:
    program = "import os, sys; print(sys.argv[1:], os.environ['LANE'])"
    with child(program, "a", "b", env=os.environ | {"LANE": "left"}) as process:
        process.wait_for_end(TIMEOUT_S)
        assert process.read(100) == b"['a', 'b'] left\n"


def test_nothing_of_the_working_directory_comes_in_the_place_of_a_module() -> None:
    with child("import sys; print('' in sys.path)") as process:
        process.wait_for_end(TIMEOUT_S)
        assert process.read(100) == b"False\n"


def test_a_process_that_takes_nothing_is_not_waited_for() -> None:
    with child(DEAF) as process:
        assert process.wait_until_it_takes(TIMEOUT_S)
        while process.wait_until_it_takes(0.0):
            process.write(bytes(1 << 20))
        with pytest.raises(BlockingIOError):
            process.write(b"x")
        assert not process.wait_until_it_takes(0.0)
        process.wait_for_end(-1.0)
        assert process.poll() is None


def test_one_that_runs_is_killed_by_its_end_and_one_that_has_ended_is_left_alone() -> None:
    with child(DEAF) as process:
        process.end()
        process.wait_for_end(TIMEOUT_S)
        assert process.poll() == -signal.SIGKILL
    with child("raise SystemExit(3)") as process:
        process.wait_for_end(TIMEOUT_S)
        process.end()
        assert process.poll() == 3


def test_it_keeps_the_descriptors_that_it_is_passed() -> None:
    reading, writing = os.pipe()
    with closing(os.fdopen(reading, "rb")) as pipe:
        process = ChildProcess("import os, sys; os.write(int(sys.argv[1]), b'here')", str(writing), pass_fds=[writing])
        os.close(writing)
        assert pipe.read() == b"here"
        process.end()
        process.wait_for_end(TIMEOUT_S)


def test_a_pause_doubles_up_to_a_bound_until_the_process_does_its_work() -> None:
    pause = StartPause()
    assert pause.is_over(0.0)
    now_s, length_s = 0.0, FIRST_PAUSE_S
    for _ in range(10):
        pause.begin(now_s)
        assert not pause.is_over(now_s + 0.99 * length_s)
        assert pause.is_over(now_s + length_s)
        now_s, length_s = now_s + length_s, min(2 * length_s, LAST_PAUSE_S)
    pause.shorten()
    pause.begin(now_s)
    assert pause.is_over(now_s + FIRST_PAUSE_S)


def test_a_module_is_run_with_its_arguments_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "spoken.py").write_text("import sys\ndef main(): print(__name__, sys.argv[-1])\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    process = ChildProcess.of_module("spoken", "word")
    process.wait_for_end(TIMEOUT_S)
    assert process.read(100) == b"spoken word\n"
    process.end()


def test_lines_are_read_as_they_are_ended() -> None:
    with child("print('one'); print('two'); print('thr', end='')") as process:
        process.wait_for_end(TIMEOUT_S)
        assert process.read_lines(6) == [b"one"]
        assert process.read_lines(100) == [b"two"]
        assert process.read_lines(100) == []


def test_another_one_has_its_place_once_the_one_before_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    pause = StartPause()
    with child(DEAF) as process:
        with monkeypatch.context() as patch:
            patch.setattr("subprocess.Popen.kill", lambda killed: None)
            pause.end(process)
        had_place = pause.has_place
        assert not pause.is_over(LAST_PAUSE_S)
        process.end()
        pause.wait_for_end(TIMEOUT_S)
        assert (had_place, pause.has_place) == (False, True)
        assert pause.is_over(0.0)
