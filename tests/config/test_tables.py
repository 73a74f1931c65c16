"""Dataclasses from tables: every field is a key, and everything else is told."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from gateway.config.tables import ANY_SIZE, hints_of, read_table, write_table
from gateway.errors import InvalidArgument
from gateway.protocol.messages import Kind
from gateway.protocol.schema import Schema


@dataclass(frozen=True, slots=True)
class Inner:
    count: int = 1
    delay_s: float = 0.5


@dataclass(frozen=True, slots=True)
class Outer:
    name: str = "a"
    on: bool = False
    kind: Kind | None = None
    port: int | None = 5
    inner: Inner = field(default_factory=Inner)
    maybe: Inner | None = None


@dataclass(frozen=True, slots=True)
class Checked:
    least: int = 1
    most: int = 9
    schema: Schema | None = None

    def __post_init__(self) -> None:
        if self.least > self.most:
            raise InvalidArgument(f"least={self.least} is above most={self.most}")


def test_what_is_absent_has_its_default() -> None:
    assert read_table(Outer, {}, "x") == Outer()
    assert read_table(Outer, {}, "x", Outer(name="b")) == Outer(name="b")


def test_every_type_is_read_and_written() -> None:
    table: dict[str, Any] = {
        "name": "b",
        "on": True,
        "kind": "event",
        "port": 7,
        "inner": {"count": 2, "delay_s": 3.0},
        "maybe": {"count": 4, "delay_s": 0.5},
    }
    read = read_table(Outer, table, "x")
    assert read == Outer("b", True, Kind.EVENT, 7, Inner(2, 3.0), Inner(4))
    assert write_table(read) == table
    assert write_table(Outer(port=None)) == {"name": "a", "on": False, "inner": {"count": 1, "delay_s": 0.5}}


def test_an_inner_table_keeps_what_its_base_has() -> None:
    base = Outer(inner=Inner(8, 9.0))
    assert read_table(Outer, {"inner": {"count": 2}}, "x", base).inner == Inner(2, 9.0)


def test_false_stands_for_none() -> None:
    assert read_table(Outer, {"port": False}, "x").port is None


def test_a_whole_number_is_a_number() -> None:
    delay_s = read_table(Inner, {"delay_s": 3}, "x").delay_s
    assert (delay_s, type(delay_s)) == (3.0, float)


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ({"nmae": "b"}, "x: unknown key 'nmae': did you mean name?"),
        ({"colour": "b"}, "x: unknown key 'colour': known keys are inner, kind, maybe, name, on, port"),
        ({"inner": {"cuont": 1}}, "x: inner: unknown key 'cuont': did you mean count?"),
        ({"inner": 5}, "x: inner is 5: it takes a table"),
        ({"name": 5}, "x: name is 5: it takes a text"),
        ({"on": 1}, "x: on is 1: it takes true or false"),
        ({"port": True}, "x: port is True: it takes a whole number"),
        ({"port": 1.5}, "x: port is 1.5: it takes a whole number"),
        ({"inner": {"delay_s": -1}}, "x: inner: delay_s is -1: it takes no negative number"),
        ({"inner": {"delay_s": float("inf")}}, "x: inner: delay_s is inf: it takes a finite number"),
        ({"inner": {"delay_s": float("nan")}}, "x: inner: delay_s is nan: it takes a finite number"),
        ({"inner": {"delay_s": "1s"}}, "x: inner: delay_s is '1s': it takes a number"),
        ({"kind": "evnt"}, "x: kind is 'evnt': it takes one of state, event, collaboration, control"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(table: dict[str, Any], problem: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        read_table(Outer, table, "x")
    assert str(refused.value) == problem


def test_every_field_is_a_key_with_its_type() -> None:
    assert hints_of(Inner) == {"count": int, "delay_s": float}
    assert list(hints_of(Checked)) == ["least", "most", "schema"]


@pytest.mark.parametrize("base", [None, Checked(2, 9)])
def test_values_that_do_not_fit_together_are_told_with_their_table(base: Checked | None) -> None:
    with pytest.raises(InvalidArgument) as refused:
        read_table(Checked, {"least": 12}, "frys.toml: [x]", base)
    assert str(refused.value) == "frys.toml: [x]: least=12 is above most=9"


@pytest.mark.parametrize(
    "table",
    [
        {"dtype": "float32", "shape": [4, ANY_SIZE]},
        {"tensors": {"a": {"dtype": "uint8", "shape": []}, "b": {"dtype": "int16", "shape": [ANY_SIZE, ANY_SIZE, 2]}}},
    ],
)
def test_a_schema_has_a_mark_in_place_of_any_size(table: dict[str, Any]) -> None:
    read = read_table(Checked, {"schema": table}, "x")
    assert read.schema is not None
    assert read.schema.tensors[-1].shape[-2:] in ((4, None), (None, 2))
    assert write_table(read) == {"least": 1, "most": 9, "schema": table}
    assert read_table(Checked, write_table(read), "x") == read


def test_false_takes_a_schema_back() -> None:
    base = read_table(Checked, {"schema": {"dtype": "uint8", "shape": []}}, "x")
    assert read_table(Checked, {"schema": False}, "x", base) == Checked()


@pytest.mark.parametrize(
    ("schema", "problem"),
    [
        (5, "x: schema is 5: it takes a table"),
        ({"shape": [1]}, "x: schema: field 'dtype' is required"),
        ({"dtype": "float31", "shape": [1]}, "float31"),
        ({"dtype": "uint8", "shape": [-1]}, "x: schema"),
    ],
)
def test_a_schema_that_is_wrong_is_told_with_its_place(schema: object, problem: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        read_table(Checked, {"schema": schema}, "x")
    assert problem in str(refused.value)
