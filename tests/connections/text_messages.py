"""A person at ``frys.v1.json``: what they say, and what they read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from gateway.connections.ports import Steps
from gateway.streams.large import LargeMessage
from gateway.streams.run import Run
from tests.connections.memory import TextPeer, World

Json = dict[str, Any]
HELLO = '{"message_type":"hello","client_type":"agent","client_id":"person","payload":{"versions":[1]}}'
SUBSCRIBE = '{"id":1,"message_type":"subscribe","payload":{"pattern":"wf-42/*"}}'
MESSAGE = (
    '{"id":2,"message_type":"message","stream":"wf-42/loss",'
    '"payload":{"dtype":"float32","shape":[2],"data":"AACAPwAAAEA="}}'
)


def person(world: World, hello: str = HELLO) -> TextPeer:
    peer = TextPeer(world)
    peer.send(hello.replace('"person"', f'"{world.free_name("person")}"'))
    world.answer_hello(peer)
    peer.texts()
    return peer


def lagging_person(world: World) -> TextPeer:
    """A person who has subscribed, and reads nothing any more."""
    peer = person(world)
    peer.send(SUBSCRIBE)
    news(peer, world)
    peer.transport.fill_up()
    return peer


def noting_written(world: World, peers: Sequence[TextPeer]) -> list[Run | LargeMessage]:
    """List of the messages that are written as text for these people from now on."""
    written: list[Run | LargeMessage] = []

    def noted(message: Run | LargeMessage) -> Steps[Run]:
        written.append(message)
        return world.renderer.writing(message)

    for peer in peers:
        peer.form.writing = noted
    return written


def news(peer: TextPeer, world: World) -> list[Json]:
    world.settle()
    return [orjson.loads(text) for text in peer.texts()]


def only(peer: TextPeer, world: World, message_type: str) -> Json:
    (found,) = [text for text in news(peer, world) if text["message_type"] == message_type]
    return found


def message(stream: str = "wf-42/loss", **fields: Any) -> str:
    return orjson.dumps({"message_type": "message", "stream": stream, "payload": None, **fields}).decode()
