"""How messages are shown, with and without a terminal."""

import io
import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from gateway.cli.printer import MAX_HELD_LINES, LinePrinter, TerminalPrinter, json_of, line_of
from gateway.protocol.tensors import Array
from tests.cli.messages import PUBLISHED_NS, message


def test_a_line() -> None:
    line = line_of(message(headers={"step": 7}), Path("x.npy"))
    assert line == 'wf/x  offset 7  float32[2, 3]  24 bytes  latency 2.00 ms  {"step":7}  saved to x.npy'


def test_a_line_holds_nothing_that_steers_a_terminal() -> None:
    assert line_of(message(headers={"a\x1b[2J": "\x9b31m\n"}), None).isprintable()


def test_json() -> None:
    tensors: dict[str, Array] = {"w": np.zeros((2, 2), np.int8), "b": np.zeros(3, np.float64)}
    shown = json.loads(json_of(message(tensors=tensors, headers={"a": [1]}), Path("x.npz")))
    assert shown == {
        "stream": "wf/x",
        "kind": "state",
        "epoch": 1,
        "offset": 7,
        "timestamp_ns": PUBLISHED_NS,
        "latency_s": 0.002,
        "bytes": 32,
        "tensors": [
            {"name": "w", "dtype": "int8", "shape": [2, 2]},
            {"name": "b", "dtype": "float64", "shape": [3]},
        ],
        "headers": {"a": [1]},
        "saved": "x.npz",
    }


@pytest.mark.parametrize("as_json", [False, True])
def test_plain_lines(as_json: bool, capsys: pytest.CaptureFixture[str]) -> None:
    printer = LinePrinter(as_json=as_json)
    printer.progress("wf/x", 1, 2)
    printer.message(message(), None, more=True)
    printer.tick("a status")
    printer.message(message(offset=8), None, more=False)
    printer.close()
    lines = capsys.readouterr().out.splitlines()
    expected = (json_of if as_json else line_of)(message(), None)
    assert lines[0] == expected
    assert len(lines) == 2


def test_lines_that_nobody_reads_are_noticed_without_a_message(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    with open(writing, "w") as output:
        monkeypatch.setattr(sys, "stdout", output)
        printer = LinePrinter(as_json=False)
        printer.tick("a status")
        os.close(reading)
        with pytest.raises(BrokenPipeError):
            printer.tick("a status")


def terminal() -> Console:
    return Console(file=io.StringIO(), force_terminal=True, width=80, height=20)


def written(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_terminal_has_lines_status_and_bars() -> None:
    console = terminal()
    printer = TerminalPrinter(console)
    printer.message(message(headers={"long": "x" * 200}), None, more=False)
    printer.progress("wf/large", 1_000_000, 4_000_000)
    printer.progress("wf/large", 2_000_000, 4_000_000)
    printer.tick("5 msg/s")
    shown = written(console)
    assert "offset 7" in shown
    assert "x" * 80 not in shown
    assert "2.0/4.0 MB" in shown
    assert "5 msg/s" in shown
    printer.progress("wf/large", 4_000_000, 4_000_000)
    printer.tick("6 msg/s")
    assert "4.0/4.0 MB" not in written(console)
    printer.close()


def test_a_terminal_is_given_what_is_held_back() -> None:
    console = terminal()
    printer = TerminalPrinter(console)
    for offset in range(MAX_HELD_LINES):
        printer.message(message(offset=offset), None, more=True)
    assert f"offset {MAX_HELD_LINES - 1}" in written(console)
    printer.message(message(offset=9999), None, more=False)
    printer.close()
    assert "offset 9999" in written(console)
