"""What ``frys sub`` is told of a view: ``--view "::4, ::4" --dtype float16 --max-rate-hz 10``."""

from __future__ import annotations

from typing import Annotated

import typer

from gateway.client import View
from gateway.errors import InvalidArgument

Slice = Annotated[
    str | None,
    typer.Option(
        "--view", metavar="SLICE", help="What is wanted of each tensor, as numpy writes it: '::4, ::4', '0, ...'."
    ),
]
Dtype = Annotated[str | None, typer.Option(metavar="DTYPE", help="As which dtype, e.g. float16, or uint8: quantized.")]
MaxRateHz = Annotated[
    float | None, typer.Option(metavar="HZ", help="At most so many messages a second; of states only.")
]
Tensor = Annotated[str | None, typer.Option(metavar="NAME", help="Of several tensors only this one.")]


def view_of(text: str | None, dtype: str | None, max_rate_hz: float | None, tensor: str | None) -> View | None:
    """The view that the options ask for; None if there are none.

    Raises:
        InvalidArgument: they ask for nothing that there is.
    """
    if text is None and dtype is None and max_rate_hz is None and tensor is None:
        return None
    return View(() if text is None else parse_slice(text), dtype, max_rate_hz, tensor)


def parse_slice(text: str) -> tuple[object, ...]:
    """What stands between the brackets of ``array[...]`` as numpy takes it; without brackets or with them.

    Raises:
        InvalidArgument: it is neither integers, slices nor an ellipsis.
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
        problem = f"{part!r} in the view {text!r}: only integers, slices such as 0:100:4, and ... are possible"
        raise InvalidArgument(problem) from None
