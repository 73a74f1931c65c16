"""Tests work in threads of its own, also for a loop that goes on when the main thread has ended."""

import subprocess
import sys
import threading

import pytest

from gateway.admin.http.thread import in_thread

AFTER_MAIN = """
import asyncio, threading, time
from gateway.admin.http.thread import in_thread

def work():
    threading.main_thread().join()
    print(asyncio.run(in_thread(int, "7")))

threading.Thread(target=work).start()
"""


async def test_it_returns_the_result_of_another_thread() -> None:
    assert await in_thread(threading.get_ident) != threading.get_ident()
    assert await in_thread(int, "11", base=2) == 3


async def test_it_raises_the_error() -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        await in_thread(int, "x")


def test_it_works_when_the_main_thread_has_ended() -> None:
    ended = subprocess.run([sys.executable, "-c", AFTER_MAIN], capture_output=True, text=True)
    assert (ended.stdout, ended.stderr) == ("7\n", "")
