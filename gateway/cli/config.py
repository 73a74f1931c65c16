"""``frys config``: checks a configuration file, and prints the settings of a gateway."""

from __future__ import annotations

from pathlib import Path

import click
import uvloop

from gateway.cli.command import Command, with_lines_kept
from gateway.cli.exit_code import ExitCode
from gateway.config import Settings
from gateway.config.bounds import check_settings
from gateway.config.file import read_settings, write_settings
from gateway.errors import InvalidArgument

HELP = """Check a configuration file, or print all settings of a gateway.

Examples:

    frys config check frys.toml
    frys config show
"""

FILE_HELP = "A configuration file, such as frys.toml."


@click.group(help=with_lines_kept(HELP), invoke_without_command=True)
@click.pass_context
def config(context: click.Context) -> None:
    """Print the help of the group, if no command of it is named."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


@config.command(cls=Command)
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path), help=FILE_HELP)
def check(file: Path) -> int:
    """Check that a gateway can do its work with a configuration file, or tell the first mistake in one line.

    The values are checked first; then a gateway on free ports, with a store of its own, serves clients for a moment.

    Example:

        frys config check frys.toml
    """
    settings = read_settings(file)
    # Late, because the SDK, which the trial needs, takes half of the time that help takes.
    from gateway.cli.trial import try_settings  # noqa: PLC0415

    try:
        check_settings(settings)
        uvloop.run(try_settings(settings))
    except InvalidArgument as error:
        raise InvalidArgument(f"{file}: {error}") from None
    for pattern, earlier in settings.core.rules.hidden():
        problem = f"the rule for {pattern.text} has no effect, as an earlier one is for {earlier.text}"
        print(f"{file}: {problem}: move it up, or remove it")
    rules = len(settings.core.rules.rules)
    print(f"{file}: good, with {rules} {'rule' if rules == 1 else 'rules'} for streams; store {settings.store}")
    return ExitCode.OK


@config.command(cls=Command)
@click.argument("file", metavar="[FILE]", type=click.Path(path_type=Path), required=False, help=FILE_HELP)
def show(file: Path | None) -> int:
    """Print all settings as a configuration file: the values of FILE, and the defaults of all others.

    Examples:

        frys config show
        frys config show frys.toml
    """
    print(write_settings(Settings() if file is None else read_settings(file)))
    return ExitCode.OK
