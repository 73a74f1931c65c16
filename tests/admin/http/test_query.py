"""Queries: values in their range, or a refusal that names them."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

from gateway.admin.http.query import check_names, durability_of, headers_of, integer_of, kind_of, pattern_of
from gateway.errors import Code, RequestRefused
from gateway.protocol.durability import Durability
from gateway.protocol.messages import Kind


def request_with(**query: str) -> Request:
    return Request({"type": "http", "query_string": urlencode(query).encode(), "headers": []})


@given(st.integers(0, 1000))
def test_a_number_in_range(number: int) -> None:
    assert integer_of(request_with(limit=str(number)), "limit", 7, most=1000) == number


def test_what_is_not_there() -> None:
    assert integer_of(request_with(), "limit", 7, most=1000) == 7
    assert kind_of(request_with()) is None
    assert durability_of(request_with()) is None
    assert pattern_of(request_with()).text == "**"
    check_names(request_with(), "kind")


@pytest.mark.parametrize("text", ["", "-1", "1001", "1.0", "x", "1e3", "٣", " 1", "9" * 5000])
def test_a_number_that_is_none(text: str) -> None:
    with pytest.raises(RequestRefused, match="not a number from 0 to 1000") as caught:
        integer_of(request_with(limit=text), "limit", 7, most=1000)
    assert caught.value.code == Code.INVALID_REQUEST


@pytest.mark.parametrize(("text", "is_number"), [("2", False), ("3", True)])
def test_a_number_that_is_too_small(text: str, is_number: bool) -> None:
    if is_number:
        assert integer_of(request_with(limit=text), "limit", 7, least=3, most=9) == int(text)
        return
    with pytest.raises(RequestRefused, match="not a number from 3 to 9"):
        integer_of(request_with(limit=text), "limit", 7, least=3, most=9)


def test_a_pattern_is_checked() -> None:
    assert pattern_of(request_with(pattern="wf/*")).matches("wf/a")
    with pytest.raises(RequestRefused) as caught:
        pattern_of(request_with(pattern="wf//a"))
    assert caught.value.code == Code.INVALID_NAME


@pytest.mark.parametrize("kind", list(Kind))
def test_a_kind(kind: Kind) -> None:
    assert kind_of(request_with(kind=kind.value)) is kind


@pytest.mark.parametrize("text", ["", "State", "states"])
def test_a_kind_that_is_none(text: str) -> None:
    with pytest.raises(RequestRefused, match="state, event, collaboration, control"):
        kind_of(request_with(kind=text))


@pytest.mark.parametrize("durability", list(Durability))
def test_a_durability(durability: Durability) -> None:
    assert durability_of(request_with(durability=durability.value)) is durability


@pytest.mark.parametrize("text", ["", "OS", "disk"])
def test_a_durability_that_is_none(text: str) -> None:
    with pytest.raises(RequestRefused, match="memory, os, fsync"):
        durability_of(request_with(durability=text))


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("kind=event&tensr=a", "PUT of this path has no query parameter 'tensr': known are kind, durability"),
        ("Kind=event", "no query parameter 'Kind'"),
        ("durabilty", "no query parameter 'durabilty'"),
        ("x" * 5000, f"no query parameter '{'x' * 40}'"),
        ("kind=event&kind=state", "given twice"),
    ],
)
def test_names_that_are_not_known(query: str, words: str) -> None:
    request = Request({"type": "http", "method": "PUT", "query_string": query.encode(), "headers": []})
    with pytest.raises(RequestRefused, match=words) as refused:
        check_names(request, "kind", "durability")
    assert refused.value.code == Code.INVALID_REQUEST
    assert len(refused.value.message) < 200


def test_names_where_there_are_none() -> None:
    request = Request({"type": "http", "method": "DELETE", "query_string": b"force=1", "headers": []})
    with pytest.raises(RequestRefused, match="'force': it has none"):
        check_names(request)


def test_headers_are_json_or_text() -> None:
    query = {"kind": "control", "header.step": "7", "header.action": "pause", "header.at": '{"s":[1.5]}'}
    request = request_with(**query, **{"header.nan": "NaN"})
    check_names(request, "kind", headers=True)
    assert headers_of(request) == {"step": 7, "action": "pause", "at": {"s": [1.5]}, "nan": "NaN"}
    assert headers_of(request_with(kind="control")) is None


@pytest.mark.parametrize(("name", "headers"), [("headers.step", True), ("header", True), ("header.step", False)])
def test_a_header_where_there_is_none(name: str, headers: bool) -> None:
    request = Request({"type": "http", "method": "PUT", "query_string": f"{name}=7".encode(), "headers": []})
    with pytest.raises(RequestRefused, match=name):
        check_names(request, "kind", headers=headers)
