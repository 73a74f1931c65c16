"""``frys config``: one line about a file, or everything in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.cli.exit_code import ExitCode
from gateway.cli.program import run

RULE_OF_A = '[[streams]]\npattern = "wf/a"\nkind = "state"\n'
RULE = '[[streams]]\npattern = "wf/*"\ndurability = "os"\n'


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "frys.toml"


def test_a_good_file(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path.write_text('store = "sqlite:a.db"\n' + RULE)
    assert run(["config", "check", str(path)]) == ExitCode.OK
    assert capsys.readouterr().out == f"{path}: good, with 1 rule for streams; store sqlite:a.db\n"


def test_a_rule_without_effect_is_named(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path.write_text(RULE.replace("os", "memory") + RULE.replace("os", "memory").replace("wf/*", "wf/**") + RULE_OF_A)
    assert run(["config", "check", str(path)]) == ExitCode.OK
    assert capsys.readouterr().out.splitlines() == [
        f"{path}: the rule for wf/a has no effect, as an earlier one is for wf/**: move it up, or remove it",
        f"{path}: good, with 3 rules for streams; store memory",
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("prot = 1", "unknown key 'prot'"),
        (RULE, "set store to sqlite:PATH"),
        ("[limits]\nchunk_bytes = 100_000\n", "limits.chunk_bytes is 100000: it takes a multiple of 64"),
        ("host = '192.0.2.1'\n[security]\ninsecure = true\n", "with host = '192.0.2.1' the start of a gateway fails"),
    ],
)
def test_a_bad_file_is_one_line(path: Path, capsys: pytest.CaptureFixture[str], text: str, problem: str) -> None:
    path.write_text(text)
    assert run(["config", "check", str(path)]) == ExitCode.USAGE
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"frys config: {path}: ")
    assert problem in captured.err
    assert captured.err.count("\n") == 1


def test_what_is_shown_can_be_checked(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["config", "show"]) == ExitCode.OK
    path.write_text(capsys.readouterr().out + "\n" + RULE.replace("os", "memory"))
    assert run(["config", "check", str(path)]) == ExitCode.OK
    capsys.readouterr()
    assert run(["config", "show", str(path)]) == ExitCode.OK
    assert 'pattern = "wf/*"\ndurability = "memory"' in capsys.readouterr().out


def test_a_file_that_is_not_there(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["config", "check", str(path)]) == ExitCode.FAILURE
    assert "No such file" in capsys.readouterr().err
