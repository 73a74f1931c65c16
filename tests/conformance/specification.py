"""Reads ``spec/protocol.md``: its sections, tables, examples and links."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
TEXT: Final = (ROOT / "spec" / "protocol.md").read_text("utf-8")

_HEADING: Final = re.compile(r"^#{2,3} (\d+(?:\.\d+)?)\.? (.+)$", re.M)
_EXAMPLE: Final = re.compile(r"Example `([\w-]+)`:\n\n```text\n(.*?)```", re.S)
_HEX_LINE: Final = re.compile(r"^ *(\d+)  ((?:[0-9a-f]{2} ?)+?)(?: {2,}(.*))?$")

Row = dict[str, str]


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a worked example."""

    offset: int
    data: bytes
    note: str


@dataclass(frozen=True, slots=True)
class Example:
    """A worked example: the golden vector that it shows, line by line."""

    vector: str
    lines: tuple[Line, ...]


def sections(text: str = TEXT) -> dict[str, str]:
    """The text of every section by its number, that of its subsections included in neither."""
    headings = list(_HEADING.finditer(text))
    ends = [heading.start() for heading in headings[1:]] + [len(text)]
    return {heading[1]: text[heading.end() : end] for heading, end in zip(headings, ends, strict=True)}


SECTIONS: Final = sections()


def anchors() -> set[str]:
    """The anchors that headings get when the page is shown."""
    titles = re.findall(r"^#+ (.+)$", TEXT, re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def tables(section: str) -> list[list[Row]]:
    """The tables of a section, each row as a dict from column to cell, back-quotes taken off."""
    found = []
    for block in re.findall(r"(?:^\|.*\|\n)+", SECTIONS[section], re.M):
        header, _, *rows = [
            [cell.strip() for cell in line.strip("|\n").split("|")] for line in block.splitlines(keepends=True)
        ]
        found.append([dict(zip(header, [cell.strip("`") for cell in row], strict=True)) for row in rows])
    return found


def table(section: str, column: str) -> list[Row]:
    """The one table of a section whose first column is ``column``."""
    (found,) = [rows for rows in tables(section) if next(iter(rows[0])) == column]
    return found


def examples() -> list[Example]:
    """Every worked example of the page."""
    return [Example(name, tuple(_line(line) for line in body.splitlines())) for name, body in _EXAMPLE.findall(TEXT)]


def _line(text: str) -> Line:
    match = _HEX_LINE.match(text)
    if match is None:
        raise ValueError(f"not a line of an example: {text!r}")
    return Line(int(match[1]), bytes.fromhex(match[2]), match[3] or "")


def json_example(section: str, opcode: str) -> str:
    """The first JSON object in back-quotes that follows the name of an opcode in its section, or opens the section."""
    text = SECTIONS[section]
    match = re.search(rf"\b{opcode}:? (?:is )?`(\{{.*?\}})`", text, re.S) or re.match(r"\s*`(\{.*?\})`", text, re.S)
    if match is None:
        raise ValueError(f"no example of {opcode} in section {section}")
    return match[1].replace("\n", "")
