"""``frys optimizer``: shows what the gateway has recorded of its decisions, and what others would have cost."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import click
from rich.console import Console

from gateway.cli import text
from gateway.cli.advice_lines import LastTrials, advice_lines
from gateway.cli.command import Command, with_lines_kept
from gateway.cli.exit_code import ExitCode
from gateway.cli.history_table import json_of, table_of, totals_of
from gateway.optimizer.history.reading import ReadingTally, read_events, read_history
from gateway.optimizer.history.summary import summarize
from gateway.optimizer.payloads.payload_files import DIRECTORY, stored_payloads
from gateway.protocol.encoding import Chain

HELP = """Show what a gateway has recorded of its choice of encodings.

Example:

    frys optimizer history /var/lib/frys/traffic
    frys optimizer replay /var/lib/frys/traffic
    frys optimizer report /var/lib/frys/traffic
"""

MAX_PAYLOADS = 400
"""Stored payloads that are tried, the last ones: half a minute with an encoding of much work."""
MAX_EVENTS = 200_000
"""Records and trials of a history that are replayed, the last ones: some 500 MB of memory."""
WIDTH = 4096
"""Most columns of a table that goes to a file or a pipe: more than any has, so that names are not cut off."""


@click.group(help=with_lines_kept(HELP), invoke_without_command=True)
@click.pass_context
def optimizer(context: click.Context) -> None:
    """Print the help of the group, if no command of it is named."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


@optimizer.command(cls=Command)
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path), help="The history_dir of the gateway.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of a table.")
def history(directory: Path, *, as_json: bool) -> int:
    """Summarize a traffic history: for each stream and group of receivers the encoding, its ratio, times and links.

    Below it stand the shadow trials: the encoding of least cost for links of five rates. frys optimizer report tells
    which of them the gateway has chosen. The gateway may run meanwhile, or not at all. Damaged parts of files are left
    out with a warning.

    Examples:

        frys optimizer history /var/lib/frys/traffic
        frys optimizer history /var/lib/frys/traffic --json
    """
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    tally, trials = ReadingTally(), LastTrials()
    found = summarize(read_history(directory, tally, trials.add))
    if as_json:
        print(json_of(found, trials, tally))
        return ExitCode.OK
    console = _console()
    if found:
        console.print(table_of(found))
    _print_lines(console, advice_lines(trials, found))
    console.print(totals_of(tally), style="dim", highlight=False)
    return ExitCode.OK


@optimizer.command(cls=Command)
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path), help="The history_dir of the gateway.")
@click.option(
    "--try",
    "named",
    metavar="CHAIN",
    multiple=True,
    help="Try an encoding, such as zstd:19 or shuffle+lz4, on the stored payloads. Can be repeated.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of a table.")
def replay(directory: Path, named: Sequence[str], *, as_json: bool) -> int:
    """Compare ways to choose encodings on a traffic history: decisions by cost, samples alone, each fixed encoding.

    Each chooses by what was known before, and is charged with what the shadow trials have measured next. Regret is the
    cost beyond that of an oracle, which chooses by the latter and pays for the trials as well. The cost is the time
    until receivers can use the data, plus CPU time of the gateway.

    With --try, all encodings are tried anew, on this machine, on the payloads of streams with store_payloads = true;
    other streams are left out.

    Examples:

        frys optimizer replay /var/lib/frys/traffic
        frys optimizer replay /var/lib/frys/traffic --json
        frys optimizer replay /var/lib/frys/traffic --try zstd:19 --try shuffle+zstd:9
    """
    # Models take two seconds to load, and `frys optimizer history` does not need them.
    from gateway.cli.replay_table import (  # noqa: PLC0415
        replay_json,
        replay_lines,
        replay_table,
        replayed_history,
        stored_lines,
    )
    from gateway.optimizer.payloads.stored_trials import on_stored, stored_trials  # noqa: PLC0415

    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    chains, tally, payloads = [Chain.parse(each) for each in named], ReadingTally(), 0
    events = read_events(directory, tally, MAX_EVENTS)
    if chains:
        trials = list(stored_trials(stored_payloads(directory / DIRECTORY, MAX_PAYLOADS), chains))
        events, payloads = on_stored(events, trials), len(trials)
    found = replayed_history(events, chains)
    if as_json:
        print(replay_json(found, tally, payloads))
        return ExitCode.OK
    console = _console()
    if chains:
        _print_lines(console, stored_lines(payloads))
    if found.messages:
        console.print(replay_table(found))
    _print_lines(console, replay_lines(found))
    console.print(totals_of(tally), style="dim", highlight=False)
    return ExitCode.OK


@optimizer.command(cls=Command)
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path), help="The history_dir of the gateway.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of lines.")
def report(directory: Path, *, as_json: bool) -> int:
    """Tell which encoding was chosen for each stream and group of receivers, and why.

    With the predicted cost of both the decision and the choice by samples, the cost as it was measured, and the verdict
    of the check of one against the other. Decisions are those that the gateway has written, or else those that follow
    from the history. The cost is the time until receivers can use a message, plus CPU time of the gateway.

    Examples:

        frys optimizer report /var/lib/frys/traffic
        frys optimizer report /var/lib/frys/traffic --json
    """
    # Models take two seconds to load, and `frys optimizer history` does not need them.
    from gateway.cli.decision_report import decision_report, report_json, report_lines  # noqa: PLC0415

    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    tally = ReadingTally()
    found = decision_report(directory, read_events(directory, tally, MAX_EVENTS))
    if as_json:
        print(report_json(found, tally))
        return ExitCode.OK
    console = _console()
    _print_lines(console, report_lines(found))
    console.print(totals_of(tally), style="dim", highlight=False)
    return ExitCode.OK


def _console() -> Console:
    """Return the console; one that is no terminal is as wide as the tables."""
    console = Console()
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = WIDTH
    return console


def _print_lines(console: Console, lines: Iterable[str]) -> None:
    """Print lines of text, broken between words where a terminal is narrow; a file or a pipe gets them as they are."""
    for line in lines:
        shown = text.wrapped(line, console.width) if console.is_terminal else line
        console.print(shown, markup=False, highlight=False, soft_wrap=True)
