"""Etags are compared as HTTP says: one of a list, weak or not, or any."""

from __future__ import annotations

import pytest
from starlette.requests import Request

from gateway.admin.http.etags import is_known


def _request(*headers: tuple[bytes, bytes]) -> Request:
    return Request({"type": "http", "method": "GET", "path": "/", "headers": list(headers)})


@pytest.mark.parametrize(
    ("sent", "known"),
    [(b'"a"', True), (b'"b"', False), (b'"b", "a"', True), (b'W/"a"', True), (b"*", True), (b"", False), (b"a", False)],
)
def test_an_etag_is_known_if_it_is_sent(sent: bytes, known: bool) -> None:
    assert is_known('"a"', _request((b"if-none-match", sent))) is known


def test_a_client_without_etags_knows_none() -> None:
    assert not is_known('"a"', _request())
