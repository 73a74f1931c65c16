"""Report: tables in markdown, and the goals (bars) of the measured numbers."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import ParamSpec

from benchmarks.processes import VerificationFailed
from benchmarks.samples import Samples

P = ParamSpec("P")


@dataclass(frozen=True, slots=True)
class Bar:
    """Measured number and its goal."""

    what: str
    value: float
    limit: float
    unit: str = "x"
    at_most: bool = False

    @property
    def passed(self) -> bool:
        """True if the value reaches the limit; False for NaN."""
        return self.value <= self.limit if self.at_most else self.value >= self.limit

    def row(self) -> tuple[str, str, str, str]:
        """Return the cells of the table of bars."""
        sign = "≤" if self.at_most else "≥"
        verdict = "PASS" if self.passed else "below" if self.value == self.value else "not measured"
        return self.what, f"{self.value:.3g} {self.unit}", f"{sign} {self.limit:g} {self.unit}", verdict


@dataclass(frozen=True, slots=True)
class Section:
    """Section of the report about one benchmark."""

    title: str
    text: str
    tables: tuple[str, ...]
    bars: tuple[Bar, ...]
    failures: tuple[str, ...]
    """Measurements that could not be verified, with the reason."""

    def markdown(self) -> str:
        """Return the section as markdown."""
        failed = [f"Not verified: {failure}" for failure in self.failures]
        bars = [bars_table(self.bars)] if self.bars else []
        return "\n\n".join((f"## {self.title}", self.text, *self.tables, *bars, *failed))


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a markdown table, its columns aligned for a terminal."""
    lines = [list(header), *(list(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    texts = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in lines
    ]
    texts.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(texts)


def grid(
    samples: Samples, corner: str, whats: Sequence[str], whoms: Sequence[str], cell: Callable[[str, str], str]
) -> str:
    """Return a markdown table with a line for each server and a column for each scenario; a dash where none was run.

    Args:
        samples: the results.
        corner: text of the upper left cell.
        whats: the scenarios.
        whoms: the servers.
        cell: gives the text of a cell for a scenario and a server.
    """

    def text(what: str, whom: str) -> str:
        state = samples.state(what, whom)
        return cell(what, whom) if state == "measured" else state or "–"

    return table([corner, *whats], [[whom, *(text(what, whom) for what in whats)] for whom in whoms])


def bars_table(bars: Iterable[Bar]) -> str:
    """Return the table of bars."""
    return table(("bar", "measured", "wanted", ""), (bar.row() for bar in bars))


def si(value: float) -> str:
    """Return a rate with a unit prefix: 17.2 M, 183 k."""
    factor, prefix = _unit(value)
    return f"{_three_digits(value / factor)}{prefix}"


def _unit(value: float) -> tuple[float, str]:
    return next((unit for unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")) if value >= unit[0]), (1.0, ""))


def _three_digits(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def spread(samples: Samples, what: str, whom: str, key: str) -> str:
    """Return the median, and in parentheses the lowest and the highest value, in the same unit."""
    values = samples.all(what, whom, key)
    if not values:
        return "–"
    median = statistics.median(values)
    factor, _ = _unit(median)
    return f"{si(median)} ({_three_digits(min(values) / factor)}–{_three_digits(max(values) / factor)})"


def busy(samples: Samples, what: str, whom: str) -> str:
    """Return the use of the two cores: server / load, in percent."""
    server, load = (samples.median(what, whom, key) for key in ("server_cpu", "load_cpu"))
    return f"{100 * server:.0f}/{100 * load:.0f} %"


def concluded(broken: Sequence[str]) -> int:
    """Print the bounds that were broken, a line each, and return the exit code of a program that checks them."""
    for line in broken:
        print(f"- {line}")
    return 1 if broken else 0


def failing_in_words(main: Callable[P, int]) -> Callable[P, int]:
    """Have a program tell of a process that fails as of a bound that is broken."""

    @wraps(main)
    def run(*args: P.args, **kwargs: P.kwargs) -> int:
        try:
            return main(*args, **kwargs)
        except (VerificationFailed, OSError) as failure:
            return concluded([str(failure)])

    return run
