"""The reader of JSON fields: right types and ranges pass, everything else is refused by the field's name."""

from __future__ import annotations

import contextlib
import enum
from collections.abc import Callable

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import Code, RequestRefused
from gateway.protocol.json_body import U32_MAX, JsonBody


class Colour(enum.StrEnum):
    RED = "red"


def body(**fields: object) -> JsonBody:
    return JsonBody.parse("TEST", orjson.dumps(fields))


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview, bytes.decode])
def test_every_kind_of_text_is_parsed(kind: Callable[[bytes], bytes | bytearray | memoryview | str]) -> None:
    assert JsonBody.parse("TEST", kind(b'{"a":1}')).integer("a") == 1


@pytest.mark.parametrize(
    "text", [b"", b"{", b"[]", b"1", b"null", b'"x"', b"\xff", b"{} {}", b'{"a":1e999}', b"[" * 5000]
)
def test_what_is_no_object_is_refused(text: bytes) -> None:
    with pytest.raises(RequestRefused, match="TEST") as refused:
        JsonBody.parse("TEST", text)
    assert refused.value.code == Code.INVALID_REQUEST


def test_fields_of_the_right_type() -> None:
    read = body(i=7, f=0.5, t="x", b=False, l=["a", "b"], n=[1, 0], c="red", o={"i": 1}, unknown=1)
    assert read.integer("i") == read.integer_or_none("i") == 7
    assert read.number("i") == 7.0
    assert read.number("f") == read.number_or_none("f") == 0.5
    assert read.text("t") == read.text_or_none("t") == "x"
    assert read.boolean_or_none("b") is False
    assert read.texts("l") == ("a", "b")
    assert read.integers("n") == (1, 0)
    assert read.choice("c", Colour) is read.choice_or_none("c", Colour) is Colour.RED
    assert read.nested("o").integer("i") == 1
    assert read.mapping_or_none("o") == {"i": 1}
    assert "i" in read


@pytest.mark.parametrize("fields", [{}, {"x": None}])
def test_null_is_absent(fields: dict[str, object]) -> None:
    read = body(**fields)
    assert "x" not in read
    assert read.get("x") is None
    assert read.integer_or_none("x") is None
    assert read.number_or_none("x") is None
    assert read.text_or_none("x") is None
    assert read.boolean_or_none("x") is None
    assert read.choice_or_none("x", Colour) is None
    assert read.mapping_or_none("x") is None
    assert read.texts("x") == ()
    required: list[Callable[[str], object]] = [read.integer, read.number, read.text, read.integers, read.nested]
    for reader in required:
        with pytest.raises(RequestRefused, match="field 'x' is required"):
            reader("x")


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ("1", "must be an integer, met a string"),
        (True, "must be an integer, met a boolean"),
        (1.5, "must be an integer, met the number 1.5"),
        ([], "must be an integer, met a list"),
        ({}, "must be an integer, met an object"),
        (-1, "must be from 0 to 4294967295, met -1"),
        (2**32, "must be from 0 to 4294967295, met 4294967296"),
    ],
)
def test_wrong_integers(value: object, wanted: str) -> None:
    with pytest.raises(RequestRefused, match=f"^TEST: field 'x' {wanted} ") as refused:
        body(x=value).integer("x", U32_MAX)
    assert refused.value.code == Code.INVALID_REQUEST


@pytest.mark.parametrize("value", ["1", True, -0.5, []])
def test_wrong_numbers(value: object) -> None:
    with pytest.raises(RequestRefused, match="'x'"):
        body(x=value).number("x")


@pytest.mark.parametrize("value", ["a", ["a", 1], {"a": 1}, [None]])
def test_wrong_lists(value: object) -> None:
    with pytest.raises(RequestRefused, match="'x' must be a list"):
        body(x=value).texts("x")
    with pytest.raises(RequestRefused, match="'x' must be a list"):
        body(x=value).integers("x")


def test_other_wrong_fields() -> None:
    read = body(x=1)
    with pytest.raises(RequestRefused, match="'x' must be a boolean"):
        read.boolean_or_none("x")
    with pytest.raises(RequestRefused, match="'x' must be an object"):
        read.nested("x")
    with pytest.raises(RequestRefused, match="'c' must be one of red, met 'blue'"):
        body(c="blue").choice("c", Colour)
    with pytest.raises(RequestRefused, match=r"TEST\.o: field 'i' is required"):
        body(o={}).nested("o").integer("i")


def test_a_refusal_does_not_repeat_a_string() -> None:
    with pytest.raises(RequestRefused) as refused:
        body(token="secret").integer("token")
    assert "secret" not in str(refused.value)


def test_only_good_integers_are_found() -> None:
    read = body(a=1, b="1", c=True, d=-1, e=11)
    assert read.integers_found({"a": 10, "b": 10, "c": 10, "d": 10, "e": 10, "f": 10}) == {"a": 1}


@given(st.binary())
def test_random_bytes(data: bytes) -> None:
    with contextlib.suppress(RequestRefused):
        JsonBody.parse("TEST", data)


def test_all_fields_as_they_are() -> None:
    assert list(body(b=1, a=None).items()) == [("b", 1), ("a", None)]


def test_a_list_of_strings_holds_nothing_else() -> None:
    assert body(names=["a", "b"]).texts("names") == ("a", "b")
    assert body().texts("names") == ()
    with pytest.raises(RequestRefused, match="field 'names' must be a list of strings, met the integer 1"):
        body(names=["a", 1]).texts("names")
