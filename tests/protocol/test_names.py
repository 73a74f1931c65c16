"""Names: what is legal, and what a pattern takes in."""

from __future__ import annotations

import re
import string

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gateway.errors import Code, InvalidArgument, RequestRefused
from gateway.ids import StreamName
from gateway.protocol.names import (
    check_address,
    check_client_id,
    check_deleted,
    check_pattern,
    check_stream_name,
    compile_pattern,
    dead_letters_of,
    inbox_of,
    is_address,
    is_dead_letter_name,
    is_group,
    is_stream_name,
    split_address,
)

SEGMENTS = st.text(string.ascii_letters + string.digits + "._-", min_size=1, max_size=6).filter(
    lambda segment: segment not in (".", "..")
)
STREAM_NAMES = st.lists(SEGMENTS, min_size=2, max_size=5).map("/".join)

CHECKS = [check_stream_name, check_client_id, check_pattern, check_address]


@pytest.mark.parametrize(
    "name", ["wf-42/loss", "a/b", "a/b/c/d", "A.b_c-9/0", "-/...", "a./.b", "..a/b..", "a/" + "b" * 253]
)
def test_stream_names(name: str) -> None:
    assert check_stream_name(name) == name
    assert check_pattern(name) == name


@pytest.mark.parametrize(
    "name",
    [
        *["", "loss", "/a/b", "a/b/", "a//b", "a/b c", "a/b\n", "a/ü", "a/٣", "a/*", "agent:x", "a/b:c"],
        *["a/" + "b" * 254, "a/.", "a/..", "./a", "../a", "a/../b", "a/./b/c"],
    ],
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


@pytest.mark.parametrize(
    "pattern", ["*/*", "wf/*", "*/loss", "wf/**", "**", "a/*/c", "*/**", "**.dead", "a/*.dead", "*.a-b/*.x.y", "a/**.d"]
)
def test_patterns(pattern: str) -> None:
    assert check_pattern(pattern) == pattern
    assert compile_pattern(pattern).text == pattern


@pytest.mark.parametrize(
    "pattern",
    [
        "",
        "*",
        "a",
        "a/",
        "**/a",
        "a/**/b",
        "a/***",
        "a/b*",
        "a/*b",
        "a/*.",
        "a/**x",
        "*.dead",
        "**.a/b",
        "a/*.d*",
        "/**",
        "a//*",
        "a/" + "b" * 254,
        "who:x",
    ],
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
        (
            "**.dead",
            ["a/b.dead", "a/b/c.dead", "a/.dead", "a/b.dead.dead"],
            ["a/b", "a.dead/b", "a/bdead"],
        ),
        ("wf/**.dead", ["wf/b.dead", "wf/b/c.dead"], ["w/b.dead", "wf/b", "wfx/a.dead"]),
        ("wf/*.dead", ["wf/b.dead", "wf/.dead"], ["wf/b/c.dead", "wf/b.dead/c", "wf/b"]),
        ("*.a/x", ["b.a/x", ".a/x"], ["b/x", "b.a/x/y", "b.ab/x"]),
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


@given(STREAM_NAMES)
def test_every_stream_has_dead_letters_of_its_own_which_one_pattern_names(name: str) -> None:
    stream = check_stream_name(name)
    dead = check_stream_name(dead_letters_of(stream))
    assert is_dead_letter_name(dead)
    assert compile_pattern("**.dead").matches(dead)
    if len(name) <= 250:
        assert dead == name + ".dead"
        workflow, _, rest = name.partition("/")
        assert compile_pattern(f"{workflow}/**.dead").matches(dead)
        assert compile_pattern(f"{workflow}/*.dead").matches(dead) == ("/" not in rest)


@given(st.integers(1, 253), st.sampled_from("ab-._"))
def test_long_names_are_shortened_and_stay_apart(cut: int, character: str) -> None:
    letters = character * 255
    name = StreamName(letters[:cut] + "/" + letters[: 254 - cut])
    assume(is_stream_name(name))
    other = StreamName(name[:-1] + "Z")
    dead = check_stream_name(dead_letters_of(name))
    assert check_stream_name(dead) == dead != dead_letters_of(other)
    assert compile_pattern("**.dead").matches(dead)
    assert compile_pattern(compile_pattern(dead).text).matches(dead)
    if cut <= 231:
        assert dead.startswith(letters[:cut] + "/")


@given(STREAM_NAMES, st.text("abcz.-_/*", max_size=20))
def test_what_a_pattern_with_an_ending_matches_has_that_ending(name: str, text: str) -> None:
    try:
        pattern = compile_pattern(text)
    except RequestRefused:
        return
    if pattern.matches(name):
        ending = text.rpartition("*")[2] if "*" in text else text
        assert name.endswith(ending)


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


@pytest.mark.parametrize(
    ("pattern", "meant"),
    [
        ("wf-42", "wf-42/**"),
        ("*", "**"),
        ("wf*", "**"),
        ("*.dead", "**.dead"),
        ("wf-42/w*", "wf-42/*"),
        ("wf-*/weights", "*/weights"),
        ("wf-42/**/weights", "wf-42/**"),
        ("wf-42/***", "wf-42/**"),
    ],
)
def test_a_pattern_that_is_none_is_answered_with_the_one_that_is_meant(pattern: str, meant: str) -> None:
    with pytest.raises(RequestRefused, match=rf"did you mean '{re.escape(meant)}'\?"):
        check_pattern(pattern)
    assert check_pattern(meant) == meant


@pytest.mark.parametrize("pattern", ["wf-42/", "a b/*", "", "/", "*/" * 100])
def test_no_pattern_is_suggested_that_is_none(pattern: str) -> None:
    with pytest.raises(RequestRefused) as refused:
        check_pattern(pattern)
    assert "did you mean" not in refused.value.message


def test_what_is_deleted_is_one_pattern() -> None:
    with pytest.raises(InvalidArgument, match="delete once for each"):
        check_deleted(["a/b", "c/d"])  # type: ignore[arg-type]
