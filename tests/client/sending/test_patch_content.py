"""Tests how a patch is laid out, and where the shape of the state is known from."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gateway.client.sending.content import content_of
from gateway.client.sending.patch_content import patch_of, schema_in, shape_of
from gateway.errors import InvalidArgument, UnsupportedDtype
from gateway.protocol.extensions import Extent
from gateway.protocol.messages import Kind, StreamInfo
from gateway.protocol.meta import parse_meta
from gateway.protocol.schema import Schema

FIELD = Schema.parse({"tensors": {"w": {"dtype": "float32", "shape": [64, None]}}})
ROW = np.arange(4, dtype=np.float32)


def test_a_row_is_a_patch_of_two_dimensions_over_the_callers_memory() -> None:
    content, region = patch_of(ROW, np.s_[3, :], "w", (5, 4), None, {"step": 1})
    meta = parse_meta(content.meta)
    assert [(spec.name, spec.shape) for spec in meta.specs] == [("w", (1, 4))]
    assert meta.headers == {"step": 1}
    assert region.extents == (Extent(3, 1, 1), Extent(0, 4, 1))
    assert np.shares_memory(np.frombuffer(content.buffers[0], np.float32), ROW)


def test_an_unnamed_tensor_needs_no_name() -> None:
    content, _ = patch_of([[1.0, 2.0]], np.s_[0:1, 0:2], None, None, Kind.STATE, None)
    assert [spec.name for spec in parse_meta(content.meta).specs] == [""]


@pytest.mark.parametrize(
    ("value", "region", "kind", "problem"),
    [
        (ROW, np.s_[3, :], Kind.EVENT, "not of a stream of kind event"),
        ({"w": ROW}, np.s_[3, :], None, "name the tensor that it changes by tensor="),
        (None, np.s_[3, :], None, "takes one array"),
        (ROW, np.s_[2:4, :], None, r"patch of shape \(4,\) does not fit region \[2:4, 0:4\]"),
        (ROW, np.s_[9, :], None, "outside of its 5 indices"),
    ],
)
def test_what_is_no_patch_says_why(value: object, region: Any, kind: Kind | None, problem: str) -> None:
    with pytest.raises(InvalidArgument, match=problem):
        patch_of(value, region, None, (5, 4), kind, None)


def test_a_dtype_that_does_not_travel() -> None:
    with pytest.raises(UnsupportedDtype):
        patch_of(np.array(["a"]), np.s_[0:1], None, None, None, None)


def test_the_shape_is_that_of_what_was_published_whole_or_else_declared() -> None:
    whole = content_of({"w": np.zeros((2, 3)), "b": np.zeros(4)}, None).meta
    assert shape_of(whole, [FIELD], "w") == (2, 3)
    assert shape_of(whole, [FIELD], "nothing") is None
    assert shape_of(None, [None, FIELD], "w") == (64, None)
    assert shape_of(None, [None], "w") is None


def test_what_the_gateway_tells_is_read_leniently() -> None:
    info = StreamInfo(7, "wf/a", Kind.STATE, 1, 0)
    assert schema_in(None) is None
    assert schema_in(info) is None
    told = StreamInfo(7, "wf/a", Kind.STATE, 1, 0, schema=FIELD.fields())
    assert schema_in(told) == FIELD
    later = StreamInfo(7, "wf/a", Kind.STATE, 1, 0, schema={"of": "another time"})
    assert schema_in(later) is None
