"""Query parameters of the admin port."""

from __future__ import annotations

import enum
from collections.abc import Collection
from typing import Any, Final, TypeVar

import orjson
from starlette.requests import Request

from gateway.errors import Code, RequestRefused
from gateway.protocol.durability import Durability
from gateway.protocol.messages import Kind
from gateway.protocol.names import Pattern, compile_pattern

EVERY_STREAM: Final = "**"
"""Pattern of all streams, if the parameter ``pattern`` is absent."""

HEADER_PREFIX: Final = "header."
"""Beginning of parameters that are headers of a message."""

Choice = TypeVar("Choice", bound=enum.StrEnum)


def check_names(request: Request, *known: str, headers: bool = False) -> None:
    """Check the names of the parameters: one that is misspelt, or given twice, would count for nothing.

    Args:
        request: the request.
        known: names of its parameters.
        headers: whether it takes headers of a message as well.

    Raises:
        RequestRefused: ``INVALID_REQUEST``: there is no such parameter, or a second one.
    """
    names = [name for name, _ in request.query_params.multi_items()]
    for name in names:
        if name not in known and not (headers and name.startswith(HEADER_PREFIX)):
            listed = (*known, f"{HEADER_PREFIX}NAME") if headers else known
            rule = f"known are {', '.join(listed)}" if listed else "it has none"
            problem = f"{request.method} of this path has no query parameter {name[:40]!r}: {rule}"
            raise RequestRefused(Code.INVALID_REQUEST, problem)
    if len(set(names)) < len(names):
        raise RequestRefused(Code.INVALID_REQUEST, "a query parameter is given twice: name each once")


def integer_of(request: Request, name: str, default: int, *, least: int = 0, most: int) -> int:
    """Return the integer parameter ``name``, from ``least`` to ``most``.

    Args:
        request: the request.
        name: name of the parameter.
        default: value of an absent parameter.
        least: smallest value.
        most: largest value.

    Raises:
        RequestRefused: ``INVALID_REQUEST``: its value is another one.
    """
    text = request.query_params.get(name)
    if text is None:
        return default
    # isascii, because isdecimal and int() take the digits of all scripts; the length keeps int() cheap.
    if not (text.isascii() and text.isdecimal() and len(text) < 20 and least <= int(text) <= most):
        raise RequestRefused(Code.INVALID_REQUEST, f"{name}={text[:40]!r} is not a number from {least} to {most}")
    return int(text)


def headers_of(request: Request) -> dict[str, Any] | None:
    """Return the headers of a message, ``header.NAME=VALUE``, or ``None`` if there is none.

    A value that is not JSON is a string.
    """
    headers: dict[str, Any] = {}
    for name, text in request.query_params.items():
        if name.startswith(HEADER_PREFIX):
            try:
                headers[name.removeprefix(HEADER_PREFIX)] = orjson.loads(text)
            except orjson.JSONDecodeError:
                headers[name.removeprefix(HEADER_PREFIX)] = text
    return headers or None


def pattern_of(request: Request) -> Pattern:
    """Return the parameter ``pattern``, or that of all streams if it is absent.

    Raises:
        RequestRefused: ``INVALID_NAME``: it is no pattern of stream names.
    """
    return compile_pattern(request.query_params.get("pattern", EVERY_STREAM))


def kind_of(request: Request) -> Kind | None:
    """Return the parameter ``kind``, or ``None`` if it is absent.

    Raises:
        RequestRefused: ``INVALID_REQUEST``: there is no such kind.
    """
    return choice_of(request, "kind", Kind)


def durability_of(request: Request) -> Durability | None:
    """Return the parameter ``durability``, or ``None`` if it is absent.

    Raises:
        RequestRefused: ``INVALID_REQUEST``: there is no such durability.
    """
    return choice_of(request, "durability", Durability)


def order_of(request: Request, orders: Collection[str]) -> str | None:
    """Return the parameter ``sort``, or ``None`` if it is absent: the list is then in the order of its numbers.

    Args:
        request: the request.
        orders: values that it may have.

    Raises:
        RequestRefused: ``INVALID_REQUEST``: there is no such order, or ``after`` stands beside it, which is for pages.
    """
    order = _one_of(request, "sort", orders)
    if order is not None and "after" in request.query_params:
        raise RequestRefused(Code.INVALID_REQUEST, "sort and after: a list that is sorted has no further page")
    return order


def choice_of(request: Request, name: str, choices: type[Choice]) -> Choice | None:
    """Return the parameter ``name`` as one of some choices, or ``None`` if it is absent.

    Raises:
        RequestRefused: ``INVALID_REQUEST``: it is none of them.
    """
    text = _one_of(request, name, list(choices))
    return None if text is None else choices(text)


def _one_of(request: Request, name: str, known: Collection[str]) -> str | None:
    text = request.query_params.get(name)
    if text is not None and text not in known:
        raise RequestRefused(Code.INVALID_REQUEST, f"{name}={text[:40]!r} is not one of {', '.join(known)}")
    return text
