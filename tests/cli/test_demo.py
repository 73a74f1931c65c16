"""``frys demo`` as a user starts it."""

import importlib.util
import io
import re
import socket
import subprocess
import sys

import pytest
from rich.console import Console

from gateway.cli.demo import DEFAULTS, open_display
from gateway.cli.exit_code import ExitCode
from gateway.cli.program import run
from gateway.demo.board import Board
from gateway.demo.scene import GatewayUrls, Plan

PAGE = "http://127.0.0.1:8766/"
FULL_SCREEN = "\x1b[?1049h"


def test_it_trains_shows_and_leaves_nothing_behind() -> None:
    options = ["--seconds", "3", "--port", "0", "--admin-port", "0", "--steps-per-second", "50"]
    command = [sys.executable, "-m", "gateway", "demo", *options]
    result = subprocess.run(command, capture_output=True, text=True, timeout=90)
    assert result.stderr == ""
    assert result.returncode == ExitCode.OK
    first, *lines, last = result.stdout.splitlines()
    place = re.fullmatch(r"a gateway on ws://127\.0\.0\.1:(\d+)  \(admin http://127\.0\.0\.1:\d+\)", first)
    assert place is not None
    assert lines
    assert re.match(r"run 1 step \d+  loss \d\.\d+  accuracy \d\d\.\d%  8 streams  \d+ msg/s", lines[-1])
    assert re.fullmatch(r"the demo has ended: [\d,]+ messages of 8 streams, .*, best accuracy \d\d\.\d%", last)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", int(place[1])))


def test_a_port_in_use_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert run(["demo", "--port", str(port), "--seconds", "1"]) == ExitCode.CANNOT_LISTEN
    captured = capsys.readouterr()
    assert captured.err.startswith(f"frys demo: gateway: cannot listen: port {port} on 127.0.0.1: ")
    assert captured.err.endswith(" (choose another --port or --admin-port)\n")
    assert captured.err.count("\n") == 1


@pytest.mark.parametrize("option", ["--port", "--admin-port"])
def test_a_port_that_is_the_default_of_the_other_one_is_taken(option: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other one is as taken as by another program: a free port takes its place."""
    plans: list[Plan] = []

    def play(plan: Plan, open_display: object) -> Board:
        plans.append(plan)
        return Board()

    monkeypatch.setattr("gateway.cli.demo.play", play)
    port = DEFAULTS.admin_port if option == "--port" else DEFAULTS.port
    assert run(["demo", option, str(port)]) == ExitCode.OK
    (plan,) = plans
    assert {plan.port, plan.admin_port} == {port, 0}
    assert plan.replaceable == ({"admin_port"} if option == "--port" else {"port"})


def test_without_scikit_learn(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert run(["demo"]) == ExitCode.FAILURE
    assert capsys.readouterr().err == (
        "frys demo: scikit-learn is not installed; the demo trains on its digits: "
        "run pip install 'frys-gateway[server]'\n"
    )


@pytest.mark.parametrize("no_browser", [False, True])
def test_where_there_is_a_dashboard_it_opens_and_the_view_is_brief(
    no_browser: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr("gateway.cli.demo.open_page", opened.append)
    monkeypatch.setenv("DISPLAY", ":0")
    file = io.StringIO()
    console = Console(file=file, force_terminal=True, width=100, height=30)
    urls = GatewayUrls("ws://127.0.0.1:8765", "http://127.0.0.1:8766", PAGE)
    display = open_display(console, urls, no_browser=no_browser)
    display.show(Board(), 0.0)
    display.close()
    assert opened == ([] if no_browser else [PAGE])
    assert PAGE in file.getvalue()
    assert FULL_SCREEN not in file.getvalue()


def test_without_a_dashboard_the_view_takes_the_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    file = io.StringIO()
    console = Console(file=file, force_terminal=True, width=120, height=30)
    display = open_display(console, GatewayUrls("ws://127.0.0.1:9", None, None), no_browser=False)
    display.show(Board(), 0.0)
    display.close()
    assert FULL_SCREEN in file.getvalue()
    assert "ws://127.0.0.1:9" in file.getvalue()


def test_without_a_terminal_the_address_is_printed_and_nothing_opens(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    opened: list[str] = []
    monkeypatch.setattr("gateway.cli.demo.open_page", opened.append)
    monkeypatch.setenv("DISPLAY", ":0")
    open_display(Console(file=io.StringIO()), GatewayUrls("ws://a:1", "http://a:2", "http://a:2/"), no_browser=False)
    assert capsys.readouterr().out == "a gateway on ws://a:1  (admin http://a:2)\ndashboard http://a:2/\n"
    assert not opened
