"""Views: what they are equal to, what they make of a descriptor and of an array, and what is no view."""

from __future__ import annotations

from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import Code, InvalidArgument, RequestRefused
from gateway.protocol.dtypes import dtype_name
from gateway.protocol.quantization import may_cast
from gateway.protocol.tensors import TensorSpec, spec_of
from gateway.protocol.views import Span, View
from tests.protocol.strategies import Array, arrays, dtypes, indices, same_bits, shapes


@given(arrays(max_ndim=4), indices())
def test_it_takes_what_numpy_takes_or_refuses_what_numpy_refuses(array: Array, index: tuple[Any, ...]) -> None:
    view = View(index)
    try:
        expected = np.asarray(array[index])
    except IndexError:
        with pytest.raises(RequestRefused) as refused:
            view.check(spec_of(array))
        assert refused.value.code == Code.INVALID_VIEW
        assert f"view {view}" in refused.value.message
        assert f"dtype {dtype_name(array.dtype)} and shape {list(array.shape)}" in refused.value.message
        return
    spec = view.check(spec_of(array, "w"))
    assert spec == TensorSpec("w", array.dtype, expected.shape)
    assert same_bits(view.apply(array), expected)
    assert np.shares_memory(view.apply(array), array) or not expected.size


@given(arrays(max_ndim=3), indices(max_ndim=3), st.integers(1, 3))
def test_of_a_record_batch_it_takes_the_same_of_each_record(array: Array, index: tuple[Any, ...], count: int) -> None:
    view = View(index)
    try:
        record = view.check(spec_of(array))
    except RequestRefused:
        return
    batch = np.stack([array] * count)
    assert view.apply(batch, is_batch=True).shape == (count, *record.shape)
    assert same_bits(view.apply(batch, is_batch=True)[count - 1], view.apply(array))


@given(shapes(max_ndim=4), dtypes, indices(), dtypes | st.none())
def test_two_spellings_of_one_view_have_one_canonical_form(
    shape: tuple[int, ...], dtype: np.dtype[Any], index: tuple[Any, ...], target: np.dtype[Any] | None
) -> None:
    spec = TensorSpec("", dtype, shape)
    view = View(index, target)
    try:
        canonical = view.canonical(spec)
    except RequestRefused:
        return
    assert canonical.check(spec) == view.check(spec)
    assert canonical.canonical(spec) == canonical
    array = np.arange(spec.nbytes // dtype.itemsize).reshape(shape)
    assert same_bits(canonical.apply(array), view.apply(array))
    # Another view that takes the same elements, at least two of every dimension, is the same one.
    spelled = tuple(
        slice(span.start, span.stop if span.stop is not None else -shape[axis] - 1, span.step)
        for axis, span in enumerate(item for item in canonical.slice if isinstance(item, Span))
    )
    if len(spelled) == len(canonical.slice):
        assert View((*spelled, Ellipsis), canonical.dtype or dtype).canonical(spec) == canonical


def test_spellings_that_mean_the_same_of_every_tensor_are_equal() -> None:
    assert View(np.s_[::4]) == View((slice(0, None, 4),)) == View(np.s_[0::4, ...])
    assert View(np.s_[...]) == View()
    assert View(dtype=np.float32) == View(dtype="float32") == View(dtype=np.dtype(">f4"))
    assert View(np.s_[np.int64(3)]) == View(3)
    assert View(max_rate_hz=10) == View(max_rate_hz=10.0)
    assert View(np.s_[::4]) != View(np.s_[::4, :])  # which no vector has
    assert len({View(np.s_[::4]), View(np.s_[0::4])}) == 1


@given(
    indices(),
    st.none() | dtypes,
    st.none() | st.floats(0.001, 1000),
    st.none() | st.text(st.characters(codec="utf-8"), max_size=20),
)
def test_its_json_says_all_of_it(
    index: tuple[Any, ...], dtype: np.dtype[Any] | None, rate_hz: float | None, tensor: str | None
) -> None:
    view = View(index, dtype, rate_hz, tensor)
    again = View.from_json(orjson.loads(orjson.dumps(view.to_json())))
    assert again == view
    assert hash(again) == hash(view)


def test_json_of_a_view_as_people_write_it() -> None:
    fields = {"slice": [[None, None, 4], [0, 10, None], "...", -1], "dtype": "float16", "max_rate_hz": 10}
    assert View.from_json(fields) == View(np.s_[::4, :10, ..., -1], "float16", 10)
    assert View.from_json({}) == View()
    assert str(View.from_json({**fields, "tensor": "w"})) == "[::4, :10, ..., -1] float16 at 10 Hz of tensor 'w'"
    assert str(View()) == "[...]"


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"slices": []}, "no field slices"),
        ({"slice": {}}, "must be a list, met dict"),
        ({"slice": "::4"}, "must be a list, met str"),
        ({"slice": [[0, 4]]}, "a list of 2"),
        ({"slice": [[0, 4, 0]]}, "a step of 0"),
        ({"slice": [[0, 4, 1.5]]}, "holds 1.5"),
        ({"slice": [True]}, "holds True"),
        ({"slice": [None]}, "holds None"),
        ({"slice": ["::4"]}, "holds '::4'"),
        ({"slice": [2**60]}, "exceeds"),
        ({"slice": ["...", "..."]}, "2 ellipses; one is allowed"),
        ({"slice": [0] * 40}, "at most 32 dimensions"),
        ({"dtype": 4}, "dtype of a view must be a string, met int"),
        ({"dtype": "float128"}, "unknown dtype 'float128'"),
        ({"max_rate_hz": "10"}, "max_rate_hz='10' of a view must be a number"),
        ({"max_rate_hz": True}, "max_rate_hz=True of a view must be a number"),
        ({"max_rate_hz": 0}, "max_rate_hz=0 of a view"),
        ({"max_rate_hz": 1e9}, "must be from 0.001 to 1000"),
        ({"tensor": 1}, "must be a string, met int"),
        ({"tensor": "w" * 300}, "at most 255 bytes"),
    ],
)
def test_what_is_no_view_is_refused(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(RequestRefused, match="view") as refused:
        View.from_json(fields)
    assert refused.value.code == Code.INVALID_VIEW
    assert said in refused.value.message


@pytest.mark.parametrize("dtype", ["U10", object, "no such", np.longdouble, 7])
def test_a_dtype_that_cannot_travel_is_an_invalid_argument(dtype: object) -> None:
    with pytest.raises(InvalidArgument, match="of a view"):
        View(dtype=dtype)


@given(dtypes, dtypes)
def test_a_cast_that_makes_no_sense_does_not_fit(source: np.dtype[Any], target: np.dtype[Any]) -> None:
    view, spec = View(dtype=target), TensorSpec("", source, (3,))
    if may_cast(source, target):
        assert view.check(spec) == TensorSpec("", target, (3,))
    else:
        with pytest.raises(RequestRefused, match=f"{dtype_name(source)} cannot become {dtype_name(target)}"):
            view.check(spec)


def test_a_named_tensor_is_the_only_one_that_comes_and_must_be_there() -> None:
    specs = (TensorSpec("w", np.dtype(np.float32), (4, 4)), TensorSpec("b", np.dtype(np.int8), (4,)))
    assert View(np.s_[::2], tensor="b").check_all(specs) == (TensorSpec("b", np.dtype(np.int8), (2,)),)
    assert [spec.shape for spec in View(np.s_[::2]).check_all(specs)] == [(2, 4), (2,)]
    with pytest.raises(RequestRefused, match=r"'w' float32\[4, 4\], 'b' int8\[4\]"):
        View(tensor="c").select(specs)
    with pytest.raises(RequestRefused, match="its slice has 2 dimensions"):
        View(np.s_[::2, ::2]).check_all(specs)
    assert View(np.s_[::2]).check_all(()) == ()


def test_one_tensor_of_a_message_can_be_quantized() -> None:
    specs = (TensorSpec("w", np.dtype("<f4"), (4,)), TensorSpec("b", np.dtype("<i4"), (4,)))
    with pytest.raises(RequestRefused, match=r"tensor 'w' .*: only one tensor of a message can be quantized"):
        View(dtype="uint8").check_all(specs)
    assert View(dtype="uint8", tensor="w").check_all(specs) == (TensorSpec("w", np.dtype("u1"), (4,)),)


@pytest.mark.parametrize(
    ("tensor", "problem"), [(7, "tensor=7 of a view must be a name"), ("\ud800", "must be a Unicode name")]
)
def test_a_tensor_is_named_by_text(tensor: Any, problem: str) -> None:
    with pytest.raises(InvalidArgument, match=problem):
        View(tensor=tensor)
