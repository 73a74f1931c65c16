"""Options of ``frys sub`` for a view: ``--view "::4, ::4" --dtype float16 --max-rate-hz 10``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import click

from gateway.client import View
from gateway.errors import InvalidArgument

VIEW_OPTIONS: Final = (
    click.option("--view", metavar="SLICE", help="Slice of each tensor, in numpy's notation: '::4, ::4', '0, ...'."),
    click.option("--dtype", metavar="DTYPE", help="dtype to receive, e.g. float16; uint8 is quantized."),
    click.option(
        "--max-rate-hz", type=float, metavar="HZ", help="Most messages a second of each stream; kind state only."
    ),
    click.option("--tensor", metavar="NAME", help="Receive only this one of several tensors."),
)


def with_view_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options, whose values :func:`view_of` takes in their order, to a function of which a command is made."""
    for option in reversed(VIEW_OPTIONS):  # as decorators, which add the last option first
        command = option(command)
    return command


def view_of(text: str | None, dtype: str | None, max_rate_hz: float | None, tensor: str | None) -> View | None:
    """Return the view of the options; None if none is given.

    Raises:
        InvalidArgument: an option has an invalid value.
    """
    if text is None and dtype is None and max_rate_hz is None and tensor is None:
        return None
    return View(() if text is None else parse_slice(text), dtype, max_rate_hz, tensor)


def parse_slice(text: str) -> tuple[object, ...]:
    """Return the index that numpy takes in ``array[...]``, from its text with or without the brackets.

    Raises:
        InvalidArgument: a part is neither an integer, a slice nor an ellipsis.
    """
    inner = text.strip().removeprefix("[").removesuffix("]").strip()
    return tuple(_item(part.strip(), text) for part in inner.split(",")) if inner else ()


def _item(part: str, text: str) -> object:
    if part == "...":
        return Ellipsis
    try:
        numbers = [int(bound) if bound.strip() else None for bound in part.split(":")]
        if len(numbers) == 1:
            return int(part)
        return slice(*numbers)
    except (ValueError, TypeError):
        problem = f"{part!r} in the view {text!r}: use integers, slices such as 0:100:4, and ..."
        raise InvalidArgument(problem) from None
