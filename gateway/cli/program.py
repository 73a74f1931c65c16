"""Program ``frys``: finds the command, runs it, and turns its errors into one line and an exit code.

Imports nothing that only a command needs: ``serve`` listens sooner without the SDK and rich, and ``pub`` needs no
server.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Final

import click

from gateway import __version__
from gateway.cli.command import LazyGroup
from gateway.cli.exit_code import MEANINGS, ExitCode, exit_code_of, line_of
from gateway.cli.interruption import interrupted_by_signals

COMMANDS: Final = ("serve", "demo", "pub", "sub", "rm", "top", "optimizer", "config", "keys", "token")
"""Commands. Each is a module of this package, with a command or a group of commands of the same name."""

EPILOG: Final = "\b\nExit codes:\n" + "\n".join(f"{code.value:5}: {meaning}" for code, meaning in MEANINGS.items())

CONTEXT: Final = {"show_default": True, "max_content_width": 120}
"""Settings that all commands inherit."""


@click.group("frys", cls=LazyGroup, lazy=COMMANDS, epilog=EPILOG, context_settings=CONTEXT, invoke_without_command=True)
@click.version_option(__version__, message="%(prog)s %(version)s", help="Print the version.")
@click.pass_context
def app(context: click.Context) -> None:
    """Run and use a real-time collaboration gateway for workflow tensors."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


def run(arguments: Sequence[str]) -> int:
    """Run one command line, and print an error as one line on stderr.

    Args:
        arguments: without the program's name.

    Returns:
        The exit code.
    """
    name = " ".join(["frys", *(argument for argument in arguments[:1] if argument in COMMANDS)])
    try:
        result = app.main(args=list(arguments), prog_name="frys", standalone_mode=False)
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        where = name if context is None else context.command_path
        told = " ".join(error.format_message().split())
        print(f"{where}: {told} (see {where} --help)", file=sys.stderr)
        return ExitCode.USAGE
    except click.Abort:
        return ExitCode.INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the command's boundary: never a traceback
        print(f"{name}: {line_of(error)}", file=sys.stderr)
        return exit_code_of(error)
    return int(result or ExitCode.OK)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the ``frys`` command and exit.

    Args:
        arguments: without the program's name; None: those of this process.
    """
    with interrupted_by_signals():
        sys.exit(run(sys.argv[1:] if arguments is None else arguments))
