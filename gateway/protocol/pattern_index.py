"""Pattern index: holders of patterns, found by a stream's name without a look at each pattern.

Patterns with wildcards stand in a tree by their segments; a name is looked up segment by segment. Only the patterns
whose first segments fit the name cost anything.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Final, Generic, TypeVar

from gateway.protocol.names import Pattern
from gateway.shrinking import Shrinking

H = TypeVar("H", bound=Hashable)

_REST: Final = "**"


class _Node(Generic[H]):
    """Patterns with the same segments up to here."""

    __slots__ = ("children", "rests", "stars")

    def __init__(self) -> None:
        self.children: dict[str, _Node[H]] = {}
        """Patterns that go on with a segment without a wildcard."""
        self.stars: dict[str, _Node[H]] = {}
        """Patterns that go on with ``*``, by the ending behind it."""
        self.rests: dict[str, dict[H, None]] = {}
        """Holders of the patterns that end here with ``**``, by the ending behind it; of those that end here without,
        under :data:`_REST`, which is no ending."""

    def __bool__(self) -> bool:
        return bool(self.children or self.stars or self.rests)


class PatternIndex(Generic[H]):
    """Holders by pattern; a holder may have several patterns, each once."""

    def __init__(self) -> None:
        self._literal: dict[str, dict[H, None]] = {}
        """Holders of patterns without a wildcard."""
        self._root: _Node[H] = _Node()
        self._names, self._firsts = Shrinking(self._literal), Shrinking(self._root.children)

    def __bool__(self) -> bool:
        return bool(self._literal or self._root)

    def add(self, pattern: Pattern, holder: H) -> None:
        """Add a holder of a pattern."""
        if pattern.is_literal:
            self._literal.setdefault(pattern.text, {})[holder] = None
            return
        node = self._root
        segments, end = _path_of(pattern)
        for is_star, text in segments:
            siblings = node.stars if is_star else node.children
            node = siblings.setdefault(text, _Node())
        node.rests.setdefault(end, {})[holder] = None

    def remove(self, pattern: Pattern, holder: H) -> None:
        """Remove a holder of a pattern; does nothing if it is none."""
        if pattern.is_literal:
            _remove(self._literal, pattern.text, holder)
            self._names.note()
            return
        way: list[tuple[dict[str, _Node[H]], str]] = []
        node = self._root
        segments, end = _path_of(pattern)
        for is_star, text in segments:
            siblings = node.stars if is_star else node.children
            if text not in siblings:
                return
            way.append((siblings, text))
            node = siblings[text]
        _remove(node.rests, end, holder)
        for siblings, text in reversed(way):
            if siblings[text]:
                break
            del siblings[text]
        self._firsts.note()

    def named(self, name: str) -> bool:
        """Return whether a pattern without a wildcard is the name."""
        return name in self._literal

    def matching(self, name: str) -> Iterator[H]:
        """Yield the holders of all patterns that match a valid name; a holder of several of them several times."""
        yield from self._literal.get(name, ())
        if not self._root:
            return
        segments = name.split("/")
        nodes = [self._root]
        for segment in segments:
            following: list[_Node[H]] = []
            for node in nodes:
                if node.rests:
                    yield from _rests_of(node, segments[-1])
                child = node.children.get(segment)
                if child is not None:
                    following.append(child)
                if node.stars:
                    following += [node.stars[ending] for ending in _endings_of(segment) if ending in node.stars]
            nodes = following
            if not nodes:
                return
        for node in nodes:
            yield from node.rests.get(_REST, ())


def _path_of(pattern: Pattern) -> tuple[list[tuple[bool, str]], str]:
    """Return the segments of a pattern up to ``**``, and the ending behind that; :data:`_REST` if there is no ``**``.

    Each segment is its text behind the ``*`` that it may begin with, which the first value tells.
    """
    path: list[tuple[bool, str]] = []
    for segment in pattern.text.split("/"):
        text = segment.lstrip("*")
        stars = len(segment) - len(text)
        if stars > 1:
            return path, text
        path.append((stars == 1, text))
    return path, _REST


def _remove(holders: dict[str, dict[H, None]], key: str, holder: H) -> None:
    """Remove a holder, if it is one, and its key with the last one."""
    if key in holders:
        holders[key].pop(holder, None)
        if not holders[key]:
            del holders[key]


def _rests_of(node: _Node[H], last: str) -> Iterator[H]:
    """Yield the holders of patterns that take all segments which follow, of which ``last`` is the last."""
    for ending in _endings_of(last):
        yield from node.rests.get(ending, ())


def _endings_of(segment: str) -> Iterator[str]:
    """Yield every ending of a segment by which a pattern may name it: the empty one, then one for each dot."""
    yield ""
    at = segment.find(".")
    while at >= 0:
        if at + 1 < len(segment):
            yield segment[at:]
        at = segment.find(".", at + 1)
