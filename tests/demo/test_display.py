"""Where the demo is shown."""

import io

import pytest
from rich.console import Console

from gateway.demo.board import Board
from gateway.demo.display import LineDisplay, TerminalDisplay


def test_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    display = LineDisplay()
    display.show(Board(), 0.0)
    display.close()
    assert capsys.readouterr().out == Board().summary(0.0) + "\n"


def test_a_terminal_is_left_as_it_was() -> None:
    file = io.StringIO()
    display = TerminalDisplay(
        Console(file=file, force_terminal=True, width=100, height=30),
        lambda board, now_s: "a picture",
        is_full_screen=True,
    )
    display.show(Board(), 0.0)
    assert "a picture" in file.getvalue()
    display.close()
    entered, left = file.getvalue().rfind("\x1b[?1049h"), file.getvalue().rfind("\x1b[?1049l")
    assert 0 <= entered < left
    assert file.getvalue().rfind("\x1b[?25l") < file.getvalue().rfind("\x1b[?25h")


def test_some_lines_leave_the_rest_of_the_terminal_alone() -> None:
    file = io.StringIO()
    console = Console(file=file, force_terminal=True, width=100, height=30)
    display = TerminalDisplay(console, lambda board, now_s: "a picture", is_full_screen=False)
    display.show(Board(), 0.0)
    display.close()
    assert "a picture" in file.getvalue()
    assert "\x1b[?1049h" not in file.getvalue()
    assert file.getvalue().rfind("\x1b[?25l") < file.getvalue().rfind("\x1b[?25h")
