"""A request for the WebSocket: found by its head alone, once that is complete."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.admin.http.upgrade import asks_for_websocket

HEAD = b"GET /ws HTTP/1.1\r\nHost: gateway\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
MAX_BYTES = 1000


@given(st.integers(0, len(HEAD) - 1), st.binary(max_size=2000))
def test_it_asks_once_its_head_is_complete_whatever_follows(cut: int, following: bytes) -> None:
    assert not asks_for_websocket(HEAD[:cut], MAX_BYTES)
    assert asks_for_websocket(HEAD + following, MAX_BYTES)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"/ws", b"/ws?client_type=admin_panel&a=%20"),
        (b"Upgrade: websocket", b"upgrade:WebSocket"),
        (b"Upgrade: websocket", b"UPGRADE: \t websocket\t"),
        (b"Connection: Upgrade", b"connection:keep-alive, Upgrade"),
        (b"Connection: Upgrade", b"Connection: upgrade , keep-alive"),
        (b"Connection: Upgrade", b"Connection: keep-alive\r\nConnection: upgrade"),
    ],
)
def test_forms_that_ask(old: bytes, new: bytes) -> None:
    assert asks_for_websocket(HEAD.replace(old, new), MAX_BYTES)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"GET", b"POST"),
        (b"GET", b"get"),
        (b"1.1", b"1.0"),
        (b"1.1", b"2"),
        (b"/ws", b"/"),
        (b"/ws", b"/wss"),
        (b"/ws", b"/ws/"),
        (b"/ws", b"//ws"),
        (b"/ws", b"/ws?a b"),
        (b"/ws", b"/ws?a\nb"),
        (b"Upgrade: websocket\r\n", b""),
        (b"websocket", b"h2c"),
        (b"websocket", b"websockets"),
        (b"Upgrade: w", b"X-Upgrade: w"),
        (b"Connection: Upgrade", b"Connection: close"),
        (b"Connection: Upgrade", b"Connection: no-upgrade"),
        (b"Connection: Upgrade", b"Connection: close, upgrades"),
        (b"GET", b"\r\nGET"),
        (b"\r\n", b"\n"),
    ],
)
def test_requests_that_do_not(old: bytes, new: bytes) -> None:
    assert not asks_for_websocket(HEAD.replace(old, new, 1 if b"GET" in old else -1), MAX_BYTES)


def test_an_upgrade_in_the_body_is_none() -> None:
    head = b"GET /ws HTTP/1.1\r\nHost: gateway\r\n\r\n"
    assert not asks_for_websocket(head + b"\r\nUpgrade: websocket\r\n\r\n", MAX_BYTES)


@pytest.mark.parametrize(("size", "asks"), [(MAX_BYTES, True), (MAX_BYTES + 1, False)])
def test_a_head_has_a_bound(size: int, asks: bool) -> None:
    head = HEAD[:-2] + b"Cookie: " + b"a" * (size - len(HEAD) - len(b"Cookie: \r\n")) + b"\r\n\r\n"
    assert len(head) == size
    assert asks_for_websocket(head, MAX_BYTES) is asks
