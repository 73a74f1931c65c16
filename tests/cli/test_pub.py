"""``frys pub`` against a real gateway."""

import io
import re
import subprocess
import sys
from pathlib import Path

import click
import numpy as np
import pytest

from gateway.cli.exit_code import ExitCode
from gateway.cli.program import run
from gateway.cli.pub import nbytes_of, parse_headers, summary
from gateway.client import TransmissionResult
from gateway.client.sync import connect
from gateway.ids import Epoch, Offset
from gateway.protocol.durability import Durability


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "a.npy"
    np.save(path, np.arange(200_000, dtype=np.int64))
    return str(path)


def test_it_publishes_a_file(url: str, file: str, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--codec", "shuffle+lz4", "--header", "step=7", "--header", "by=me", "--client-id", "me"]
    assert run(["pub", "pub/weights", file, "--url", url, *options]) == ExitCode.OK
    captured = capsys.readouterr()
    assert re.fullmatch(
        r"pub/weights offset 0: 1\.6 MB sent as \S+ kB \(ratio \d+\.\d\d\), \S+ MB/s, latency .*, quality \d\.\d\d,"
        r" memory\n",
        captured.out,
    )
    assert captured.err == ""
    with connect(url) as client, client.subscribe("pub/weights") as messages:
        message = next(iter(messages))
    np.testing.assert_array_equal(message.tensor, np.arange(200_000))
    assert message.headers == {"step": 7, "by": "me"}


def test_it_publishes_standard_input(url: str) -> None:
    array = io.BytesIO()
    np.save(array, np.eye(3))
    command = [sys.executable, "-m", "gateway", "pub", "pub/stdin", "-", "--kind", "event", "--url", url]
    result = subprocess.run(command, input=array.getvalue(), capture_output=True, timeout=60)
    assert result.returncode == ExitCode.OK
    assert result.stdout.startswith(b"pub/stdin offset 0: 72 bytes")


def test_a_refusal_is_one_line(url: str, file: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["pub", "pub/kind", file, "--url", url]) == ExitCode.OK
    assert run(["pub", "pub/kind", file, "--kind", "event", "--url", url]) == ExitCode.REFUSED
    captured = capsys.readouterr()
    assert captured.err == (
        "frys pub: stream pub/kind is of kind state, not event: publish with kind state, or to another stream,"
        " or delete this one first (frys rm pub/kind)"
        " (KIND_MISMATCH, code 5203)\n"
    )


@pytest.mark.parametrize(
    ("stream", "options", "code"),
    [
        ("pub/x", ["--url", "ws://127.0.0.1:1"], ExitCode.CANNOT_CONNECT),
        ("pub/x", ["--url", "http://127.0.0.1"], ExitCode.USAGE),
        ("pub", [], ExitCode.USAGE),
        ("pub/x", ["--codec", "bogus"], ExitCode.USAGE),
        ("pub/x", ["--header", "step"], ExitCode.USAGE),
    ],
    ids=["nobody there", "no WebSocket", "name", "codec", "header"],
)
def test_an_error_is_one_line(
    url: str, file: str, stream: str, options: list[str], code: ExitCode, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["pub", stream, file, "--url", url, *options]) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("frys pub: ")
    assert captured.err.count("\n") == 1


def test_a_bad_file_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["pub", "pub/x", str(tmp_path / "none.npy")]) == ExitCode.FAILURE
    assert run(["pub", "pub/x", str(tmp_path)]) == ExitCode.FAILURE
    lines = capsys.readouterr().err.splitlines()
    assert [line.rpartition(": ")[2] for line in lines] == ["No such file or directory", "Is a directory"]


def test_headers() -> None:
    assert parse_headers(["a=1", "b=[true, null]", "c=text", 'd="7"', "e=x=y", "f="]) == {
        "a": 1,
        "b": [True, None],
        "c": "text",
        "d": "7",
        "e": "x=y",
        "f": "",
    }
    for bad in ("a", "=1"):
        with pytest.raises(click.BadParameter, match="is not of the form NAME=VALUE"):
            parse_headers([bad])


def test_summary() -> None:
    result = TransmissionResult(Offset(3), Epoch(1), 1_000_000, 2.0, 0.01, 0.5, Durability.OS)
    assert summary(result, 2_000_000) == (
        "offset 3: 2.0 MB sent as 1.0 MB (ratio 2.00), 200.0 MB/s, latency 10.00 ms, quality 0.50, os"
    )
    small = TransmissionResult(Offset(3), Epoch(1), 104, 2978.91, 0.01, 0.5, Durability.OS)
    assert "65.5 kB sent as 104 bytes (ratio 630.15)" in summary(small, 65_536)
    assert nbytes_of({"w": np.zeros(3), "b": np.zeros(1)}) == nbytes_of(np.zeros(4)) == 32
