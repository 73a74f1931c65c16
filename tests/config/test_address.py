"""URLs that can be pasted as they are printed."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from gateway.config.address import is_loopback, networks_of, url_of


@pytest.mark.parametrize(
    ("host", "address", "url"),
    [
        ("127.0.0.1", "127.0.0.1", "ws://127.0.0.1:8765"),
        ("gateway.example", "10.0.0.7", "ws://gateway.example:8765"),
        ("gateway.example", "2001:db8::7", "ws://gateway.example:8765"),
        ("::1", "::1", "ws://[::1]:8765"),
        ("2001:db8::7", "2001:db8::7", "ws://[2001:db8::7]:8765"),
        ("0.0.0.0", "0.0.0.0", "ws://127.0.0.1:8765"),
        ("0", "0.0.0.0", "ws://127.0.0.1:8765"),
        ("*", "0.0.0.0", "ws://127.0.0.1:8765"),
        ("*", "::", "ws://[::1]:8765"),
        ("", "0.0.0.0", "ws://127.0.0.1:8765"),
        ("::", "::", "ws://[::1]:8765"),
        ("0::0", "::", "ws://[::1]:8765"),
    ],
)
def test_a_url_names_an_address_to_connect_to(host: str, address: str, url: str) -> None:
    assert url_of("ws", host, address, 8765) == url
    parts = urlsplit(url_of("http", host, address, 80))
    assert (parts.scheme, parts.port) == ("http", 80)
    assert parts.hostname


@pytest.mark.parametrize(
    ("addresses", "name"),
    [
        (["0.0.0.0"], "all IPv4 addresses"),
        (["::"], "all IPv6 addresses"),
        (["::", "0.0.0.0"], "all addresses"),
        (["127.0.0.1", "::1"], None),
        (["10.0.0.1"], None),
    ],
)
def test_the_name_of_what_reaches_a_port(addresses: list[str], name: str | None) -> None:
    assert networks_of(addresses) == name


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.0.1", "::1", "localhost"])
def test_hosts_that_are_this_machine_only(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "", "*", "0", "::", "10.0.0.1", "gateway-1", "localhost.example.com"])
def test_hosts_that_may_be_reached_from_elsewhere(host: str) -> None:
    assert not is_loopback(host)
