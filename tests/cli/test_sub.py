"""``frys sub`` against a real gateway."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from gateway.cli.exit_code import ExitCode
from gateway.cli.program import run
from gateway.client.sync import connect
from gateway.testing import running_gateway_process


@pytest.fixture(scope="module")
def pattern(url: str) -> str:
    """Two streams with state that every late joiner gets."""
    with connect(url) as client:
        client.publish("sub/a", np.arange(6, dtype=np.float32).reshape(2, 3), headers={"step": 7})
        client.publish("sub/b", {"w": np.ones(3), "b": np.zeros(1)})
    return "sub/*"


def sub_process(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "gateway", "sub", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_lines(url: str, pattern: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["sub", pattern, "--count", "2", "--url", url]) == ExitCode.OK
    captured = capsys.readouterr()
    first, second = sorted(captured.out.splitlines())
    assert first.startswith("sub/a  offset 0  float32[2, 3]  24 bytes  latency ")
    assert first.endswith('  {"step":7}')
    assert second.startswith("sub/b  offset 0  w float64[3] + b float64[1]  ")
    assert "\x1b" not in captured.out
    said = captured.err.splitlines()
    assert said[0] == "frys sub: subscribed to sub/*"
    assert said[1].startswith("frys sub: 2 messages of 2 streams, ")


def test_json_and_files(url: str, pattern: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["sub", "sub/a", "--count", "1", "--json", "--save", str(tmp_path / "new"), "--url", url]) == ExitCode.OK
    shown = json.loads(capsys.readouterr().out)
    assert (shown["stream"], shown["headers"], shown["tensors"][0]["shape"]) == ("sub/a", {"step": 7}, [2, 3])
    np.testing.assert_array_equal(np.load(shown["saved"]), np.arange(6, dtype=np.float32).reshape(2, 3))


def test_a_view(url: str, pattern: str, capsys: pytest.CaptureFixture[str]) -> None:
    asked = [
        "sub",
        "sub/a",
        "--view",
        ":, ::2",
        "--dtype",
        "uint8",
        "--max-rate-hz",
        "10",
        "--count",
        "1",
        "--url",
        url,
    ]
    assert run([*asked, "--json"]) == ExitCode.OK
    shown = json.loads(capsys.readouterr().out)
    assert shown["tensors"] == [{"name": "", "dtype": "uint8", "shape": [2, 2]}]
    assert shown["quantized"] == {"dtype": "float32", "scale": 5 / 255, "zero_point": 0.0}
    assert run(asked) == ExitCode.OK
    assert capsys.readouterr().out.startswith("sub/a  offset 0  uint8[2, 2]  scale 0.0196  4 bytes")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["w**"], ExitCode.USAGE),
        (["sub/a", "--url", "ws://127.0.0.1:1"], ExitCode.CANNOT_CONNECT),
        (["sub/a", "--count", "0"], ExitCode.USAGE),
        (["sub/a", "--view", "a:b"], ExitCode.USAGE),
        (["sub/a", "--view", "0, 0, 0"], ExitCode.REFUSED),
    ],
    ids=["pattern", "nobody there", "count", "slice", "view that does not fit"],
)
def test_an_error_is_one_line(
    url: str, arguments: list[str], code: ExitCode, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["sub", "--url", url, *arguments]) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("frys sub: ")
    assert captured.err.count("\n") == 1


def test_a_directory_that_cannot_be_is_one_line(
    url: str, pattern: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "sub").write_text("a file where a directory should be")
    assert run(["sub", pattern, "--count", "1", "--save", str(tmp_path), "--url", url]) == ExitCode.FAILURE
    assert "sub: File exists" in capsys.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_lost_gateway_is_told_and_a_signal_ends_with_the_summary(number: signal.Signals) -> None:
    with running_gateway_process("--no-admin") as gateway, sub_process("none/*", "--url", gateway.url) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == "frys sub: subscribed to none/*\n"
        gateway.process.terminate()
        assert process.stderr.readline() == "frys sub: the connection was lost: reconnecting\n"
        process.send_signal(number)
        out, errors = process.communicate(timeout=20)
        assert out == ""
        assert errors.startswith("frys sub: 0 messages of 0 streams, 0 bytes in ")
        assert errors.count("\n") == 1
        assert process.returncode == ExitCode.INTERRUPTED


def test_it_ends_when_nobody_reads_its_lines_any_more(url: str) -> None:
    with sub_process("none/*", "--url", url) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stderr.readline() == "frys sub: subscribed to none/*\n"
        process.stdout.close()
        assert process.stderr.read().startswith("frys sub: 0 messages of 0 streams, ")
        assert process.wait() == 1


def test_another_program_with_the_same_id_ends_it_with_one_line(url: str) -> None:
    with sub_process("none/*", "--client-id", "watcher", "--url", url) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == "frys sub: subscribed to none/*\n"
        with connect(url, client_id="watcher"):
            _, errors = process.communicate(timeout=20)
    told = [line for line in errors.splitlines() if "watcher" in line]
    assert len(told) == 1, errors
    assert "give each client an id of its own, or end one of them (SUPERSEDED, code 4204)" in told[0]
    assert process.returncode == ExitCode.REFUSED


def test_a_reader_that_leaves_is_no_error(url: str, pattern: str) -> None:
    with sub_process(pattern, "--url", url) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() != ""
        process.stdout.close()
        with connect(url) as client:
            while process.poll() is None:
                client.publish("sub/c", np.zeros(1), kind="event")
        assert "Traceback" not in process.stderr.read()
