"""Help keeps the lines of examples, a command is imported when it is called, and an interruption is an exit code."""

from __future__ import annotations

import asyncio
import gc
import sys

import click
import pytest
from click.testing import CliRunner

from gateway.cli.command import Command, LazyGroup, with_lines_kept, without_collections
from gateway.cli.exit_code import ExitCode


def test_lines_of_indented_paragraphs_are_kept() -> None:
    text = "One line,\nand its end.\n\n    frys a\n    frys b\n\nThe rest."
    command = Command("x", help=with_lines_kept(text), callback=lambda: None)
    told = CliRunner().invoke(command, ["--help"]).stdout
    assert "  One line, and its end.\n\n      frys a\n      frys b\n\n  The rest.\n" in told
    assert with_lines_kept(with_lines_kept(text)) == with_lines_kept(text)


def test_a_command_is_imported_when_it_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "gateway.cli.rm", raising=False)
    group = LazyGroup("frys", lazy=("rm",))
    context = click.Context(group)
    assert group.list_commands(context) == ["rm"]
    assert group.get_command(context, "pub") is None
    assert "gateway.cli.rm" not in sys.modules
    command = group.get_command(context, "rm")
    assert command is sys.modules["gateway.cli.rm"].rm


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, asyncio.CancelledError])
def test_an_interruption_is_an_exit_code(
    interruption: type[BaseException], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt() -> None:
        raise interruption

    group = LazyGroup("frys", lazy=())
    monkeypatch.setattr(group, "get_command", lambda context, name: Command(name, callback=interrupt))
    assert group.main(["x"], standalone_mode=False) == ExitCode.INTERRUPTED
    assert capsys.readouterr() == ("", "")


def test_collections_rest_for_a_while() -> None:
    assert gc.isenabled()
    with without_collections():
        with without_collections():
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()
