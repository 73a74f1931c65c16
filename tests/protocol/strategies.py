"""Hypothesis strategies for any test of tensors: every dtype that travels, every shape up to 32 dimensions, chains."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st

from gateway.protocol.codecs import COMPRESSORS, DELTAS
from gateway.protocol.dtypes import DTYPES
from gateway.protocol.encoding import Chain
from gateway.protocol.extensions import Extensions, Extent, Identity, Quantization
from gateway.protocol.wire import MAX_NDIM

Array = npt.NDArray[Any]

MAX_ELEMENTS = 512

dtypes = st.sampled_from(DTYPES)
"""Every dtype that travels."""

names = st.text(st.characters(codec="utf-8"), max_size=60)
"""Names of tensors; at most 240 bytes."""

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    # No surrogates: they are not Unicode text.
    | st.text(st.characters(codec="utf-8")),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=4)
    ),
    max_leaves=8,
)

headers = st.none() | st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=20), json_values, max_size=5)
"""Headers of a message."""


@st.composite
def shapes(draw: st.DrawFn, max_ndim: int = MAX_NDIM) -> tuple[int, ...]:
    """Shapes from 0-d to ``max_ndim`` dimensions, empty ones too, of at most 512 elements."""
    ndim = draw(st.integers(0, max_ndim))
    room = MAX_ELEMENTS
    shape = []
    for _ in range(ndim):
        dimension = draw(st.integers(0, min(room, 8)) if room > 1 else st.integers(0, 1))
        room //= max(dimension, 1)
        shape.append(dimension)
    return tuple(shape)


@st.composite
def arrays(draw: st.DrawFn, max_ndim: int = MAX_NDIM) -> Array:
    """C-contiguous arrays of every dtype and shape; any bits, so NaN of all kinds too; bool is 0 or 1."""
    dtype, shape = draw(dtypes), draw(shapes(max_ndim))
    size = math.prod(shape) * dtype.itemsize
    raw = np.array(bytearray(draw(st.binary(min_size=size, max_size=size))), np.uint8)
    if dtype.kind == "b":
        raw &= 1
    return raw.view(dtype).reshape(shape)


@st.composite
def chains(draw: st.DrawFn, *, delta: bool = False) -> Chain:
    """Codec chains that compress; of quick levels only. Deltas of every filter, if asked for."""
    codec = draw(st.sampled_from(sorted(COMPRESSORS)))
    levels = [level for level in (-7, 0, 1, 3) if level in COMPRESSORS[codec].levels]
    filters = sorted(DELTAS) if delta else [""]
    level = draw(st.sampled_from([None, *levels]))
    return Chain(draw(st.booleans()), codec, level, draw(st.sampled_from(filters)), int(delta))


_bounds = st.none() | st.integers(-10, 10)
_spans = st.builds(slice, _bounds, _bounds, st.none() | st.integers(-4, 4).filter(bool))
_items = st.integers(-9, 9) | _spans


@st.composite
def indices(draw: st.DrawFn, max_ndim: int = 4) -> tuple[Any, ...]:
    """What may stand in ``np.s_[...]``."""
    index = draw(st.lists(_items, max_size=max_ndim))
    if draw(st.booleans()):
        index.insert(draw(st.integers(0, len(index))), Ellipsis)  # type: ignore[arg-type]  # it may stand anywhere
    return tuple(index)


def same_bits(one: Array, other: Array) -> bool:
    """Whether two arrays have the same dtype, shape and bytes; unlike ``==``, NaN equals itself."""
    return one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()


_U32 = st.integers(0, 2**32 - 1)
_U64 = st.integers(0, 2**64 - 1)
_finite = st.floats(allow_nan=False, allow_infinity=False)

EXTENSIONS = st.builds(
    Extensions,
    region=st.none() | st.lists(st.builds(Extent, _U64, _U64, st.integers(1, 2**64 - 1)), max_size=MAX_NDIM).map(tuple),
    deadline_ns=st.none() | st.integers(-(2**63), 2**63 - 1),
    identity=st.none() | st.builds(Identity, _U64, _U64),
    quantized=st.none() | st.builds(Quantization, _U32, _finite, _finite),
    resuming=st.booleans(),
)
"""Extension blocks with any of their fields."""
