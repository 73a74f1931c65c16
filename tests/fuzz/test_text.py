"""Whatever text a JSON client sends: a documented error or close, and the connection beside it goes on."""

from __future__ import annotations

from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import Code
from tests.connections.memory import TextPeer, World
from tests.protocol.strategies import json_values

TYPES = [
    "hello",
    "authenticate",
    "open",
    "subscribe",
    "unsubscribe",
    "message",
    "request",
    "reply",
    "ack",
    "gap",
    "ping",
    "pong",
    "welcome",
    "nonsense",
]
NUMBERS = st.sampled_from([0, 1, 2, -1, 2**32 - 1, 2**32, 2**53, 2**64 - 1, 1e300, -1e300, 0.5])
TENSORS = st.sampled_from(
    [
        None,
        {"dtype": "uint8", "shape": [2], "data": "AAA="},
        {"dtype": "float32", "shape": [], "data": "AAAAAA=="},
        {"dtype": "uint8", "shape": [0], "data": ""},
        {"tensors": {"a": {"dtype": "uint8", "shape": [1], "data": "AA=="}}},
        {"dtype": "uint8", "shape": [2**63], "data": ""},
    ]
)
PAYLOADS = TENSORS | st.fixed_dictionaries(
    {},
    optional={
        "pattern": st.sampled_from(["wf/*", "agent:person", "a//b"]),
        "stream": st.sampled_from(["wf/a", "agent:person", ""]),
        "kind": st.sampled_from(["state", "event", "loud"]),
        "subscription": NUMBERS,
        "alias": NUMBERS,
        "request": NUMBERS,
        "t0": NUMBERS,
        "token": st.text(max_size=5),
        "versions": st.just([1]),
        "client_type": st.just("agent"),
    },
)
TEXTS = st.fixed_dictionaries(
    {"message_type": st.sampled_from(TYPES)},
    optional={
        "id": NUMBERS | json_values,
        "payload": PAYLOADS | json_values,
        "stream": st.sampled_from(["wf/a", "wf/b", "agent:person", "agent:nobody", "x", ""]) | json_values,
        "kind": st.sampled_from(["state", "event", "control"]),
        "ack": st.booleans(),
        "headers": st.none() | st.dictionaries(st.text(max_size=3), json_values, max_size=2) | json_values,
        "timestamp": NUMBERS,
        "peer": NUMBERS,
        "correlation": NUMBERS,
        "failed": st.booleans(),
    },
)


@settings(max_examples=200)
@given(
    messages=st.lists(TEXTS.map(lambda value: orjson.dumps(value)) | st.binary(max_size=60), max_size=10),
    greeted=st.booleans() | st.just(True),
)
def test_any_text(messages: list[bytes], greeted: bool) -> None:
    world = World()
    publisher = world.publisher("by/stander")
    watcher = world.subscriber("**", "watcher")
    person = TextPeer(world)
    if greeted:
        person.send('{"message_type":"hello","client_type":"agent","client_id":"person","payload":{"versions":[1]}}')
    for text in messages:
        if person.transport.closed is None:
            person.send(text)
    publisher.publish(0, b"still here")
    world.settle()
    answers: list[dict[str, Any]] = [orjson.loads(text) for text in person.texts()]
    codes = [answer["payload"]["code"] for answer in answers if answer["message_type"] == "error"]
    assert set(codes) <= {int(code) for code in Code} - {Code.INTERNAL}
    assert not person.transport.late
    if person.transport.closed is not None and person.transport.closed[0] != Code.INVALID_DATA:
        assert codes[-1] == person.transport.closed[0]
    assert watcher.read().arrivals[-1].payload == b"still here"
    world.core.disconnect(person.session)
    world.settle()
    assert len(world.core.pool) == 2
