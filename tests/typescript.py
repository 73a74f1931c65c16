"""Sources of the JavaScript client, and their prose: doc comments and comment lines, with what each describes."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.layout import ROOT
from tests.prose import Kind, Text

FOLDER: Final = ROOT / "clients" / "js"
SOURCES: Final = sorted((FOLDER / "src").rglob("*.ts"))
TESTS: Final = sorted((FOLDER / "tests").rglob("*.ts"))

_DOC_COMMENT: Final = re.compile(r"^[ ]*/\*\*(.*?)\*/[ ]*\n([^\n]*)", re.M | re.S)
_LINE_COMMENTS: Final = re.compile(r"(?:^[ ]*// [^\n]*\n)+", re.M)
_DIRECTIVE: Final = re.compile(r"// (?:biome-ignore|@ts-|---)")
_TAGS: Final = re.compile(r"^@(?:param \w+|returns|throws \w+|param)", re.M)
_LINK: Final = re.compile(r"\{@link ([\w.]+)\}")


def mirror_of(path: Path) -> Path:
    """Return the path of the test module of a source file."""
    return FOLDER / "tests" / path.relative_to(FOLDER / "src").with_suffix(".test.ts")


def texts_in(source: str) -> Iterator[Text]:
    """Yield every text of a source file; of doc comments the part before the tags."""
    for match in _DOC_COMMENT.finditer(source):
        lines = [re.sub(r"^\s*\* ?", "", line) for line in match[1].splitlines()]
        words = _TAGS.split(_LINK.sub(r"`\1`", "\n".join(lines)))[0].strip()
        kind = Kind.MODULE if match.start() == 0 else _kind_of(match[2].strip())
        if words:
            yield Text(kind, source.count("\n", 0, match.start()) + 1, words)
    for match in _LINE_COMMENTS.finditer(source):
        if not _DIRECTIVE.search(match[0]):
            words = " ".join(line.strip().removeprefix("//").strip() for line in match[0].splitlines())
            yield Text(Kind.COMMENT, source.count("\n", 0, match.start()) + 1, words)


def _kind_of(line: str) -> Kind:
    """Return the kind of text that stands before a line."""
    if re.match(r"(?:export )?(?:class|interface|type)\b", line):
        return Kind.CLASS
    if re.match(r"(?:get )\w+\(", line):
        return Kind.PROPERTY
    if re.match(r"(?:export |async |static |declare )*(?:function\b|[\w#]+(?:<[^(]*>)?\()", line):
        return Kind.FUNCTION
    return Kind.FIELD
