"""Commands of ``frys``, whose docstrings are their help, and the group that finds them when they are called."""

from __future__ import annotations

import asyncio
import gc
import importlib
import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from gateway.cli.exit_code import ExitCode
from gateway.cli.interruption import ended_at_once_by_signals


class Command(click.Command):
    """Command whose help keeps the lines of indented paragraphs, such as examples."""

    def __init__(self, name: str | None, *, help: str | None = None, **attributes: Any) -> None:
        super().__init__(name, help=None if help is None else with_lines_kept(help), **attributes)


class LazyGroup(click.Group):
    """Group of commands whose modules are imported when a command is called, or when help lists it.

    Args:
        lazy: names of the commands, in the order of help. Each is a module of this package, with a command or a group
            of the same name.
    """

    def __init__(self, *arguments: Any, lazy: tuple[str, ...], **attributes: Any) -> None:
        super().__init__(*arguments, **attributes)
        self._lazy = lazy

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands, in the order of help."""
        return list(self._lazy)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command of this name, or None."""
        if cmd_name not in self._lazy:
            return None
        # numpy makes another error of an interruption of its import, and prints it
        with ended_at_once_by_signals(), without_collections():
            module = importlib.import_module(f"gateway.cli.{cmd_name}")
        command: click.Command = getattr(module, cmd_name)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command of the command line.

        Raises:
            Exit: the command was interrupted; click would print an empty line.
        """
        try:
            return super().invoke(ctx)
        except (KeyboardInterrupt, asyncio.CancelledError):
            raise click.exceptions.Exit(ExitCode.INTERRUPTED) from None


def with_lines_kept(text: str) -> str:
    """Return the text of a help, with click's mark before each paragraph that begins with a space."""
    paragraphs = inspect.cleandoc(text).split("\n\n")
    return "\n\n".join(f"\b\n{each}" if each.startswith(" ") else each for each in paragraphs)


@contextmanager
def without_collections() -> Iterator[None]:
    """Leave garbage alone while modules are imported.

    Collections took 17 ms of the 300 until ``frys serve`` listens, and freed 0.4 MB (CPython 3.11, November 2026).
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
