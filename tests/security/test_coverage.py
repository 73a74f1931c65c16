"""A pattern covers another one exactly if it matches every name that the other one matches."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import RequestRefused
from gateway.protocol.names import compile_pattern
from gateway.security.coverage import check_granted, covers

SEGMENTS = ("a", "b", "c.x", "d.x", "e.y", "f.y", ".x", "g.y.x", "h.y.x")
NAMES = ["/".join(parts) for depth in (2, 3, 4) for parts in itertools.product(SEGMENTS, repeat=depth)]
"""All names of two to four segments of a few: enough to tell any two of the patterns below apart."""

single = st.sampled_from(["a", "b", "c.x", "e.y", "*", "*.x", "*.y", "*.y.x"])
last = single | st.sampled_from(["**", "**.x", "**.y", "**.y.x"])
patterns = st.builds(lambda first, end: "/".join([*first, end]), st.lists(single, min_size=1, max_size=2), last)
patterns |= st.sampled_from(["**", "**.x", "**.y.x"])


@given(granted=patterns, asked=patterns)
def test_it_is_what_a_look_at_every_name_says(granted: str, asked: str) -> None:
    mine, theirs = compile_pattern(granted), compile_pattern(asked)
    expected = all(mine.matches(name) for name in NAMES if theirs.matches(name))
    assert covers(granted, asked) == expected


@given(granted=patterns, name=st.sampled_from(NAMES))
def test_a_name_is_covered_if_it_matches(granted: str, name: str) -> None:
    assert covers(granted, name) == compile_pattern(granted).matches(name)


@pytest.mark.parametrize(
    ("granted", "asked", "covered"),
    [
        ("agent:planner", "agent:planner", True),
        ("agent:*", "agent:planner", True),
        ("group:*", "agent:planner", False),
        ("agent:plan", "agent:planner", False),
        ("group:workers", "group:workers", True),
        ("**", "agent:planner", False),
        ("**", "group:workers", False),
        ("agent:*", "wf/a", False),
        ("agent:*", "**", False),
    ],
)
def test_addresses_are_covered_by_addresses_only(granted: str, asked: str, covered: bool) -> None:
    assert covers(granted, asked) is covered


@pytest.mark.parametrize("pattern", ["wf/**", "**", "agent:*", "group:*", "agent:planner"])
def test_patterns_that_a_grant_may_name(pattern: str) -> None:
    assert check_granted(pattern) == pattern


@pytest.mark.parametrize("pattern", ["", "wf", "wf/", "w*f/a", "agent:", "agent:a*", "other:*", "**/a", "wf/../a"])
def test_patterns_that_it_may_not(pattern: str) -> None:
    with pytest.raises(RequestRefused):
        check_granted(pattern)
