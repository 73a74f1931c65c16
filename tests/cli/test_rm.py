"""``frys rm`` against a real gateway."""

import subprocess
import sys

import pytest

from gateway.cli.exit_code import ExitCode
from gateway.cli.program import run
from gateway.client.sync import connect


def test_it_deletes_streams_and_prints_their_names(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    with connect(url) as client:
        for name in ("rm-1/a", "rm-1/b", "rm-2/a", "rm-3/a"):
            client.publish(name, 1)
    assert run(["rm", "rm-2/a", "rm-1/*", "--url", url]) == ExitCode.OK
    captured = capsys.readouterr()
    assert captured.out.split() == ["rm-2/a", "rm-1/a", "rm-1/b"]
    assert captured.err == ""
    with connect(url) as client:
        assert client.delete("rm-3/*") == ["rm-3/a"]
        assert client.publish("rm-1/a", 1).offset == 0


@pytest.mark.parametrize(
    ("pattern", "code", "words"),
    [
        ("rm-none/a", ExitCode.REFUSED, "there is no stream rm-none/a"),
        ("rm-none/*", ExitCode.REFUSED, "no stream matches rm-none/*"),
        ("rm-none", ExitCode.USAGE, "INVALID_NAME"),
    ],
)
def test_an_error_is_one_line(
    url: str, capsys: pytest.CaptureFixture[str], pattern: str, code: ExitCode, words: str
) -> None:
    assert run(["rm", pattern, "--url", url]) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert words in captured.err
    assert captured.err.count("\n") == 1


def test_an_error_says_what_was_deleted_before_it(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    with connect(url) as client:
        for name in ("rm-5/a", "rm-5/b"):
            client.publish(name, 1)
        for missing in ("rm-none/a", "rm-none/*"):
            assert run(["rm", missing, "rm-5/a", "--url", url]) == ExitCode.REFUSED
            captured = capsys.readouterr()
            assert captured.out == ""
            assert captured.err.endswith("; nothing was deleted\n")
        assert run(["rm", "rm-5/a", "rm-none/a", "rm-5/b", "--url", url]) == ExitCode.REFUSED
        captured = capsys.readouterr()
        assert captured.out == "rm-5/a\n"
        assert captured.err.endswith("; nothing else was deleted\n")
        assert client.delete("rm-5/*") == ["rm-5/b"]


def test_all_names_are_checked_before_the_first_stream_is_deleted(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    with connect(url) as client:
        client.publish("rm-4/a", 1)
        for wrong in ("rm-4", "rm-4/**/a", "*", "agent:x", "group:x", "rm-4/../a"):
            assert run(["rm", "rm-4/a", wrong, "--url", url]) == ExitCode.USAGE
            captured = capsys.readouterr()
            assert captured.out == ""
            assert "did you mean" not in captured.err  # it would delete more than was asked for
        assert client.delete("rm-4/a") == ["rm-4/a"]


def test_a_viewer_is_told(url: str) -> None:
    with connect(url) as client:
        client.publish("rm-sub/a", 1)
        command = [sys.executable, "-m", "gateway", "sub", "rm-sub/*", "--count", "2", "--url", url]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as viewer:
            assert viewer.stdout is not None
            assert viewer.stdout.readline().startswith("rm-sub/a  offset 0")
            assert run(["rm", "rm-sub/a", "--url", url]) == ExitCode.OK
            client.publish("rm-sub/a", 2)
            out, err = viewer.communicate(timeout=60)
    assert out.startswith("rm-sub/a  offset 0")
    assert "rm-sub/a has ended (deleted)" in err
    assert viewer.returncode == ExitCode.OK
