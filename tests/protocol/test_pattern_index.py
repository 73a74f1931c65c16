"""Pattern index: it finds exactly the holders of the patterns that match."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.protocol.names import compile_pattern
from gateway.protocol.pattern_index import PatternIndex

SEGMENTS = st.sampled_from(["a", "b", "a.x", ".x", "a.x.y", "a.", "...", "x.y", ".x.", "dead", ".dead"])
NAMES = st.lists(SEGMENTS, min_size=2, max_size=4).map("/".join)
ENDINGS = st.sampled_from(["", ".x", ".y", ".x.y", "..", ".dead", ".x."])
STARS = ENDINGS.map(lambda ending: f"*{ending}")
RESTS = ENDINGS.map(lambda ending: f"**{ending}")
FIRSTS = st.lists(SEGMENTS | STARS, min_size=1, max_size=3)
PATTERNS = st.builds(lambda first, last: "/".join([*first, last]), FIRSTS, SEGMENTS | STARS | RESTS) | RESTS


@given(patterns=st.lists(PATTERNS, max_size=12), names=st.lists(NAMES, min_size=1, max_size=6), drawn=st.data())
def test_it_finds_what_matches_one_by_one(patterns: list[str], names: list[str], drawn: st.DataObject) -> None:
    index: PatternIndex[int] = PatternIndex()
    held = {number: compile_pattern(text) for number, text in enumerate(patterns)}
    for number, pattern in held.items():
        index.add(pattern, number)
    for number in drawn.draw(st.permutations(sorted(held))):
        for name in names:
            found = list(index.matching(name))
            assert sorted(found) == [each for each, pattern in held.items() if pattern.matches(name)]
            assert index.named(name) == any(pattern.text == name for pattern in held.values())
        index.remove(held.pop(number), number)
    assert not index, "nothing is left of patterns that nobody holds"


def test_a_holder_of_several_patterns_is_found_by_each() -> None:
    index: PatternIndex[str] = PatternIndex()
    for text in ("**", "wf/*", "wf/a", "wf/a"):
        index.add(compile_pattern(text), "holder")
    assert list(index.matching("wf/a")) == ["holder"] * 3
    index.remove(compile_pattern("wf/*"), "holder")
    assert list(index.matching("wf/a")) == ["holder"] * 2
    assert list(index.matching("wf/b")) == ["holder"]


def test_removing_what_nobody_holds_does_nothing() -> None:
    index: PatternIndex[str] = PatternIndex()
    index.add(compile_pattern("wf/*/loss"), "one")
    for text in ("wf/a", "wf/*", "wf/*/loss", "other/*", "wf/**", "**"):
        index.remove(compile_pattern(text), "two")
    assert list(index.matching("wf/1/loss")) == ["one"]
