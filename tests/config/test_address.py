"""URLs that can be pasted as they are printed."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from gateway.config.address import listens_everywhere, url_of


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "ws://127.0.0.1:8765"),
        ("gateway.example", "ws://gateway.example:8765"),
        ("::1", "ws://[::1]:8765"),
        ("2001:db8::7", "ws://[2001:db8::7]:8765"),
        ("0.0.0.0", "ws://127.0.0.1:8765"),
        ("", "ws://127.0.0.1:8765"),
        ("::", "ws://[::1]:8765"),
        ("0::0", "ws://[::1]:8765"),
    ],
)
def test_a_url_names_an_address_to_connect_to(host: str, url: str) -> None:
    assert url_of("ws", host, 8765) == url
    parts = urlsplit(url_of("http", host, 80))
    assert (parts.scheme, parts.port) == ("http", 80)
    assert parts.hostname


def test_addresses_of_all_networks() -> None:
    everywhere = ["", "0.0.0.0", "::", "0:0::0"]
    assert all(listens_everywhere(host) for host in everywhere)
    assert not any(listens_everywhere(host) for host in ("127.0.0.1", "::1", "localhost", "10.0.0.1"))
