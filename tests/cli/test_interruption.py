"""Every signal that asks a command to end does what Ctrl-C does."""

from __future__ import annotations

import asyncio
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
import uvloop

from gateway.cli.exit_code import ExitCode
from gateway.cli.interruption import ENDING, ended_at_once_by_signals, interrupted_by_signals

TIMEOUT_S = 60

IMPORTED = """
import importlib.abc, os, sys
from gateway.cli import main

class Interrupting(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.endswith("core._exceptions"):
            os.kill(os.getpid(), {number})

sys.meta_path.insert(0, Interrupting())
main(["sub", "--help"])
"""


def frys(*arguments: str, before: str = ":") -> subprocess.Popen[str]:
    """A command, behind a command of the shell."""
    command = ["/bin/sh", "-c", f'{before}; exec "$@"', "sh", sys.executable, "-m", "gateway", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("number", ENDING)
def test_a_publish_is_interrupted(number: signal.Signals, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros(3))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"ws://127.0.0.1:{silent.getsockname()[1]}"
        with frys("pub", "wf/x", str(tmp_path / "a.npy"), "--url", url) as process, silent.accept()[0]:
            process.send_signal(number)
            assert process.communicate(timeout=TIMEOUT_S) == ("", "")
    assert process.returncode == ExitCode.INTERRUPTED


def test_a_command_that_ignores_ctrl_c_can_be_ended(url: str) -> None:
    with frys("sub", "none/*", "--url", url, before="trap '' INT") as process:
        assert process.stderr is not None
        assert process.stderr.readline() == "frys sub: subscribed to none/*\n"
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)
        assert "0 messages of 0 streams" in process.communicate(timeout=TIMEOUT_S)[1]
    assert process.returncode == ExitCode.INTERRUPTED


def test_a_demo_that_is_ended_leaves_nothing_behind() -> None:
    """It may still be starting when the signal comes, or have begun."""
    with frys("demo", "--port", "0", "--admin-port", "0") as process:
        command = psutil.Process(process.pid)
        while process.poll() is None and not (children := command.children()):
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=TIMEOUT_S)
    assert process.returncode in (ExitCode.OK, ExitCode.INTERRUPTED)
    assert psutil.wait_procs(children, TIMEOUT_S)[1] == []


@pytest.fixture
def handlers() -> Iterator[None]:
    """Handlers that a process has which was not started by ``nohup`` or ``&``."""
    before = {number: signal.signal(number, signal.SIG_DFL) for number in ENDING}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("handlers")
@pytest.mark.parametrize("number", ENDING)
def test_it_ends_at_once_while_its_modules_are_imported(number: signal.Signals) -> None:
    """A function of numpy in C imports this one, and makes an ImportError of any other error."""
    program = IMPORTED.format(number=int(number))
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=TIMEOUT_S, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (-number, b"", b"")


@pytest.mark.usefixtures("handlers")
def test_handlers_are_those_of_before_again() -> None:
    with interrupted_by_signals(), pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGTERM)
    with ended_at_once_by_signals():
        assert signal.getsignal(signal.SIGINT) is signal.SIG_DFL
    after = [signal.getsignal(number) for number in ENDING]
    assert after == [signal.default_int_handler, signal.SIG_DFL, signal.SIG_DFL]


def test_a_signal_in_the_middle_of_a_callback_ends_the_command() -> None:
    """Transports of uvloop take what a protocol raises for an error of the connection."""

    class Interrupting(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            signal.raise_signal(signal.SIGTERM)

    async def wait(port: int) -> None:
        await asyncio.get_running_loop().create_connection(Interrupting, "127.0.0.1", port)
        await asyncio.Event().wait()

    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        interrupted_by_signals(),
        pytest.raises(asyncio.CancelledError),
    ):
        uvloop.run(wait(silent.getsockname()[1]))


@pytest.mark.usefixtures("handlers")
def test_what_is_ignored_stays_ignored() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with interrupted_by_signals(), ended_at_once_by_signals():
        signal.raise_signal(signal.SIGHUP)
