"""Addresses of peers, as people write them."""

from __future__ import annotations

import asyncio

import pytest

from gateway.server.peer_address import peer_address_of


class Transport(asyncio.BaseTransport):
    """Knows the address of its peer."""

    def __init__(self, peername: object) -> None:
        super().__init__({"peername": peername})


@pytest.mark.parametrize(
    ("peername", "text"),
    [
        (("192.0.2.7", 4711), "192.0.2.7:4711"),
        (("2001:db8::7", 4711, 0, 0), "[2001:db8::7]:4711"),
        (None, ""),
        ("/run/socket", ""),
    ],
)
def test_an_address_has_the_form_of_a_url(peername: object, text: str) -> None:
    assert peer_address_of(Transport(peername)) == text
