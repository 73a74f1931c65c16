"""``frys top`` against a real gateway, on a real terminal."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from gateway.cli.exit_code import ExitCode
from gateway.cli.program import run
from gateway.client import sync
from tests.free_ports import free_port


class Terminal:
    """A terminal of 80 by 24 with one command on it."""

    def __init__(self, process: subprocess.Popen[bytes], descriptor: int) -> None:
        self.process = process
        self._descriptor = descriptor
        self._shown = ""

    def until(self, pattern: str) -> str:
        """Read until the command has written this since the last call; all that it has written."""
        while not re.search(pattern, self._shown):
            data = os.read(self._descriptor, 1 << 16)
            self._shown += re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", data.decode(errors="replace"))
        shown, self._shown = self._shown, ""
        return shown

    def press(self, key: str) -> None:
        os.write(self._descriptor, key.encode())

    def rest(self) -> int:
        """Read to the end; the exit code."""
        try:
            while os.read(self._descriptor, 1 << 16):
                pass
        except OSError:  # no process has the terminal any more
            pass
        return self.process.wait()


@contextmanager
def top_on_terminal(*arguments: str) -> Iterator[Terminal]:
    ours, theirs = pty.openpty()
    environment = os.environ | {"TERM": "xterm-256color", "COLUMNS": "80", "LINES": "24"}
    command = [sys.executable, "-m", "gateway", "top", *arguments]
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment) as process:
        os.close(theirs)
        try:
            yield Terminal(process, ours)
        finally:
            process.kill()
            os.close(ours)


def test_one_frame_as_text(url: str, admin_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    with sync.connect(url, client_type="workflow", client_id="boss") as client:
        client.publish("top/weights", np.zeros(10))
        with client.subscribe("top/*") as messages:
            next(iter(messages))
            assert run(["top", "--admin", admin_url, "--interval", "0.5", "--once"]) == ExitCode.OK
    captured = capsys.readouterr()
    lines = captured.out.splitlines()
    assert lines[0].split()[:3] == ["frys", "top", admin_url]
    assert "1 workflow" in lines[1]
    assert re.search(r"in \d.* msg/s .*out ", lines[2])
    (row,) = [line for line in lines if line.startswith("top/weights")]
    assert row.split()[1:3] == ["state", "0"]
    assert not [line for line in lines if line != line.rstrip()]
    assert ("\x1b" in captured.out, captured.err) == (False, "")


def test_stdout_that_is_no_terminal_gets_one_frame(admin_url: str) -> None:
    command = [sys.executable, "-m", "gateway", "top", "--admin", admin_url, "--interval", "0.5"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f" frys top   {admin_url}")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--admin", "{closed}", "--once"], ExitCode.CANNOT_CONNECT, "Connection refused: does a gateway run there"),
        (
            ["--admin", "{url}", "--once"],
            ExitCode.REFUSED,
            "/api/v1/summary: the answer is 426 Upgrade Required: This port",
        ),
        (
            ["--admin", "{url}", "--once"],
            ExitCode.REFUSED,
            "are on the admin port: 8766, unless frys serve has another",
        ),
        (["--admin", "{url}", "--once"], ExitCode.REFUSED, "is this its admin port (--admin-port of frys serve)?"),
        (["--admin", "8766"], ExitCode.USAGE, "is not http://host:port"),
        (["--interval", "0.1"], ExitCode.USAGE, "0.1"),
        (["--sort", "size"], ExitCode.USAGE, "messages_per_s"),
    ],
)
def test_failures(
    url: str, capsys: pytest.CaptureFixture[str], arguments: list[str], code: ExitCode, words: str
) -> None:
    named = {"closed": f"http://127.0.0.1:{free_port()}", "url": url.replace("ws:", "http:")}
    assert run(["top", *[argument.format(**named) for argument in arguments]]) == code
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("frys top: ")
    assert words in line


def test_the_screen_until_q(admin_url: str) -> None:
    with top_on_terminal("--admin", admin_url, "--interval", "0.5") as terminal:
        assert "q quits" in terminal.until(r"in - msg/s[\s\S]*q quits")
        terminal.until(r"in \d")
        terminal.press("b")
        terminal.until(r"in \d")
        terminal.press("q")
        assert terminal.rest() == ExitCode.OK


def test_ctrl_c_leaves_as_well(admin_url: str) -> None:
    with top_on_terminal("--admin", admin_url) as terminal:
        terminal.until(r"q quits")
        terminal.process.send_signal(2)
        assert terminal.rest() == ExitCode.INTERRUPTED


def test_a_gateway_that_is_away_is_tried_again() -> None:
    with top_on_terminal("--admin", f"http://127.0.0.1:{free_port()}", "--interval", "0.5") as terminal:
        for _ in range(2):
            terminal.until(r"trying again")
        terminal.press("q")
        assert terminal.rest() == ExitCode.OK
