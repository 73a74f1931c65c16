"""Reads what stands behind the question mark of a URL."""

from __future__ import annotations

from starlette.requests import Request

from gateway.errors import Code, RequestRefused
from gateway.protocol.messages import Kind


def integer_of(request: Request, name: str, default: int, *, most: int) -> int:
    """A whole number from 0 to ``most``.

    Raises:
        RequestRefused: ``INVALID_REQUEST``.
    """
    text = request.query_params.get(name)
    if text is None:
        return default
    # isdecimal is true of digits of all scripts, which int() reads; the length keeps int() cheap.
    if not (text.isascii() and text.isdecimal() and len(text) < 20 and int(text) <= most):
        raise RequestRefused(Code.INVALID_REQUEST, f"{name}={text[:40]!r} is not a number from 0 to {most}")
    return int(text)


def kind_of(request: Request) -> Kind | None:
    """The kind of a stream, if the query names one.

    Raises:
        RequestRefused: ``INVALID_REQUEST``.
    """
    text = request.query_params.get("kind")
    if text is None:
        return None
    if text not in list(Kind):
        raise RequestRefused(Code.INVALID_REQUEST, f"kind={text[:40]!r} is not one of {', '.join(Kind)}")
    return Kind(text)
