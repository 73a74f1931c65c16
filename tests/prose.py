"""Prose of the sources: docstrings, texts under fields and constants, and comments, with what each belongs to."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Final

CODE: Final = re.compile(r"``.*?``|`[^`]*`", re.S)
SECTION: Final = re.compile(r"^(?:Args|Returns|Raises|Yields|Attributes):$")
DIRECTIVE: Final = re.compile(r"(?:noqa|type:|pragma:|fmt:|mypy:|!)")


class Kind(StrEnum):
    """Kinds of text, by what they describe."""

    MODULE = "module"
    CLASS = "class"
    FUNCTION = "function"
    PROPERTY = "property"
    FIELD = "field"
    COMMENT = "comment"


@dataclass(frozen=True, slots=True)
class Text:
    """One docstring, text under a field, or block of comment lines."""

    kind: Kind
    line: int
    words: str
    only_returns: bool = False
    """Whether it describes a function whose whole body returns a value."""

    @property
    def summary(self) -> str:
        """First paragraph, on one line."""
        return " ".join(self.words.split("\n\n")[0].split())

    def sentences(self) -> Iterator[str]:
        """Yield the beginning of each sentence, at least its first word; code in backticks is a word."""
        for paragraph in re.split(r"\n\s*\n|\n(?=\s*(?:- |\w+: ))", self.words):
            plain = CODE.sub("`code`", " ".join(paragraph.split()))
            yield from re.split(r"(?<=[.!?])\s+", plain)


@cache
def texts_of(path: Path) -> tuple[Text, ...]:
    """Return every text of a source file, in the order of their lines."""
    source = path.read_text("utf-8")
    texts = [*_docstrings(ast.parse(source)), *_comments(source)]
    return tuple(sorted(texts, key=lambda text: text.line))


def _docstrings(tree: ast.Module) -> Iterator[Text]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        for index, statement in enumerate(node.body):
            match statement:
                case ast.Expr(value=ast.Constant(value=str(words))):
                    kind = _kind_of(node) if index == 0 else Kind.FIELD
                    only_returns = index == 0 and kind is Kind.FUNCTION and _only_returns(node)
                    yield Text(kind, statement.lineno, words.strip(), only_returns)


def _kind_of(node: ast.AST) -> Kind:
    match node:
        case ast.Module():
            return Kind.MODULE
        case ast.ClassDef():
            return Kind.CLASS
        case ast.FunctionDef(decorator_list=decorators):
            if any("property" in ast.unparse(decorator) for decorator in decorators):
                return Kind.PROPERTY
    return Kind.FUNCTION


def _only_returns(node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    match node.body[1:]:
        case [ast.Return(value=ast.expr())]:
            return True
    return False


def _comments(source: str) -> Iterator[Text]:
    """Yield comments; those on lines that follow one another are one text."""
    block: list[str] = []
    first = last = 0
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type != tokenize.COMMENT:
            continue
        words, line = token.string.lstrip("# "), token.start[0]
        if DIRECTIVE.match(words):
            words = words.partition("#")[2].strip()  # the reason behind a directive
        if block and (line != last + 1 or not token.line.lstrip().startswith("#")):
            yield Text(Kind.COMMENT, first, "\n".join(block))
            block = []
        if not block:
            first = line
        last = line
        block.append(words)
    if block:
        yield Text(Kind.COMMENT, first, "\n".join(block))
