"""The words of the project: each is used in the code, and a name of a class or type alias means one thing."""

import ast
import re
from collections import defaultdict
from functools import cache
from typing import Final

import pytest

from tests.layout import MODULES, ROOT, relative

PAGE: Final = (ROOT / "docs" / "architecture.md").read_text("utf-8")
ROW: Final = re.compile(r"^\| (?!word |---)(.+?) \| (.+?) \| (.+?) \|$", re.M)
GLOSSARY: Final = ROW.findall(PAGE.partition("## Words\n")[2].partition("\n## ")[0])

PAIRS: Final = {
    "Client": "the SDK's client, for asyncio and blocking",
    "Gap": "the frame GAP, and what a subscription is told about it",
    "Heartbeat": "the two ends of PING and PONG: of all connections, and of one session",
    "Inbox": "the SDK's inbox, for asyncio and blocking",
    "Message": "the SDK's message, for asyncio and blocking",
    "Notice": "the message NOTICE, and what a client is told about it",
    "Presence": "the SDK's presence in one scope, for asyncio and blocking",
    "PresenceChanges": "the SDK's iterator over changes of members, for asyncio and blocking",
    "RecordBatch": "the SDK's record batch, for asyncio and blocking",
    "ReplyStream": "the SDK's replies to one request, for asyncio and blocking",
    "Request": "the SDK's request to answer, for asyncio and blocking",
    "Session": "the two ends of one connection, in the gateway and in the SDK",
    "Subscription": "the SDK's subscription, for asyncio and blocking",
}
"""Names of classes and type aliases that stand twice, and what the two have to do with each other."""

BUILTIN_TYPES: Final = {"bytes", "dict", "float", "frozenset", "int", "list", "set", "str", "tuple", "type"}


@cache
def code() -> str:
    """Return all sources of the gateway as one text."""
    return "\n".join(path.read_text("utf-8") for path in MODULES)


def spellings(word: str) -> re.Pattern[str]:
    """Return a pattern for a word of the glossary in prose and in names: ``fan-out``, ``fanout``, ``PubSubFanout``."""
    stem = r"[-_ ]?".join(re.escape(part) for part in re.split(r"[- ]", word))
    return re.compile(rf"(?:\b|_|(?<=[a-z])(?=[A-Z])){stem}", re.IGNORECASE)


def test_the_glossary_is_sorted_and_says_each_word_once() -> None:
    words = [word for word, _, _ in GLOSSARY]
    assert words == sorted(set(words))
    assert len(words) > 50


@pytest.mark.parametrize("word", [word for word, _, _ in GLOSSARY])
def test_a_word_of_the_glossary_is_used_in_the_code(word: str) -> None:
    assert spellings(word).search(code())


def test_a_word_of_the_glossary_has_its_place() -> None:
    assert [word for word, _, place in GLOSSARY if not re.fullmatch(r"`[\w/]+\.py(?::[\w.]+)?`", place)] == []


def is_type(node: ast.expr) -> bool:
    """Return whether an expression at the top of a module looks like a type: ``A | None``, ``Callable[[A], B]``."""
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return not name.isupper() and (name[0].isupper() or name in BUILTIN_TYPES)
        case ast.BinOp(left=left, op=ast.BitOr()):
            return is_type(left)
        case ast.Subscript(value=value):
            return is_type(value)
        case ast.Call(func=ast.Name(id="NewType" | "NamedTuple" | "TypedDict")):
            return True
    return False


def type_names_of(module: ast.Module) -> list[str]:
    """Return the names of the classes and of the type aliases that a module defines."""
    names = [node.name for node in ast.walk(module) if isinstance(node, ast.ClassDef)]
    for node in module.body:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value) if is_type(value):
                names.append(name)
            case ast.AnnAssign(target=ast.Name(id=name), annotation=ast.Name(id="TypeAlias")):
                names.append(name)
    return names


def test_the_names_of_types_include_their_aliases() -> None:
    source = """
class Apple: ...
Basket = Apple | None
Peel = Callable[[Apple], object]
Fruit: TypeAlias = "Apple"
Crate = NewType("Crate", int)
Stock = dict[str, int]
Pattern = re.compile("x")
Limit: Final = 3
Bound = LIMIT
"""
    assert type_names_of(ast.parse(source)) == ["Apple", "Basket", "Peel", "Fruit", "Crate", "Stock"]


def test_a_name_of_a_type_that_stands_twice_is_a_declared_pair() -> None:
    places = defaultdict(list)
    for path in MODULES:
        for name in type_names_of(ast.parse(path.read_text("utf-8"))):
            places[name].append(relative(path))
    twice = {name: found for name, found in places.items() if len(found) > 1}
    assert twice.keys() == PAIRS.keys(), {name: twice.get(name) for name in twice.keys() ^ PAIRS.keys()}
    assert [name for name, found in twice.items() if len(found) > 2] == []
