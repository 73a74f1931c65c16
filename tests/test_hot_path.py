"""Hot path: the functions that `docs/journey.md` lists exist, and can be read in one sitting."""

from __future__ import annotations

import ast
import re
from typing import Final

from tests.layout import ROOT

MAX_LINES: Final = 400
MAX_FILES: Final = 8

TITLE: Final = "## The hot path, in one sitting"
REFERENCE: Final = re.compile(r"`([\w/]+\.py):([\w.]+)`")


def listed_functions() -> list[tuple[str, str]]:
    """Return (file, function) for each function in the table of the page."""
    page = (ROOT / "docs" / "journey.md").read_text("utf-8")
    rows = [line for line in page.partition(TITLE)[2].splitlines() if line.startswith("|")]
    return [found for row in rows for found in REFERENCE.findall(row)]


def lines_of(file: str, name: str) -> int:
    """Return the lines of a function or method, with its docstring."""
    body: list[ast.stmt] = ast.parse((ROOT / "gateway" / file).read_text("utf-8")).body
    for part in name.split("."):
        (found,) = [node for node in body if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == part]
        body = found.body
    assert isinstance(found, ast.FunctionDef)
    assert found.end_lineno is not None
    return found.end_lineno - found.lineno + 1


def test_the_hot_path_can_be_read_in_one_sitting() -> None:
    functions = listed_functions()
    assert functions
    assert sum(lines_of(file, name) for file, name in functions) < MAX_LINES
    assert len({file for file, _ in functions}) <= MAX_FILES
