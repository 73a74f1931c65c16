"""``frys.v1.json`` by plain text over a real socket, as a person would type it (spec section 14)."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest_asyncio

from gateway.app import Gateway
from gateway.errors import Code
from gateway.protocol.wire import SUBPROTOCOL_JSON
from gateway.testing import running_gateway
from tests.integration.peer import publisher_of, raw_websocket, subscriber_of


@pytest_asyncio.fixture
async def gateway() -> AsyncIterator[Gateway]:
    async with running_gateway() as running:
        yield running


class Person:
    """Somebody with a plain WebSocket."""

    def __init__(self, websocket: Any) -> None:
        self.websocket = websocket

    async def type(self, text: str) -> None:
        await self.websocket.send(text)

    async def read(self, message_type: str) -> dict[str, Any]:
        """The next message, which is of this type."""
        text = await self.websocket.recv()
        assert isinstance(text, str)
        found: dict[str, Any] = orjson.loads(text)
        assert found["message_type"] == message_type, found
        return found


async def test_the_session_of_the_spec_beside_a_binary_subscriber(gateway: Gateway) -> None:
    async with (
        raw_websocket(gateway.url, SUBPROTOCOL_JSON) as websocket,
        subscriber_of(gateway.url, "wf-42/*") as other,
    ):
        person = Person(websocket)
        await person.type('{"message_type":"hello","client_type":"agent","payload":{"versions":[1]}}')
        welcome = await person.read("welcome")
        assert welcome["payload"]["version"] == 1
        await person.type('{"id":1,"message_type":"subscribe","payload":{"pattern":"wf-42/*"}}')
        assert (await person.read("subscribed"))["payload"] == {"request": 1, "subscription": 1}
        await person.type(
            '{"id":2,"message_type":"message","stream":"wf-42/loss",'
            '"payload":{"dtype":"float32","shape":[2],"data":"AACAPwAAAEA="}}'
        )
        assert (await person.read("stream"))["payload"]["stream"] == "wf-42/loss"
        ack = {"request": 2, "stream": "wf-42/loss", "offset": 0, "durability": "memory"}
        assert (await person.read("ack"))["payload"] == ack
        message = await person.read("message")
        assert message["payload"]["data"] == "AACAPwAAAEA="
        await other.until(lambda reader: reader.arrivals)
        assert other.reader.arrivals[0].payload == base64.b64decode("AACAPwAAAEA=")


async def test_a_mistake_is_answered_and_the_session_goes_on(gateway: Gateway) -> None:
    async with raw_websocket(gateway.url, SUBPROTOCOL_JSON) as websocket:
        person = Person(websocket)
        await person.type('{"message_type":"hello","client_type":"agent","payload":{"versions":[1]}}')
        await person.read("welcome")
        await person.type('{"id":3,"message_type":"message","stream":"oops","payload":null}')
        error = (await person.read("error"))["payload"]
        assert (error["code"], error["error"], error["request"]) == (Code.INVALID_NAME, "INVALID_NAME", 3)
        await person.type('{"message_type":"ping"}')
        assert (await person.read("pong"))["payload"]["t0"] == 0


async def test_a_large_binary_tensor_reaches_a_person(gateway: Gateway) -> None:
    payload = bytes(range(256)) * 8192
    async with (
        raw_websocket(gateway.url, SUBPROTOCOL_JSON) as websocket,
        publisher_of(gateway.url, "wf/a") as publisher,
    ):
        person = Person(websocket)
        await person.type('{"message_type":"hello","client_type":"agent","payload":{"versions":[1]}}')
        await person.read("welcome")
        await person.type('{"id":1,"message_type":"subscribe","payload":{"pattern":"wf/a"}}')
        await person.read("subscribed")
        await person.read("stream")
        await publisher.publish_large(0, payload)
        await publisher.publish(0, b"after")
        first, second = await person.read("message"), await person.read("message")
        assert base64.b64decode(first["payload"]["data"]) == payload
        assert (first["offset"], second["offset"]) == (0, 1)


async def test_a_person_publishes_more_than_fits_one_frame(gateway: Gateway) -> None:
    data = bytes(1_500_000)
    async with raw_websocket(gateway.url, SUBPROTOCOL_JSON) as websocket, subscriber_of(gateway.url, "wf/a") as other:
        person = Person(websocket)
        await person.type('{"message_type":"hello","client_type":"agent","payload":{"versions":[1]}}')
        await person.read("welcome")
        tensor = {"dtype": "uint8", "shape": [len(data)], "data": base64.b64encode(data).decode()}
        await person.type(
            orjson.dumps({"id": 1, "message_type": "message", "stream": "wf/a", "payload": tensor}).decode()
        )
        assert (await person.read("ack"))["payload"]["offset"] == 0
        await other.until(lambda reader: reader.arrivals)
        (arrival,) = other.reader.arrivals
        assert arrival.payload == data
        assert arrival.large
