"""Regions: against numpy's own indexing, and every way in which one can be wrong."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import Code, InvalidArgument, RequestRefused
from gateway.protocol.extensions import Extent
from gateway.protocol.regions import Region

SHAPE = (4, 6)


@st.composite
def keys(draw: st.DrawFn, shape: tuple[int, ...]) -> Any:
    """What numpy's basic indexing takes, without what a region refuses."""
    items: list[Any] = []
    for size in shape:
        if size and draw(st.booleans()):
            items.append(draw(st.integers(-size, size - 1)))
            continue
        bounds = st.none() | st.integers(-size, size)
        items.append(slice(draw(bounds), draw(bounds), draw(st.none() | st.integers(1, size + 2))))
    cut = draw(st.integers(0, len(items)))
    if draw(st.booleans()):
        end = draw(st.integers(cut, len(items)))
        items[cut:end] = [Ellipsis]
    else:
        items = items[:cut]
    return items[0] if len(items) == 1 and draw(st.booleans()) else tuple(items)


@given(st.data(), st.lists(st.integers(0, 5), max_size=4).map(tuple))
def test_a_region_selects_what_numpy_selects(data: st.DataObject, shape: tuple[int, ...]) -> None:
    key = data.draw(keys(shape))
    array = np.arange(np.prod(shape, dtype=int)).reshape(shape)
    region = Region.of(key, shape)
    region.check(shape)
    assert region.shape == region.selects(array).shape
    assert region.selects(array).ravel().tolist() == np.asarray(array[key]).ravel().tolist()
    patch = -1 - np.arange(np.prod(region.shape, dtype=int)).reshape(np.shape(array[key]))
    expected = array.copy()
    expected[key] = patch
    region.selects(array)[...] = region.fit(patch)
    np.testing.assert_array_equal(array, expected)


def test_a_part_is_a_view_also_of_a_scalar() -> None:
    scalar = np.array(1.0)
    Region.of((), ()).selects(scalar)[...] = 2.0
    assert scalar == 2.0


@pytest.mark.parametrize(
    ("key", "extents"),
    [
        (np.s_[0:2, 3:6], [(0, 2, 1), (3, 3, 1)]),
        (np.s_[1, 0:6:2], [(1, 1, 1), (0, 3, 2)]),
        (np.s_[:2, np.int64(5)], [(0, 2, 1), (5, 1, 1)]),
        (np.s_[3:1], [(3, 0, 1)]),
    ],
)
def test_bounds_that_are_named_need_no_shape(key: Any, extents: list[tuple[int, int, int]]) -> None:
    assert Region.of(key).extents == tuple(Extent(*extent) for extent in extents)


@pytest.mark.parametrize("key", [np.s_[0:2, :], np.s_[1:], np.s_[...], np.s_[-1], np.s_[0:-1]])
def test_other_bounds_do(key: Any) -> None:
    with pytest.raises(InvalidArgument, match="needs the shape of the state"):
        Region.of(key)
    assert Region.of(key, SHAPE).shape


def test_a_shape_may_be_known_in_part() -> None:
    assert Region.of(np.s_[:, 0:2], (4, None)).shape == (4, 2)
    with pytest.raises(InvalidArgument, match="dimension 1: an open end needs the shape"):
        Region.of(np.s_[0:4], (4, None))


@pytest.mark.parametrize(
    ("key", "problem"),
    [
        (np.s_[0:5], "0:5 in dimension 0 is outside of its 4 indices"),
        (np.s_[:, 6], "6 in dimension 1 is outside"),
        (np.s_[-5], "-5 in dimension 0 is outside"),
        (np.s_[::-1], "a step is at least 1"),
        (np.s_[::0], "a step is at least 1"),
        (np.s_[0, 0, 0], "more dimensions than the state"),
        (np.s_[..., 0, ...], "more than one"),
        (np.s_[np.newaxis, 0], "integers, slices"),
        (np.s_[[0, 1]], "integers, slices"),
        (np.s_[True], "integers, slices"),
        (np.s_[np.array([True] * 4)], "integers, slices"),
        (np.s_[0.0:2.0], "integers, slices"),
        (np.s_["a"], "integers, slices"),
    ],
)
def test_what_is_no_region_says_why(key: Any, problem: str) -> None:
    with pytest.raises(InvalidArgument, match=problem):
        Region.of(key, SHAPE)


@pytest.mark.parametrize(
    ("extents", "problem"),
    [
        ([(0, 5, 1), (0, 6, 1)], r"region \[0:5, 0:6\] of a state of shape \(4, 6\): dimension 0 has no index 4"),
        ([(0, 4, 1), (1, 3, 3)], r"\[0:4, 1:8:3\] .* dimension 1 has no index 7"),
        ([(2**64 - 1, 2**64 - 1, 2**64 - 1), (0, 0, 1)], "dimension 0"),
        ([(0, 4, 1)], r"\[0:4\] .*: 1 dimensions, the state has 2"),
    ],
)
def test_a_region_outside_is_refused_with_the_shape_that_it_met(
    extents: list[tuple[int, int, int]], problem: str
) -> None:
    with pytest.raises(RequestRefused, match=problem) as refusal:
        Region(tuple(Extent(*extent) for extent in extents)).check(SHAPE)
    assert refusal.value.code == Code.INVALID_REGION


def test_a_step_that_leads_nowhere_may_be_as_large_as_the_wire_allows() -> None:
    region = Region((Extent(3, 1, 2**64 - 1), Extent(6, 0, 1)))
    region.check(SHAPE)
    assert region.selects(np.zeros(SHAPE)).shape == (1, 0)


def test_a_patch_must_fill_its_region() -> None:
    region = Region.of(np.s_[1, 0:3], SHAPE)
    assert region.fit(np.zeros(3)).shape == (1, 3)
    assert region.fit(np.zeros((1, 3))).shape == (1, 3)
    for wrong in (np.zeros(2), np.zeros((3, 3)), np.zeros(())):
        with pytest.raises(
            InvalidArgument, match=r"patch of shape .* does not fit region \[1:2, 0:3\] of shape \(1, 3\)"
        ):
            region.fit(wrong)
