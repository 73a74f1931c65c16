"""Argument checks, each of which gives back the value of the program, or raises an error with its name and value.

To be called where a value is first seen, or where its use has failed: a message of a known stream passes no check.
"""

from __future__ import annotations

import difflib
import inspect
import math
import numbers
import operator
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final, TypeGuard, TypeVar

import numpy as np

from gateway.errors import InvalidArgument

C = TypeVar("C", bound=Callable[..., object] | None)
T = TypeVar("T")

MAX_EXPIRY_S: Final = 10 * 365 * 86_400.0
"""Deadlines further away are mistakes of the unit, and would not always fit the wire."""
SHOWN_CHARS: Final = 80
"""Longest part of a value that is shown."""


def is_a(value: object, expected: type[T] | tuple[type[T], ...]) -> TypeGuard[T]:
    """Return whether a value is of a class, or of one of several; False if the value does not even tell."""
    try:
        return isinstance(value, expected)
    except Exception:  # noqa: BLE001 - of the program's own class
        return False


def shown(value: object) -> str:
    """Return a value as an error shows it: shortened, in one line, and without failing if it cannot be shown."""
    if is_a(value, (str, bytes, bytearray)) and len(value) > SHOWN_CHARS:
        value = value[: SHOWN_CHARS + 1]  # the text of all of it may be long, and take long
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001 - of the program's own class, or an integer of too many digits
        text = f"<{type(value).__name__}>"
    if "\n" in text:
        text = " ".join(text.split())
    return text if len(text) <= SHOWN_CHARS else text[:SHOWN_CHARS] + "..."


def wrong(name: str, value: object, rule: str) -> InvalidArgument:
    """Return the error for the argument ``name``, with the rule that its value breaks."""
    return InvalidArgument(f"{name}={shown(value)}: {rule}")


def nearest(name: str, known: Collection[str]) -> str | None:
    """Return the names that an unknown name may stand for, as ``"a or b"``; ``None``: it is like none of the known."""
    containing = [other for other in known if name in other]
    return " or ".join(containing or difflib.get_close_matches(name, known, n=1)) or None


def check_text(name: str, value: object, rule: str = "it must be a string") -> str:
    """Check that a value is a string that can be sent.

    Raises:
        InvalidArgument: another type, or no valid Unicode.
    """
    if not is_a(value, str):
        raise wrong(name, value, rule)
    try:
        str.encode(value)
    except UnicodeEncodeError as error:
        raise wrong(name, value, f"it is not valid Unicode: {error.reason}") from None
    return value


def check_type(name: str, value: T, expected: type | tuple[type, ...], rule: str) -> T:
    """Check that a value is of a class, or of one of several.

    Raises:
        InvalidArgument: another type.
    """
    fits: bool = is_a(value, expected)
    if not fits:
        raise wrong(name, value, rule)
    return value


def check_flag(name: str, value: object) -> bool:
    """Return a flag as a bool.

    Raises:
        InvalidArgument: neither True nor False.
    """
    if not is_a(value, (bool, np.bool_)):
        raise wrong(name, value, "it must be True or False")
    return bool(value)


def check_callback(name: str, value: C, *, required: bool = False) -> C:
    """Check that a value can be called, or is None unless a function is required.

    Raises:
        InvalidArgument: another value, or an ``async`` function: what it returns would never be awaited.
    """
    if value is None and not required:
        return value
    if not callable(value):
        raise wrong(name, value, f"it must be a function{', or None' * (not required)}")
    if _is_async(value):
        raise wrong(
            name, value, "it must be a plain function, because an async one is never awaited: start a task in it"
        )
    return value


def _is_async(value: object) -> bool:
    """Return whether a call of the value makes a coroutine or an asynchronous generator, instead of running."""
    functions = (value, getattr(type(value), "__call__", None))  # noqa: B004 - the function itself is looked at
    try:
        return any(map(inspect.iscoroutinefunction, functions)) or any(map(inspect.isasyncgenfunction, functions))
    except Exception:  # noqa: BLE001 - raised by the program's own class
        return False


def check_mapping(name: str, value: object, rule: str) -> dict[Any, Any]:
    """Return a mapping as a dict.

    Raises:
        InvalidArgument: another type, or a mapping that cannot be read.
    """
    if not is_a(value, Mapping):
        raise wrong(name, value, rule)
    try:
        return dict(value)
    except Exception as error:  # of the program's own class
        raise wrong(name, value, f"{rule}; reading it failed ({type(error).__name__}: {error})") from error


def check_count(name: str, value: object, minimum: int = 1, maximum: int = 2**63 - 1) -> int:
    """Return an integer within bounds, also one of numpy.

    Raises:
        InvalidArgument: no integer, or out of bounds.
    """
    try:
        number = None if isinstance(value, bool | np.bool_) else operator.index(value)  # type: ignore[arg-type]
    except Exception:  # noqa: BLE001 - of the program's own class
        number = None
    if number is None or not minimum <= number <= maximum:
        bounds = f"at least {minimum}" if maximum == 2**63 - 1 else f"from {minimum} to {maximum}"
        raise wrong(name, value, f"it must be an integer, {bounds}")
    return number


def check_seconds(name: str, value: object, *, zero: bool = True, maximum: float = math.inf) -> float:
    """Return a time in seconds, also one of numpy.

    Args:
        name: name of the argument.
        value: the time.
        zero: whether 0 is allowed.
        maximum: longest time.

    Raises:
        InvalidArgument: no number, NaN, infinite, negative, or too long.
    """
    try:
        real = isinstance(value, numbers.Real | np.number) and not isinstance(value, bool)
        seconds = float(value) if real else math.nan  # type: ignore[arg-type]
    except Exception:  # noqa: BLE001 - an integer of too many digits, a complex number, the program's own class
        seconds = math.nan
    if not (0 <= seconds <= maximum) or math.isinf(seconds) or (seconds == 0 and not zero):
        bound = "not negative" if zero else "above 0"
        most = "" if math.isinf(maximum) else f", at most {maximum:g}"
        raise wrong(name, value, f"it must be a number of seconds, finite and {bound}{most}")
    return seconds


def check_timeout(name: str, value: object) -> float | None:
    """Return a time limit in seconds; None: no limit.

    Raises:
        InvalidArgument: see :func:`check_seconds`.
    """
    if value is None or (type(value) is float and 0 <= value < math.inf):
        return value
    try:
        return check_seconds(name, value)
    except InvalidArgument as error:
        raise InvalidArgument(f"{error}, or None for no limit") from None
