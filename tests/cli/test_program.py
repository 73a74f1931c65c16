"""The program finds its commands, and whatever goes wrong is one line on stderr and an exit code."""

import re

import pytest
from click.testing import CliRunner

from gateway import __version__
from gateway.cli.exit_code import MEANINGS, ExitCode
from gateway.cli.program import COMMANDS, app, main, run


def test_help_lists_commands_and_exit_codes() -> None:
    result = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "200"})
    assert result.exit_code == 0
    assert all(re.search(rf"^\W*{command} ", result.stdout, re.MULTILINE) for command in COMMANDS)
    assert all(f"{code.value}: {MEANINGS[code]}" in result.stdout for code in ExitCode)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command_has_examples(command: str) -> None:
    result = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "200"})
    assert result.exit_code == 0
    assert f"{command} [OPTIONS]" in result.stdout
    assert re.search(rf"^ +frys {command}", result.stdout, re.MULTILINE)


@pytest.mark.parametrize("command", ["check", "show"])
def test_examples_of_a_config_command_have_lines_of_their_own(command: str) -> None:
    result = CliRunner().invoke(app, ["config", command, "--help"], env={"COLUMNS": "200"})
    assert re.search(rf"^ *frys config {command}( frys\.toml)? *$", result.stdout, re.MULTILINE)


def test_no_command_is_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([]) == ExitCode.OK
    assert "Usage: frys" in capsys.readouterr().out


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == ExitCode.OK
    assert capsys.readouterr().out == f"frys {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["srve"], "frys: No such command 'srve'"),
        (["serve", "--port", "70000"], "frys serve: Invalid value for '--port': 70000 is not in the range"),
        (["serve", "--bogus"], "frys serve: No such option '--bogus'"),
        (["pub", "wf/x"], "frys pub: Missing argument 'FILE'"),
        (["pub", "wf/x", "x.npy", "--kind", "evnt"], "frys pub: Invalid value for '--kind': 'evnt' is not one of"),
    ],
)
def test_a_wrong_command_line_is_one_line(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments) == ExitCode.USAGE
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(said)
    assert captured.err.count("\n") == 1


def test_main_exits_with_the_code() -> None:
    with pytest.raises(SystemExit) as exited:
        main(["srve"])
    assert exited.value.code == ExitCode.USAGE
