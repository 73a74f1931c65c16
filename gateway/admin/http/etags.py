"""Etags: answers that a client has already are not sent again."""

from __future__ import annotations

from starlette.requests import Request


def is_known(etag: str, request: Request) -> bool:
    """Return whether a client has the answer of an etag already."""
    known = [tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")]
    return etag in known or "*" in known
