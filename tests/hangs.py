"""Plugin of pytest that says of a test which hangs what its threads and tasks wait for, and its name as the last line.

The main thread of a test on uvloop says nothing of what the test waits for, and a log is often cut to its end. A worker
says it on standard error; the last line of a run with workers is that of :mod:`tests.workers`.
"""

import asyncio
import gc
import os
import sys
import threading
import traceback
from collections.abc import Iterator
from types import FrameType
from typing import Final

import pytest
import pytest_timeout
import xdist
from _pytest.config import create_terminal_writer

TIMER: Final = pytest.StashKey[threading.Timer]()

EXIT_CODE: Final = 1
"""Exit code of a run that a hanging test ends, since nothing can stop a thread that hangs."""


@pytest.hookimpl(tryfirst=True)
def pytest_timeout_set_timer(item: pytest.Item, settings: pytest_timeout.Settings) -> bool:
    """Start the timer of one test."""
    timer = threading.Timer(settings.timeout, end_run, (item, settings))
    timer.name = f"timeout of {item.nodeid}"
    item.stash[TIMER] = timer
    timer.start()
    return True


@pytest.hookimpl(tryfirst=True)
def pytest_timeout_cancel_timer(item: pytest.Item) -> bool:
    """Stop the timer of a test that has ended."""
    timer = item.stash.get(TIMER, None)
    if timer is not None:
        timer.cancel()
        timer.join()
    return True


def end_run(item: pytest.Item, settings: pytest_timeout.Settings) -> None:
    """Write what is known of a test that did not end in time, and end the run, unless somebody debugs it."""
    if not settings.disable_debugger_detection and pytest_timeout.is_debugging():
        return
    terminal = (
        create_terminal_writer(item.config, sys.__stderr__)
        if xdist.is_xdist_worker(item.session)
        else item.config.get_terminal_writer()
    )
    try:
        capture = item.config.pluginmanager.getplugin("capturemanager")
        if capture is not None:
            capture.suspend_global_capture(item)
            for name, text in zip(("stdout", "stderr"), capture.read_global_capture(), strict=True):
                terminal.sep("~", title=f"Captured {name}")
                terminal.write(text)
        pytest_timeout.dump_stacks(terminal)
        for task in waiting_tasks():
            terminal.sep("~", title=f"Task {task.get_name()}")
            terminal.write("".join(traceback.format_list(stack_of(task))))
        terminal.line()
    except Exception:  # noqa: BLE001  # the run ends whatever happens, and its last line names the test
        traceback.print_exc()
    finally:
        terminal.line(f"Timeout: {item.nodeid} did not end within {settings.timeout:g} s")
        terminal.flush()
        os._exit(EXIT_CODE)


def waiting_tasks() -> list[asyncio.Task[object]]:
    """List the tasks of all event loops that have not ended."""
    return [thing for thing in gc.get_objects() if isinstance(thing, asyncio.Task) and not thing.done()]


def stack_of(task: asyncio.Task[object]) -> traceback.StackSummary:
    """Extract the lines at which a task and the coroutines that it awaits stand, outermost first."""
    return traceback.StackSummary.extract((frame, frame.f_lineno) for frame in frames_of(task.get_coro()))


def frames_of(awaited: object) -> Iterator[FrameType]:
    """Walk along what a coroutine awaits, to its innermost frame."""
    while awaited is not None:
        frame = getattr(awaited, "cr_frame", None) or getattr(awaited, "gi_frame", None)
        if frame is None:
            return
        yield frame
        awaited = getattr(awaited, "cr_await", None) or getattr(awaited, "gi_yieldfrom", None)
