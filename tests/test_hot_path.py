"""Hot path: the functions that `docs/journey.md` lists exist, and can be read in one sitting."""

from __future__ import annotations

import ast
import re
from typing import Final

from tests.layout import ROOT

MAX_LINES: Final = 400
MAX_FILES: Final = 8

CALLED_FROM_ELSEWHERE: Final = {
    "WebSocketConnection.get_buffer": "by uvloop",
    "WebSocketConnection.buffer_updated": "by uvloop",
    "Dispatcher.receive": "by buffer_updated, as the receiver that the socket keeps",
}

TITLE: Final = "## The hot path, in one sitting"
REFERENCE: Final = re.compile(r"`([\w/]+\.py):([\w.]+)`")


def listed_functions() -> list[tuple[str, str]]:
    """Return (file, function) for each function in the table of the page."""
    page = (ROOT / "docs" / "journey.md").read_text("utf-8")
    rows = [line for line in page.partition(TITLE)[2].splitlines() if line.startswith("|")]
    return [found for row in rows for found in REFERENCE.findall(row)]


def found(file: str, name: str) -> ast.FunctionDef:
    """Return the definition of a function or method."""
    body: list[ast.stmt] = ast.parse((ROOT / "gateway" / file).read_text("utf-8")).body
    for part in name.split("."):
        (node,) = [node for node in body if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == part]
        body = node.body
    assert isinstance(node, ast.FunctionDef)
    return node


def names_in(function: ast.FunctionDef) -> set[str]:
    """Return the names and attributes that a function uses."""
    nodes = list(ast.walk(function))
    return {node.attr.lstrip("_") for node in nodes if isinstance(node, ast.Attribute)} | {
        node.id.lstrip("_") for node in nodes if isinstance(node, ast.Name)
    }


def test_the_hot_path_can_be_read_in_one_sitting() -> None:
    functions = listed_functions()
    assert functions
    spans = [(node.end_lineno or 0) - node.lineno + 1 for node in (found(*function) for function in functions)]
    assert sum(spans) < MAX_LINES
    assert len({file for file, _ in functions}) <= MAX_FILES


def test_each_function_of_the_hot_path_is_called_by_one_before_it() -> None:
    used: set[str] = set()
    for file, name in listed_functions():
        if name not in CALLED_FROM_ELSEWHERE:
            assert name.rpartition(".")[2].lstrip("_") in used, f"{file}:{name}"
        used |= names_in(found(file, name))
