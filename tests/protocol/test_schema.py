"""Schemas: what fits, what does not, and their JSON."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import Code, RequestRefused
from gateway.protocol.dtypes import dtype_named
from gateway.protocol.schema import Schema, TensorSchema
from gateway.protocol.tensors import TensorSpec
from tests.protocol.strategies import dtypes, names

SIZES = st.none() | st.integers(0, 2**53 - 1)
FIELD = {"dtype": "float32", "shape": [64, None]}
NAMED = {"tensors": {"w": {"dtype": "int8", "shape": []}, "b": {"dtype": "bfloat16", "shape": [None]}}}


def spec(dtype: str, *shape: int, name: str = "") -> TensorSpec:
    return TensorSpec(name, dtype_named(dtype), shape)


@given(
    st.dictionaries(names, st.tuples(dtypes, st.lists(SIZES, max_size=32).map(tuple)), min_size=1, max_size=4).map(
        lambda tensors: Schema(tuple(TensorSchema(name, *tensors[name]) for name in sorted(tensors)))
    )
)
def test_a_schema_is_read_as_it_was_written(schema: Schema) -> None:
    assert Schema.parse(schema.fields()) == schema


def test_the_order_of_tensors_says_nothing() -> None:
    turned = {"tensors": dict(reversed(NAMED["tensors"].items()))}
    assert Schema.parse(turned) == Schema.parse(NAMED)


@pytest.mark.parametrize(
    ("fields", "specs"),
    [
        (FIELD, [spec("float32", 64, 0)]),
        (FIELD, [spec("float32", 64, 1000)]),
        (NAMED, [spec("int8", name="w"), spec("bfloat16", 3, name="b")]),
        (NAMED, [spec("bfloat16", 3, name="b"), spec("int8", name="w")]),
    ],
)
def test_what_fits(fields: dict[str, Any], specs: list[TensorSpec]) -> None:
    Schema.parse(fields).check(specs, "wf/a")


@pytest.mark.parametrize(
    ("fields", "specs", "met"),
    [
        (FIELD, [], "no tensor"),
        (FIELD, [spec("float64", 64, 2)], r"float64\[64, 2\]"),
        (FIELD, [spec("float32", 63, 2)], r"float32\[63, 2\]"),
        (FIELD, [spec("float32", 64)], r"float32\[64\]"),
        (FIELD, [spec("float32", 64, 2, name="w")], r"w: float32\[64, 2\]"),
        (FIELD, [spec("float32", 64, 2), spec("float32", 64, 2, name="w")], "w: float32"),
        (NAMED, [spec("int8", name="w")], r"w: int8\[\]"),
    ],
)
def test_what_does_not_fit_is_told_with_what_is_declared(
    fields: dict[str, Any], specs: list[TensorSpec], met: str
) -> None:
    schema = Schema.parse(fields)
    with pytest.raises(RequestRefused, match=met) as refusal:
        schema.check(specs, "wf/a")
    assert refusal.value.code == Code.SCHEMA_MISMATCH
    assert str(schema) in refusal.value.message
    assert "wf/a" in refusal.value.message


def test_people_read_schemas() -> None:
    assert str(Schema.parse(FIELD)) == "float32[64, *]"
    assert str(Schema.parse(NAMED)) == "b: bfloat16[*], w: int8[]"


def test_dimensions_by_name() -> None:
    assert Schema.parse(FIELD).shape_of("") == (64, None)
    assert Schema.parse(NAMED).shape_of("b") == (None,)
    assert Schema.parse(NAMED).shape_of("") is None


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({}, "'dtype' is required"),
        ({"dtpye": "float32", "shape": []}, "^schema: field 'dtype' is required; unknown field 'dtpye' "),
        ({"tensors": {"w": {}}}, "^tensor 'w' of schema: field 'dtype' is required "),
        ({"dtype": "float32"}, "shape must be a list"),
        ({"dtype": "float31", "shape": []}, "unknown dtype 'float31'"),
        ({"dtype": 1, "shape": []}, "'dtype' must be a string"),
        ({"dtype": "float32", "shape": 3}, "shape must be a list"),
        ({"dtype": "float32", "shape": [-1]}, "shape must be a list"),
        ({"dtype": "float32", "shape": [True]}, "shape must be a list"),
        ({"dtype": "float32", "shape": [2**53]}, "shape must be a list"),
        ({"dtype": "float32", "shape": [1] * 33}, "shape must be a list"),
        ({"tensors": {}}, "from 1 to 255"),
        ({"tensors": {str(number): FIELD for number in range(256)}}, "from 1 to 255"),
        ({"tensors": {"w": 1}}, "'w' must be an object"),
        ({"tensors": {"w" * 256: FIELD}}, "exceeds 255 bytes"),
    ],
)
def test_what_is_no_schema_says_why(fields: dict[str, Any], problem: str) -> None:
    with pytest.raises(RequestRefused, match=problem) as refusal:
        Schema.parse(fields)
    assert refusal.value.code == Code.INVALID_REQUEST


def test_a_shape_may_be_a_tuple_as_python_has_it() -> None:
    assert Schema.parse({"dtype": "float32", "shape": np.zeros((2, 3)).shape}).shape_of("") == (2, 3)
