"""Body of a command: what is no JSON object of known keys does nothing."""

from __future__ import annotations

import asyncio

import pytest
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

from gateway.admin.commands.command_body import MAX_BODY_BYTES, address_in, command_body
from gateway.errors import Code, RequestRefused
from gateway.protocol.json_body import JsonBody


def posted(body: bytes, content_type: str = "application/json") -> Request:
    parts = [body[:10], body[10:]]

    async def receive() -> dict[str, object]:
        part = parts.pop(0)
        return {"type": "http.request", "body": part, "more_body": bool(parts)}

    headers = [(b"content-type", content_type.encode())]
    return Request({"type": "http", "method": "POST", "headers": headers}, receive)


async def test_fields_of_a_json_object() -> None:
    fields = await command_body(posted(b'{"reason":"a test"}', "Application/JSON; charset=utf-8"), "move", ["reason"])
    assert fields.text_or_none("reason") == "a test"
    assert (await command_body(posted(b""), "move", [])).items() == JsonBody.parse("move", b"{}").items()


@pytest.mark.parametrize("content_type", ["", "text/plain", "application/x-www-form-urlencoded", "application/jsonp"])
async def test_what_a_page_of_another_site_could_send_is_refused(content_type: str) -> None:
    with pytest.raises(HTTPException) as caught:
        await command_body(posted(b"{}", content_type), "move", [])
    assert caught.value.status_code == 415


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"{", "JSON"),
        (b"[]", "object"),
        (b'{"adress":"x"}', "move has no key 'adress', and nothing was done: did you mean address"),
        (b'{"x":1}', "known are address"),
        (b'{"address":"' + MAX_BODY_BYTES * b"x" + b'"}', f"more than {MAX_BODY_BYTES} bytes"),
    ],
)
async def test_another_body_is_refused(body: bytes, problem: str) -> None:
    with pytest.raises(RequestRefused, match=problem) as caught:
        await command_body(posted(body), "move", ["address"])
    assert caught.value.code == Code.INVALID_REQUEST


async def test_a_body_that_does_not_come_gives_its_place_back() -> None:
    parts = [{"type": "http.request", "body": b'{"reason"', "more_body": True}]

    async def receive() -> dict[str, object]:
        if not parts:
            await asyncio.Event().wait()
        return parts.pop()

    headers = [(b"content-type", b"application/json")]
    stalled = Request({"type": "http", "method": "POST", "headers": headers}, receive)
    with pytest.raises(HTTPException, match="9 bytes of the body have come") as caught:
        await command_body(stalled, "move", ["reason"], timeout_s=0.01)
    assert (caught.value.status_code, caught.value.headers) == (408, {"connection": "close"})


async def test_a_client_that_leaves_within_the_body_orders_nothing() -> None:
    async def receive() -> dict[str, object]:
        return {"type": "http.disconnect"}

    headers = [(b"content-type", b"application/json")]
    with pytest.raises(ClientDisconnect):
        await command_body(Request({"type": "http", "method": "POST", "headers": headers}, receive), "move", [])


def address_of(text: str) -> str | None:
    return address_in(JsonBody.parse("move", b'{"address":"' + text.encode() + b'"}'))


def test_an_address_is_the_url_of_a_gateway() -> None:
    assert address_of("wss://gateway-2.example.com:8765") == "wss://gateway-2.example.com:8765"
    assert address_in(JsonBody.parse("move", b"{}")) is None
    others = "", "gateway-2", "http://gateway-2", "ws://", "ws://a:0", "ws://a:99999", "ws://a#b"
    for text in (*others, "ws://a b", "ws://a/ ", "ws://me:pw@a", "ws://me@a", "ws://a\\u0000b", "ws://a/\\u001b[2J"):
        with pytest.raises(RequestRefused, match="is not a gateway's URL"):
            address_of(text)
