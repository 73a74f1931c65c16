"""Invariant: arrays arrive bit for bit, in place where memory allows it; no payload is taken for more than it is."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import Code, InvalidArgument, RequestRefused, UnsupportedDtype
from gateway.protocol.tensors import (
    TensorSpec,
    as_wire_array,
    payload_buffers,
    payload_layout,
    spec_of,
    view_alike,
    view_tensors,
)
from tests.protocol.strategies import Array, arrays, dtypes, same_bits, shapes

FLOATS = np.arange(6, dtype=np.float32).reshape(2, 3)


class DLPackOnly:
    """What a tensor of another library looks like: DLPack and nothing else."""

    def __init__(self, array: Array, device: tuple[int, int] = (1, 0)) -> None:
        self.array = array
        self.device = device

    def __dlpack__(self, **options: Any) -> Any:
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.device


class DLPackAndArray(DLPackOnly):
    """A tensor whose dtype numpy's DLPack lacks, but that can make an array of itself."""

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return self.array


class InterfaceOnly:
    """An array of another library, by ``__array_interface__``."""

    def __init__(self, array: Array) -> None:
        self.array = array
        self.__array_interface__ = array.__array_interface__


class Undecided:
    """A tensor without storage, which cannot say where it lies."""

    def __dlpack_device__(self) -> tuple[int, int]:
        raise ValueError("meta tensor")


@given(array=arrays())
def test_a_wire_array_is_the_array_itself(array: Array) -> None:
    assert as_wire_array(array) is array


@given(array=arrays(max_ndim=6), order=st.randoms(use_true_random=False))
def test_strided_arrays_are_converted(array: Array, order: Any) -> None:
    axes = list(range(array.ndim))
    order.shuffle(axes)
    strided = array.transpose(axes)[..., ::-1] if array.ndim else array
    converted = as_wire_array(strided)
    assert converted.flags.c_contiguous
    assert same_bits(converted, strided)


@given(array=arrays(max_ndim=4))
def test_big_endian_is_converted(array: Array) -> None:
    swapped = array.astype(array.dtype.newbyteorder(">"))
    converted = as_wire_array(swapped)
    assert converted.flags.c_contiguous
    assert same_bits(converted, array)


def test_fortran_order_is_converted() -> None:
    converted = as_wire_array(np.asfortranarray(FLOATS))
    assert converted.flags.c_contiguous
    assert same_bits(converted, FLOATS)


@pytest.mark.parametrize(
    ("value", "dtype", "shape"),
    [
        (5, "int64", ()),
        (2.5, "float64", ()),
        (True, "bool", ()),
        (1j, "complex128", ()),
        (np.float32(1), "float32", ()),
        ([], "float64", (0,)),
        ([[1, 2], [3, 4]], "int64", (2, 2)),
        (bytearray(b"abc"), "uint8", (3,)),
        (memoryview(b"abc"), "uint8", (3,)),
        (range(3), "int64", (3,)),
    ],
)
def test_array_likes(value: object, dtype: str, shape: tuple[int, ...]) -> None:
    array = as_wire_array(value)
    assert (type(array), array.dtype, array.shape) == (np.ndarray, np.dtype(dtype), shape)


def test_subclasses_become_plain_arrays_over_the_same_memory() -> None:
    class Labelled(np.ndarray[Any, np.dtype[Any]]):
        pass

    labelled = FLOATS.view(Labelled)
    array = as_wire_array(labelled)
    assert type(array) is np.ndarray
    assert np.shares_memory(array, labelled)


@pytest.mark.parametrize("wrapper", [DLPackOnly, InterfaceOnly])
def test_foreign_cpu_memory_is_not_copied(wrapper: type[DLPackOnly]) -> None:
    array = as_wire_array(wrapper(FLOATS))
    assert same_bits(array, FLOATS)
    assert np.shares_memory(array, FLOATS)
    assert np.shares_memory(np.frombuffer(payload_buffers([array])[0], np.uint8), FLOATS)


def test_pinned_host_memory_is_cpu_memory() -> None:
    assert np.shares_memory(as_wire_array(DLPackOnly(FLOATS, device=(3, 0))), FLOATS)


@pytest.mark.parametrize(
    ("device", "name"), [((2, 1), "CUDA:1"), ((8, 0), "Metal:0"), ((10, 0), "ROCm:0"), ((99, 0), "DLPack type 99:0")]
)
def test_memory_of_another_device_is_refused(device: tuple[int, int], name: str) -> None:
    with pytest.raises(InvalidArgument, match=f"device {name}; copy it to CPU memory"):
        as_wire_array(DLPackOnly(FLOATS, device))


def test_a_tensor_without_a_device_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="which device a Undecided lies on: meta tensor"):
        as_wire_array(Undecided())


def test_a_dtype_that_dlpack_lacks_comes_by_the_array_protocol() -> None:
    brain_floats = FLOATS.astype(ml_dtypes.bfloat16)
    assert np.shares_memory(as_wire_array(DLPackAndArray(brain_floats)), brain_floats)
    with pytest.raises(InvalidArgument, match="convert it to a numpy array first"):
        as_wire_array(DLPackOnly(brain_floats))


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        (np.array([object()]), "object"),
        (np.zeros(2, [("a", "i4")]), "[('a', '<i4')]"),
        (np.array(["text"]), "<U4"),
        (np.array(["text"], dtype=np.dtypes.StringDType()), "StringDType()"),
        (np.zeros(2, ">M8[s]"), ">M8[s]"),
        ("text", "<U4"),
        (b"text", "|S4"),
        (None, "object"),
        ({"a": 1}, "object"),
    ],
)
def test_values_that_cannot_travel_name_their_dtype(value: object, dtype: str) -> None:
    with pytest.raises(UnsupportedDtype) as caught:
        as_wire_array(value)
    assert f"dtype {dtype} " in str(caught.value)


def test_an_integer_beyond_64_bits_says_what_to_do() -> None:
    with pytest.raises(UnsupportedDtype, match="1180591620717411303424 cannot be sent: it exceeds 64 bits: send it as"):
        as_wire_array(2**70)


def test_ragged_lists_and_masked_arrays_are_refused() -> None:
    with pytest.raises(InvalidArgument, match="list"):
        as_wire_array([[1], [2, 3]])
    with pytest.raises(InvalidArgument, match="mask"):
        as_wire_array(np.ma.masked_array([1, 2], mask=[True, False]))


@given(dtype=dtypes, shape=shapes())
def test_spec(dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
    array = np.zeros(shape, dtype)
    spec = spec_of(array, "w")
    assert (spec.name, spec.dtype, spec.shape, spec.nbytes) == ("w", dtype, shape, array.nbytes)


def test_spec_sizes_are_exact_past_64_bits() -> None:
    assert TensorSpec("", np.dtype("<f8"), (2**64 - 1,) * 32).nbytes == 8 * (2**64 - 1) ** 32


@given(tensors=st.lists(arrays(max_ndim=4), max_size=5))
def test_round_trip_in_place(tensors: list[Array]) -> None:
    specs = [spec_of(array) for array in tensors]
    offsets, payload_bytes = payload_layout(specs)
    buffers = payload_buffers(tensors)
    assert sum(len(buffer) for buffer in buffers) == payload_bytes
    payload = bytearray(b"".join(buffers))
    whole = np.frombuffer(payload, np.uint8)
    views = view_tensors(specs, payload)
    for view, array, offset in zip(views, tensors, offsets, strict=True):
        assert same_bits(view, array)
        assert offset % 8 == 0
        assert not view.flags.writeable
        assert np.shares_memory(view, whole[offset:]) == bool(view.size)


@given(array=arrays())
def test_contiguous_arrays_are_not_copied(array: Array) -> None:
    (buffer,) = payload_buffers([array])
    assert len(buffer) == array.nbytes
    assert np.shares_memory(np.frombuffer(buffer, np.uint8), array) == bool(array.size)


def test_layout_has_padding_between_and_none_after() -> None:
    arrays_of_odd_size: list[Array] = [np.arange(3, dtype=np.uint8), np.ones((), np.float64), np.ones(1, np.int16)]
    assert payload_layout([spec_of(array) for array in arrays_of_odd_size]) == ((0, 8, 16), 18)
    payload = b"".join(payload_buffers(arrays_of_odd_size))
    assert payload == b"\0\1\2" + bytes(5) + b"\0\0\0\0\0\0\xf0\x3f" + b"\1\0"


def test_an_empty_last_tensor_starts_after_the_padding() -> None:
    tensors: list[Array] = [np.ones(3, np.uint8), np.ones((0, 4), np.float32)]
    assert payload_layout([spec_of(array) for array in tensors]) == ((0, 8), 8)
    assert b"".join(payload_buffers(tensors)) == b"\1\1\1" + bytes(5)


@pytest.mark.parametrize("payload", [b"", bytes(23), bytes(25)])
def test_payload_of_another_size_is_refused(payload: bytes) -> None:
    with pytest.raises(RequestRefused, match=f"payload has {len(payload)} bytes, its tensors have 24") as caught:
        view_tensors([spec_of(FLOATS)], payload)
    assert caught.value.code == Code.SIZE_MISMATCH


def test_payload_without_tensors_is_refused() -> None:
    assert view_tensors([], b"") == ()
    with pytest.raises(RequestRefused) as caught:
        view_tensors([], b"\0")
    assert caught.value.code == Code.SIZE_MISMATCH


@given(array=arrays(max_ndim=3), count=st.integers(1, 5))
def test_a_record_batch_is_one_array(array: Array, count: int) -> None:
    payload = array.tobytes() * count
    (batch,) = view_tensors([spec_of(array)], payload, count=count)
    assert same_bits(batch, np.stack([array] * count))
    assert not batch.flags.writeable
    assert np.shares_memory(batch, np.frombuffer(payload, np.uint8)) == bool(batch.size)


@pytest.mark.parametrize(
    ("specs", "count", "code"),
    [
        ([], 1, Code.INVALID_TENSOR),
        ([spec_of(FLOATS, "a"), spec_of(FLOATS, "b")], 1, Code.INVALID_TENSOR),
        ([spec_of(FLOATS)], 2, Code.SIZE_MISMATCH),
        ([TensorSpec("", np.dtype("<f8"), (0, 2**59))], 2**32 - 1, Code.INVALID_TENSOR),
        ([TensorSpec("", np.dtype("<f8"), (0,) * 32)], 2**32 - 1, None),
        ([TensorSpec("", np.dtype("<f8"), (0,) * 65)], 1, Code.INVALID_TENSOR),
    ],
)
def test_batches_that_are_no_array(specs: list[TensorSpec], count: int, code: Code | None) -> None:
    payload = b"" if not specs or 0 in specs[0].shape else FLOATS.tobytes()
    if code is None:
        assert view_tensors(specs, payload, count=count)[0].shape == (count, *specs[0].shape)
        return
    with pytest.raises(RequestRefused) as caught:
        view_tensors(specs, payload, count=count)
    assert caught.value.code == code


@given(payload=st.binary(min_size=1, max_size=300))
def test_bool_bytes_of_a_peer_are_made_0_or_1(payload: bytes) -> None:
    (flags,) = view_tensors([TensorSpec("", np.dtype(np.bool_), (len(payload),))], payload)
    truth = [byte != 0 for byte in payload]
    assert flags.view(np.uint8).tolist() == truth
    assert not flags.flags.writeable
    # What goes wrong with other bytes: the number of true elements, which sizes what a mask selects.
    assert np.count_nonzero(flags) == sum(truth)
    assert len(np.arange(len(payload))[flags]) == sum(truth)


def test_a_bool_scalar_of_a_peer_stays_an_array() -> None:
    (flag,) = view_tensors([TensorSpec("", np.dtype(np.bool_), ())], b"\x02")
    assert isinstance(flag, np.ndarray)
    assert (flag.shape, flag.view(np.uint8).tolist(), flag.flags.writeable) == ((), 1, False)


def test_tensors_that_are_alike_are_one_view_with_gaps() -> None:
    spec = TensorSpec("", np.dtype("<i2"), (2, 3))
    payloads = np.arange(3 * 8, dtype="<i2").tobytes()[:-4]  # each of 12 bytes, and 4 bytes to the next
    rows = view_alike(spec, payloads, 3, 16)
    assert rows[:, 0, 0].tolist() == [0, 8, 16]
    assert rows[2].tolist() == [[16, 17, 18], [19, 20, 21]]
    assert np.shares_memory(rows, np.frombuffer(payloads, np.uint8))
    assert not rows.flags.writeable
    with pytest.raises(RequestRefused, match="no array can have shape"):
        view_alike(spec, payloads[:-1], 3, 16)


def test_clean_bool_is_not_copied() -> None:
    payload = bytes([0, 1, 1, 0])
    (flags,) = view_tensors([TensorSpec("", np.dtype(np.bool_), (2, 2))], payload)
    assert np.shares_memory(flags, np.frombuffer(payload, np.uint8))
