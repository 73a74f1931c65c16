"""Overview: a reading as lines for a terminal of any size."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from rich.console import Group, OverflowMethod, RenderableType
from rich.table import Table
from rich.text import Text

from gateway.cli import text
from gateway.cli.fields import Fields
from gateway.cli.reading import Reading, growth_per_s

HEAD_LINES: Final = 4
UNKNOWN: Final = "-"


@dataclass(frozen=True, slots=True)
class Column:
    """Column of a section."""

    title: str
    cell: Callable[[Fields], str]
    wide: bool = False
    """Whether it takes the room that others leave; otherwise it is as wide as its cells, which stand at its right."""


@dataclass(frozen=True, slots=True)
class Section:
    """List below a line of titles."""

    columns: tuple[Column, ...]
    rows: Sequence[Fields]


@dataclass(frozen=True, slots=True)
class Overview:
    """Overview of a gateway.

    Attributes:
        url: URL of its admin port.
        reading: the newest reading; ``None``: there is none yet.
        before: the reading before it, for rates.
        problem: reason why there is no newer one; empty if there is.
        keys: text for the last line.
    """

    url: str
    reading: Reading | None = None
    before: Reading | None = None
    problem: str = ""
    keys: str = ""

    def fitted(self, height: int, *, whole_head: bool = False) -> RenderableType:
        """Return the overview in so many lines: each section gets its share of them, the first ones if they are few.

        Args:
            height: number of lines.
            whole_head: whether lines of the head may be longer than the console is wide.
        """
        lines = height - HEAD_LINES - bool(self.keys)
        sections = [] if self.reading is None else _sections(self.reading)[: max(0, lines // 2)]
        shares = shares_of([len(section.rows) for section in sections], lines - len(sections))
        tables = [_table(section, share) for section, share in zip(sections, shares, strict=True)]
        foot = [Text(self.keys, style="dim", no_wrap=True, overflow="ellipsis")] if self.keys else []
        return Group(*self._head("ignore" if whole_head else "ellipsis"), *tables, *foot)

    def _head(self, overflow: OverflowMethod) -> list[Text]:
        first = Text.assemble((" frys top ", "bold black on cyan"), f"  {self.url}  ")
        if self.problem:
            first.append(f"{self.problem}; trying again", style="bold red")
        lines = [first]
        if self.reading is not None:
            summary = self.reading.summary
            if not self.problem:
                first.append(f"frys {summary.text('version')}  " if summary.text("version") else "", style="dim")
                first.append(*_condition(summary))
            lines += [_connections(summary), self._traffic(self.reading), _work(summary)]
        for line in lines:
            line.no_wrap, line.overflow = True, overflow
        return lines + [Text()] * (HEAD_LINES - len(lines))

    def _traffic(self, reading: Reading) -> Text:
        def rate_of(name: str) -> float | None:
            return growth_per_s(reading, self.before, lambda summary: _sum(summary.fields("kinds"), name))

        parts = {
            "in": f"{_count(rate_of('published_messages'))} msg/s {_size(rate_of('published_bytes'))}/s",
            "out": f"{_count(rate_of('delivered_messages'))} msg/s",
        }
        kinds = {name: each.number("streams") or 0.0 for name, each in reading.summary.fields("kinds").table().items()}
        return _labelled(parts | {"streams": _by_name(kinds)})


def shares_of(wanted: Sequence[int], lines: int) -> list[int]:
    """Return the lines that each section gets of all: what it wants, or an equal share of what the others leave."""
    shares = [0] * len(wanted)
    for served, place in enumerate(sorted(range(len(wanted)), key=lambda place: wanted[place])):
        shares[place] = min(wanted[place], max(lines, 0) // (len(wanted) - served))
        lines -= shares[place]
    return shares


def _condition(summary: Fields) -> tuple[str, str]:
    """Return the state of the gateway in words, and their style."""
    overload, store = summary.fields("overload"), summary.fields("store")
    stage = overload.text("stage")
    if summary.flag("draining"):
        return "it is stopping", "bold red"
    if store.text("problem"):
        return f"its store fails: {store.text('problem')}", "bold red"
    if stage and stage != "normal":
        entered = f"entered {_seconds(overload.number('stage_s'))} ago"
        return f"overload: {stage} ({entered}: {overload.text('reason')})", "bold yellow"
    return stage, "green"


def _connections(summary: Fields) -> Text:
    return _labelled({"connections": _by_name(summary.fields("connections").numbers())})


def _work(summary: Fields) -> Text:
    consumers = summary.fields("consumers")
    waiting = [summary.number(name) for name in ("outbox_bytes", "transport_bytes")]
    known = [number for number in waiting if number is not None]
    always = {
        "lagging": _count(summary.number("lagging")),
        "waiting": _size(sum(known) if known else None),
    }
    parts = {
        "held acks": _count(summary.number("held_acks")),
        "pending": _count(consumers.number("pending")),
        "requests": _count(summary.number("requests")),
        "absent": _count(consumers.number("absent")),
        "superseded": _count(summary.number("superseded_connections")),
        "members": _count(summary.fields("presence").number("members")),
        "greeting": _count(summary.number("greeting")),
    }
    # All of them do not fit into 80 columns.
    return _labelled(always | {name: count for name, count in parts.items() if count not in ("0", UNKNOWN)})


def _by_name(numbers: dict[str, float]) -> str:
    """Return a sum and what it consists of: ``3 (2 agent, 1 extension)``."""
    if not numbers:
        return UNKNOWN
    parts = ", ".join(f"{_count(number)} {name}" for name, number in numbers.items() if number)
    return _count(sum(numbers.values())) + (f" ({parts})" if parts else "")


def _labelled(parts: dict[str, str]) -> Text:
    line = Text()
    for label, value in parts.items():
        line.append(f"{label} ", style="dim")
        line.append(f"{value}  ")
    return line


def _sections(reading: Reading) -> list[Section]:
    """Return the lists that have anything to show."""
    behind = [each for each in reading.behind or () if each.flag("lagging") or each.number("waiting_bytes")]
    every = (
        Section(_STREAMS, reading.streams or ()),
        Section(_BEHIND, behind),
        Section(_LINKS, reading.links or ()),
        Section(_WORKFLOWS, reading.workflows or ()),
        Section(_ADJUSTMENTS, reading.adjustments or ()),
    )
    return [section for section in every if section.rows]


def _table(section: Section, share: int) -> Table:
    table = Table(box=None, expand=True, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold on grey23")
    for column in section.columns:
        table.add_column(
            column.title,
            justify="left" if column.wide else "right",
            ratio=1 if column.wide else None,
            no_wrap=True,
            overflow="ellipsis",
        )
    for row in section.rows[:share]:
        table.add_row(*[Text(column.cell(row)) for column in section.columns])
    return table


def _sum(kinds: Fields, name: str) -> float:
    return sum(each.number(name) or 0.0 for each in kinds.table().values())


def _count(number: float | None) -> str:
    if number is None:
        return UNKNOWN
    return f"{number:.1f}" if number % 1 and abs(number) < 10 else f"{number:,.0f}"


def _size(number: float | None) -> str:
    return UNKNOWN if number is None else text.size(number)


def _number(name: str) -> Callable[[Fields], str]:
    return lambda row: _count(row.number(name))


def _bytes(name: str) -> Callable[[Fields], str]:
    return lambda row: _size(row.number(name))


def _words(name: str) -> Callable[[Fields], str]:
    return lambda row: row.text(name)


def _receivers(row: Fields) -> str:
    numbers = [row.number(name) for name in ("subscribers", "viewers", "observers")]
    return _count(sum(number for number in numbers if number is not None))


def _most_behind(row: Fields) -> float | None:
    """Return the messages that a program is behind in one stream; ``None``: its client does not tell, or it is not."""
    return max([each.number("behind") or 0.0 for each in row.fields("link").list("behind")], default=None)


def _seconds(number: float | None) -> str:
    return UNKNOWN if number is None else text.duration(number)


def _fraction(number: float | None) -> str:
    return UNKNOWN if number is None else f"{number:.3g}"


def _share(name: str) -> Callable[[Fields], str]:
    def cell(row: Fields) -> str:
        number = row.number(name)
        return UNKNOWN if number is None else f"{number:.0%}"

    return cell


_STREAMS: Final = (
    Column("stream", _words("name"), wide=True),
    Column("kind", _words("kind")),
    Column("msg/s", _number("messages_per_s")),
    Column("bytes/s", _bytes("bytes_per_s")),
    Column("receivers", _receivers),
    Column("pending", _number("pending")),
)
_BEHIND: Final = (
    Column("receiver that is behind", _words("client_id"), wide=True),
    Column("type", _words("client_type")),
    Column("waiting", _bytes("waiting_bytes")),
    Column("conflated", _number("conflated")),
    Column("dropped", _number("dropped")),
    Column("because of", lambda row: row.fields("link").text("bottleneck")),
)
_LINKS: Final = (
    Column("worst link", _words("client_id"), wide=True),
    Column("type", _words("client_type")),
    Column("score", lambda row: _fraction(row.fields("link").number("score"))),
    Column("round trip", lambda row: _seconds(row.fields("link").number("rtt_s"))),
    Column("bytes/s", lambda row: _size(row.fields("link").number("goodput_bytes_per_s"))),
    Column("behind", lambda row: _count(_most_behind(row))),
    Column("delay", lambda row: _seconds(row.fields("link").number("queue_delay_s"))),
)
_WORKFLOWS: Final = (
    Column("workflow", _words("name"), wide=True),
    Column("pattern", _words("pattern")),
    Column("confidence", _share("confidence")),
    Column("msg/s", _number("messages_per_s")),
    Column("bytes/s", _bytes("bytes_per_s")),
    Column("clients", _number("clients")),
)
_ADJUSTMENTS: Final = (
    Column("adjustment", lambda row: f"{row.text('knob')} {row.text('name')}".strip(), wide=True),
    Column("before", lambda row: _fraction(row.number("before"))),
    Column("value", lambda row: _fraction(row.number("value"))),
    Column("verdict", _words("verdict")),
    Column("ago", lambda row: _seconds(row.number("age_s"))),
)
