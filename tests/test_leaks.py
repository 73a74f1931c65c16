"""A test that leaves a task, a thread, a socket or a file behind fails, and is told which."""

from pathlib import Path

import pytest

from tests.inner_run import run_pytest

LEAKY = """
import asyncio
import socket
import threading

import pytest

from gateway.client.owner import Owner
from tests import leaks

leaks.THREAD_TIMEOUT_S = 0.1
kept = []
stop = threading.Event()


async def wait():
    await asyncio.Event().wait()


async def test_task():
    kept.append(asyncio.ensure_future(wait()))


async def test_task_of_a_client():
    Owner(asyncio.get_running_loop()).start(wait())


async def test_cancelled_task():
    asyncio.ensure_future(wait()).cancel()


def test_socket():
    kept.append(socket.create_server(("127.0.0.1", 0)))


def test_file(tmp_path):
    kept.append((tmp_path / "left-open.txt").open("w"))


def test_thread():
    threading.Thread(target=stop.wait, name="left-running", daemon=True).start()


@pytest.fixture(scope="module")
def closed():
    with socket.create_server(("127.0.0.1", 0)):
        yield


@pytest.fixture(scope="module")
def left():
    kept.append(socket.create_server(("127.0.0.1", 0)))


def test_two_fixtures_begin(closed, left):
    pass


def test_two_fixtures_end(closed, left):
    pass
"""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What pytest says of the tests above."""
    return run_pytest(tmp_path_factory.mktemp("leaky"), LEAKY, "-p", "tests.leaks")


@pytest.mark.parametrize(
    ("test", "words"),
    [
        ("test_task", "coro=<wait() running at"),
        ("test_task_of_a_client", "coro=<wait() running at"),
        ("test_socket", "socket ('127.0.0.1',"),
        ("test_file", "left-open.txt"),
        ("test_thread", "thread 'left-running'"),
        ("test_two_fixtures_end", "socket ('127.0.0.1',"),
    ],
)
@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="what a descriptor is can be read on Linux only")
def test_what_is_left_is_named_with_its_test(report: str, test: str, words: str) -> None:
    _, _, behind = report.partition(f" ERROR at teardown of {test} ")
    assert words in behind.partition(" ERROR at teardown of ")[0]


def test_what_is_ended_or_lives_on_with_its_fixture_is_no_leak(report: str) -> None:
    assert "8 passed, 6 errors" in report
