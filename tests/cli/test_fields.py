"""Fields of JSON that anybody may have written."""

from __future__ import annotations

import json

from hypothesis import given

from gateway.cli.fields import Fields
from tests.protocol.strategies import json_values


def test_what_is_there() -> None:
    fields = Fields(
        {"name": "wf/a", "rate": 1.5, "lagging": True, "inner": {"a": 1, "b": 2.5}, "list": [{"a": 1}, {}, {"b": 2}]}
    )
    assert (fields.text("name"), fields.number("rate"), fields.flag("lagging")) == ("wf/a", 1.5, True)
    assert fields.fields("inner").numbers() == {"a": 1.0, "b": 2.5}
    assert [each.numbers() for each in fields.list("list")] == [{"a": 1.0}, {"b": 2.0}]
    assert {name: bool(each) for name, each in Fields({"x": {"a": 1}, "y": 3}).table().items()} == {
        "x": True,
        "y": False,
    }


def test_what_is_not_there_or_something_else_is_nothing() -> None:
    values: list[object] = [None, [], "text", 5, {"name": None}, {"name": [1]}, {"name": True}]
    for value in values:
        fields = Fields(value)
        assert fields.text("name") == ""
        assert fields.number("name") is None
        assert not fields.fields("name")
        assert not any(fields.list("name"))
    assert Fields({"a": 10**400}).number("a") is None
    assert Fields(json.loads('{"a": Infinity, "b": NaN}')).numbers() == {}


def test_text_of_a_stranger_does_not_steer_a_terminal() -> None:
    fields = Fields({"name": "a\x1b[2Jb\n", "inner": {"\x1b]0;title": 1}})
    assert fields.text("name").isprintable()
    assert all(name.isprintable() for name in fields.fields("inner").numbers())


@given(json_values)
def test_any_json_has_fields(value: object) -> None:
    fields = Fields({"a": value})
    for each in (Fields(value), fields):
        each.numbers()
        each.table()
        assert each.text("a").isprintable()
        each.list("a")
