"""Program ``frys``: finds the command, runs it, and turns its errors into one line and an exit code.

Imports nothing that only a command needs: ``serve`` listens sooner without the SDK and rich, and ``pub`` needs no
server.
"""

from __future__ import annotations

import asyncio
import importlib
import sys
from collections.abc import Sequence
from typing import Annotated, Any, Final

import typer
from typer.core import TyperGroup

from gateway import __version__
from gateway.cli.exit_code import MEANINGS, ExitCode, exit_code_of, line_of
from gateway.cli.interruption import ended_at_once_by_signals, interrupted_by_signals

COMMANDS: Final = ("serve", "demo", "pub", "sub", "rm", "config")
"""Commands. Each is a module of this package, with a function or a group of commands of the same name."""


class LazyGroup(TyperGroup):
    """Group of commands whose modules are imported when a command is called, or when help lists it."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of all commands, in the order of help."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return the command of this name, or None."""
        if cmd_name not in COMMANDS:
            return None
        with ended_at_once_by_signals():  # numpy makes another error of an interruption of its import, and prints it
            module = importlib.import_module(f"gateway.cli.{cmd_name}")
        command = getattr(module, cmd_name)
        if isinstance(command, typer.Typer):
            group = typer.main.get_command(command)
            group.name = cmd_name
            return group
        single = typer.Typer(add_completion=False, rich_markup_mode="markdown")
        single.command(cmd_name)(command)
        return typer.main.get_command(single)


EPILOG: Final = "Exit codes:\n\n" + "\n".join(f"- {code.value}: {meaning}" for code, meaning in MEANINGS.items())

app = typer.Typer(cls=LazyGroup, add_completion=False, epilog=EPILOG, rich_markup_mode="markdown")


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"frys {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def frys(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Run and use a real-time collaboration gateway for workflow tensors."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def run(arguments: Sequence[str]) -> int:
    """Run one command line, and print an error as one line on stderr.

    Args:
        arguments: without the program's name.

    Returns:
        The exit code.
    """
    name = " ".join(["frys", *(argument for argument in arguments[:1] if argument in COMMANDS)])
    try:
        result = app(args=list(arguments), prog_name="frys", standalone_mode=False)
    except typer.TyperException as error:
        context = getattr(error, "ctx", None)
        where = name if context is None else context.command_path
        print(f"{where}: {_told(error)} (see {where} --help)", file=sys.stderr)
        return ExitCode.USAGE
    except (KeyboardInterrupt, asyncio.CancelledError, typer.Abort):
        return ExitCode.INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the command's boundary: never a traceback
        print(f"{name}: {line_of(error)}", file=sys.stderr)
        return exit_code_of(error)
    return int(result or ExitCode.OK)


def _told(error: typer.TyperException) -> str:
    # Typer reads enumerations with pydantic's types, whose name for the failure stands before the text.
    return " ".join(error.format_message().split()).replace(": Value error, ", ": ")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the ``frys`` command and exit.

    Args:
        arguments: without the program's name; None: those of this process.
    """
    with interrupted_by_signals():
        sys.exit(run(sys.argv[1:] if arguments is None else arguments))
