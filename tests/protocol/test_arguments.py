"""Tests that a check returns a value that can be used, or raises an error with the name and the value."""

from __future__ import annotations

import functools
import math
import tracemalloc
from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import InvalidArgument
from gateway.protocol.arguments import (
    check_callback,
    check_count,
    check_flag,
    check_seconds,
    check_text,
    check_timeout,
    check_type,
    shown,
    wrong,
)

ANYTHING = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(),
    st.binary(),
    st.complex_numbers(),
    st.lists(st.integers()),
    st.fractions(),
    st.decimals(),
)


class Unshowable:
    """A value whose repr fails."""

    def __repr__(self) -> str:
        raise RuntimeError("no")


@given(ANYTHING)
def test_a_check_returns_a_usable_value_or_names_the_wrong_one(value: object) -> None:
    for check in (check_seconds, check_count, check_flag, check_text):
        problem = None
        try:
            checked: object = check("it_s", value)
        except InvalidArgument as error:
            problem = str(error)
        if problem is None:
            # Seconds are floats, which not every integer is.
            assert checked == (
                float(value) if isinstance(value, int | Fraction | Decimal) and type(checked) is float else value
            )
        else:
            assert problem.startswith(f"it_s={shown(value)}: ")


@given(st.floats(0, 1e9) | st.integers(0, 2**62))
def test_seconds_are_floats(value: float) -> None:
    seconds = check_seconds("wait_s", value)
    assert type(seconds) is float
    assert math.isclose(seconds, value)


@pytest.mark.parametrize("value", [np.float32(0.5), np.float64(0.5), Fraction(1, 2), 0.5])
def test_numbers_of_all_libraries_are_seconds(value: object) -> None:
    assert check_seconds("wait_s", value) == 0.5


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, -0.1, "5", True, np.bool_(True), 10**400, 1j, None])
def test_what_is_no_time(value: object) -> None:
    with pytest.raises(InvalidArgument, match=r"wait_s=.*seconds, finite and not negative, at most 1e\+09"):
        check_seconds("wait_s", value, maximum=1e9)
    if value is not None:
        with pytest.raises(InvalidArgument, match="or None for no limit"):
            check_timeout("wait_s", value)


def test_bounds_of_seconds() -> None:
    with pytest.raises(InvalidArgument, match=r"wait_s=0: .*above 0"):
        check_seconds("wait_s", 0, zero=False)
    with pytest.raises(InvalidArgument, match="at most 10"):
        check_seconds("wait_s", 10.5, maximum=10)
    assert (check_timeout("wait_s", None), check_timeout("wait_s", 0)) == (None, 0)


def test_counts() -> None:
    assert type(check_count("n", np.int64(3))) is int
    with pytest.raises(InvalidArgument, match="n=0: it must be an integer, at least 1"):
        check_count("n", 0)
    with pytest.raises(InvalidArgument, match="n=9: it must be an integer, from 0 to 8"):
        check_count("n", 9, minimum=0, maximum=8)


def test_flags_types_and_callbacks() -> None:
    assert check_flag("f", np.bool_(True)) is True
    assert check_type("t", 5, int, "no") == 5
    assert check_callback("c", None) is None
    assert check_callback("c", print) is print
    with pytest.raises(InvalidArgument, match="t='a': give a number"):
        check_type("t", "a", (int, float), "give a number")
    with pytest.raises(InvalidArgument, match="c=5: it must be a function, or None"):
        check_callback("c", 5)  # type: ignore[type-var]


async def coroutine_function(*_: object) -> None:
    """A callback that nobody would await."""


async def generator_function(*_: object) -> AsyncIterator[None]:
    """A callback that nobody would iterate over."""
    yield


class AsyncCallable:
    async def __call__(self, *_: object) -> None:
        """A callback that nobody would await."""


@pytest.mark.parametrize(
    "function",
    [
        coroutine_function,
        generator_function,
        functools.partial(coroutine_function, 1),
        AsyncCallable(),
        AsyncCallable().__call__,
    ],
)
def test_a_callback_is_no_async_function(function: Callable[..., object]) -> None:
    with pytest.raises(InvalidArgument, match=r"on_gap=.*: it must be a plain function, because an async one is never"):
        check_callback("on_gap", function)


def test_text_is_valid_unicode() -> None:
    with pytest.raises(InvalidArgument, match="surrogates"):
        check_text("name", "\udc80")


def test_values_are_shown_shortened_and_at_all_costs() -> None:
    assert shown("x" * 100) == "'" + "x" * 79 + "..."
    assert shown(Unshowable()) == "<Unshowable>"
    assert shown(10**5000) == "<int>"
    assert str(wrong("a", 1, "no")) == "a=1: no"


def test_a_value_is_shown_in_one_line_and_without_making_all_of_its_text() -> None:
    class Table:
        def __repr__(self) -> str:
            return "  a\n0 1\n1 2"

    assert shown(Table()) == "a 0 1 1 2"
    assert shown("a  b") == "'a  b'"
    for long in ("x" * 10**8, b"x" * 10**8, bytearray(10**8)):
        tracemalloc.start()
        assert shown(long).endswith("...")
        assert tracemalloc.get_traced_memory()[1] < 10_000
        tracemalloc.stop()
