"""Names: what is legal, and what a pattern takes in."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import Code, RequestRefused
from gateway.protocol.names import (
    check_address,
    check_client_id,
    check_pattern,
    check_stream_name,
    compile_pattern,
    inbox_of,
    is_address,
    is_group,
    split_address,
)

SEGMENTS = st.text(string.ascii_letters + string.digits + "._-", min_size=1, max_size=6)
STREAM_NAMES = st.lists(SEGMENTS, min_size=2, max_size=5).map("/".join)

CHECKS = [check_stream_name, check_client_id, check_pattern, check_address]


@pytest.mark.parametrize("name", ["wf-42/loss", "a/b", "a/b/c/d", "A.b_c-9/0", "-/.", "a/" + "b" * 253])
def test_stream_names(name: str) -> None:
    assert check_stream_name(name) == name
    assert check_pattern(name) == name


@pytest.mark.parametrize(
    "name",
    ["", "loss", "/a/b", "a/b/", "a//b", "a/b c", "a/b\n", "a/ü", "a/٣", "a/*", "agent:x", "a/b:c", "a/" + "b" * 254],
)
def test_wrong_stream_names(name: str) -> None:
    with pytest.raises(RequestRefused, match="stream name") as refused:
        check_stream_name(name)
    assert refused.value.code == Code.INVALID_NAME


@pytest.mark.parametrize("client_id", ["trainer", "0", "a.b_c-d", "x" * 128])
def test_client_ids(client_id: str) -> None:
    assert check_client_id(client_id) == client_id
    assert check_address(inbox_of(client_id)) == f"agent:{client_id}"


@pytest.mark.parametrize("client_id", ["", ".a", "_a", "-a", "a/b", "a:b", "a b", "a\n", "é", "x" * 129])
def test_wrong_client_ids(client_id: str) -> None:
    with pytest.raises(RequestRefused) as refused:
        check_client_id(client_id)
    assert refused.value.code == Code.INVALID_NAME
    with pytest.raises(RequestRefused):
        check_address(f"agent:{client_id}")


@pytest.mark.parametrize("address", ["planner", "agent:", ":planner", "server:x", "AGENT:x", "group:a/b", "agent:a:b"])
def test_wrong_addresses(address: str) -> None:
    with pytest.raises(RequestRefused) as refused:
        check_address(address)
    assert refused.value.code == Code.INVALID_NAME


def test_an_address_is_told_from_a_stream_and_taken_apart() -> None:
    assert is_address("agent:planner")
    assert not is_address("wf-42/loss")
    assert split_address("agent:planner") == ("agent", "planner")
    assert split_address("group:workers") == ("group", "workers")


@pytest.mark.parametrize("pattern", ["*/*", "wf/*", "*/loss", "wf/**", "**", "a/*/c", "*/**", "agent:planner"])
def test_patterns(pattern: str) -> None:
    assert check_pattern(pattern) == pattern
    assert compile_pattern(pattern).text == pattern


@pytest.mark.parametrize(
    "pattern", ["", "*", "a", "a/", "**/a", "a/**/b", "a/***", "a/b*", "a/*b", "/**", "a//*", "a/" + "b" * 254, "who:x"]
)
def test_wrong_patterns(pattern: str) -> None:
    with pytest.raises(RequestRefused) as refused:
        compile_pattern(pattern)
    assert refused.value.code == Code.INVALID_NAME


@pytest.mark.parametrize(
    ("pattern", "taken", "left"),
    [
        ("wf/loss", ["wf/loss"], ["wf/loss2", "wf/loss/a", "wf/los"]),
        ("wf/*", ["wf/loss", "wf/."], ["wf/a/b", "wf2/loss", "xwf/a"]),
        ("wf/**", ["wf/loss", "wf/a/b/c"], ["wfx/a"]),
        ("*/loss", ["wf/loss"], ["wf/a/loss", "wf/lossy"]),
        ("*/*", ["a/b"], ["a/b/c"]),
        ("*/*/**", ["a/b/c", "a/b/c/d"], ["a/b"]),
        ("**", ["a/b", "a/b/c"], []),
        ("a.b/*", ["a.b/c"], ["axb/c"]),
        ("agent:planner", ["agent:planner"], ["agent:other"]),
    ],
)
def test_matches(pattern: str, taken: list[str], left: list[str]) -> None:
    compiled = compile_pattern(pattern)
    assert [name for name in taken + left if compiled.matches(name)] == taken
    assert compiled.is_literal == ("*" not in pattern)


@given(STREAM_NAMES, st.data())
def test_a_name_with_segments_replaced_by_stars_matches_the_name(name: str, data: st.DataObject) -> None:
    segments = name.split("/")
    replaced = ["*" if data.draw(st.booleans()) else segment for segment in segments]
    assert compile_pattern("/".join(replaced)).matches(name)
    kept = data.draw(st.integers(1, len(segments) - 1))
    assert compile_pattern("/".join([*replaced[:kept], "**"])).matches(name)


@given(st.text())
def test_random_text(text: str) -> None:
    for check in CHECKS:
        refusal: RequestRefused | None = None
        try:
            assert check(text) == text
        except RequestRefused as error:
            refusal = error
        assert refusal is None or (refusal.code == Code.INVALID_NAME and len(refusal.message) < 1200)


def test_groups_and_inboxes() -> None:
    assert is_group("group:workers")
    assert not is_group("agent:planner")
    assert not is_group("wf-42/**")
    assert inbox_of("planner") == "agent:planner"


def test_the_name_of_a_workflow_alone_is_answered_with_its_pattern() -> None:
    with pytest.raises(RequestRefused, match=r"did you mean 'wf-42/\*\*'\?"):
        check_pattern("wf-42")
    with pytest.raises(RequestRefused) as refused:
        check_pattern("wf-42/")
    assert "did you mean" not in refused.value.message
