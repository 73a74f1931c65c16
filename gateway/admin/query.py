"""Query parameters of the admin port."""

from __future__ import annotations

from starlette.requests import Request

from gateway.errors import Code, RequestRefused
from gateway.protocol.messages import Kind


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


def kind_of(request: Request) -> Kind | None:
    """Return the parameter ``kind``, or ``None`` if it is absent.

    Raises:
        RequestRefused: ``INVALID_REQUEST``: there is no such kind.
    """
    text = request.query_params.get("kind")
    if text is None:
        return None
    if text not in list(Kind):
        raise RequestRefused(Code.INVALID_REQUEST, f"kind={text[:40]!r} is not one of {', '.join(Kind)}")
    return Kind(text)
