"""Schemas of states: declared once, told to everybody, and kept to by every publish."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import orjson
import pytest

from gateway.connections.core import Core
from gateway.connections.core_settings import CoreSettings
from gateway.errors import Code
from gateway.protocol.messages import Kind, Open, StreamInfo
from gateway.protocol.names import compile_pattern
from gateway.protocol.schema import Schema
from gateway.protocol.signals import End
from gateway.security.allow_all import AllowAll
from gateway.streams.rules import StreamConfig, StreamRules
from tests.connections.frames import START_NS
from tests.connections.memory import FixedPolicy, Peer, TextPeer, World
from tests.connections.patches import STREAM, Publisher
from tests.protocol.strategies import Array

FIELD = {"dtype": "float32", "shape": [4, None]}
OTHER = {"dtype": "float32", "shape": [4, 5]}


def field(columns: int = 3, rows: int = 4) -> Array:
    return np.zeros((rows, columns), np.float32)


def declare(peer: Peer, schema: Mapping[str, object] | None, alias: int = 0, kind: Kind | None = None) -> None:
    peer.say(Open(alias, STREAM, kind, schema=schema))
    peer.sequences.setdefault(alias, 0)


def infos(peer: Peer) -> list[StreamInfo]:
    return [entry for entry in peer.read().log if isinstance(entry, StreamInfo)]


def test_a_schema_is_told_to_publishers_and_subscribers() -> None:
    world = World()
    peer = world.peer()
    declare(peer, FIELD)
    declare(peer, None, alias=1)
    declare(peer, FIELD, alias=2)
    before = world.subscriber(STREAM)
    assert [info.schema for info in infos(peer)] == [FIELD] * 3
    assert [info.schema for info in infos(before)] == [FIELD]


@pytest.mark.parametrize("array", [field(rows=5), np.zeros((4, 3)), np.zeros(4, np.float32)])
@pytest.mark.parametrize("warm", [False, True], ids=["at first", "after one that fits"])
def test_what_does_not_fit_is_refused_with_both(array: Array, warm: bool) -> None:
    world = World()
    peer = world.peer()
    declare(peer, FIELD)
    if warm:
        peer.publish_array(0, field())
    peer.publish_array(0, array)
    (error,) = peer.read().errors
    assert error.code == Code.SCHEMA_MISMATCH
    assert "float32[4, *]" in error.message
    assert f"{array.dtype}[{', '.join(map(str, array.shape))}]" in error.message
    peer.publish_array(0, field(7), ack=True)
    assert [ack.offset for ack in peer.read().acks] == [int(warm)]


def test_another_declaration_is_refused() -> None:
    world = World()
    declare(world.peer(), FIELD)
    peer = world.peer("other")
    declare(peer, OTHER)
    peer.publish_array(0, field(5))
    opened, published = peer.read().errors
    assert (opened.code, opened.alias, opened.sequence) == (Code.SCHEMA_MISMATCH, 0, None)
    assert "float32[4, *], not float32[4, 5]" in opened.message
    assert (published.code, published.sequence) == (Code.SCHEMA_MISMATCH, 1)


def test_a_declaration_that_comes_later_holds_for_those_who_publish_already() -> None:

    world = World()
    early, late = world.peer("early"), world.peer("late")
    declare(early, None)
    for _ in range(3):
        early.publish_array(0, field(3))
    declare(late, {"dtype": "float32", "shape": [5, 3]})
    assert late.read().codes == [Code.SCHEMA_MISMATCH]
    declare(late, FIELD, alias=1)
    early.publish_array(0, field(3))
    early.publish_array(0, field(3, rows=9))
    assert early.read().codes == [Code.SCHEMA_MISMATCH]
    assert [info.schema for info in infos(late)] == [FIELD]


@pytest.mark.parametrize("columns", [3, 3000], ids=["small", "larger"])
def test_what_was_good_before_the_declaration_is_looked_at_again(columns: int) -> None:
    """What is like the last message of its alias takes a short way, without a look at its descriptors."""
    world = World()
    early, late = world.peer("early"), world.peer("late")
    declare(early, None)
    early.publish_array(0, field(columns))
    early.publish_array(0, field(columns))
    declare(late, None)
    late.publish_array(0, field(columns, rows=5))
    declare(late, {"dtype": "float32", "shape": [5, None]}, alias=1)
    early.publish_array(0, field(columns))
    assert early.read().codes == [Code.SCHEMA_MISMATCH]
    assert late.read().errors == []


def test_a_record_batch_fits_by_its_records() -> None:
    world = World()
    peer = world.peer()
    declare(peer, {"dtype": "uint8", "shape": [3]})
    peer.send(peer.batch(0, [b"abc", b"def"]))
    peer.send(peer.batch(0, [b"abcd"]))
    assert peer.read().codes == [Code.SCHEMA_MISMATCH]


def test_a_large_message_is_refused_at_its_head_or_at_its_end() -> None:
    world = World()
    peer, other = world.peer(), world.peer("other")
    declare(peer, None)
    receiver = world.subscriber(STREAM)
    under_way = peer.large(0, bytes(9000))
    under_way.chunk()
    declare(other, {"dtype": "uint8", "shape": [8000]})
    under_way.end()
    assert peer.read().codes == [Code.SCHEMA_MISMATCH]
    assert [abort.code for abort in receiver.read().aborts] == [Code.SCHEMA_MISMATCH]
    peer.large(0, bytes(9000), 2).chunk()
    assert peer.read().codes == [Code.SCHEMA_MISMATCH] * 2
    assert receiver.read().transfers == {}
    peer.send(End(2, 0, START_NS).write())


def test_patches_need_no_look() -> None:
    world = World()
    publisher = Publisher(world)
    declare(publisher.peer, {"dtype": "int32", "shape": [4, None]}, alias=5)
    publisher.whole(np.zeros((4, 3), np.int32))
    publisher.patch(np.s_[0:1, 0:1], 3)
    # A whole message of the patch's shape is no patch.
    publisher.peer.publish_array(0, np.zeros((1, 1), np.int32))
    assert publisher.peer.read().codes == [Code.SCHEMA_MISMATCH]
    assert [ack.offset for ack in publisher.peer.reader.acks] == [0, 1]


@pytest.mark.parametrize(
    ("schema", "kind", "problem"),
    [
        ({"dtype": "float31", "shape": []}, None, "schema of OPEN"),
        (FIELD, Kind.EVENT, "kind event: only a state has one"),
    ],
)
def test_what_is_no_schema_is_refused(schema: Mapping[str, object], kind: Kind | None, problem: str) -> None:
    peer = World().peer()
    declare(peer, schema, kind=kind)
    (error,) = peer.read().errors
    assert error.code == Code.INVALID_REQUEST
    assert problem in error.message or "float31" in error.message


def test_a_schema_may_be_configured() -> None:
    world = World()
    rules = StreamRules([(compile_pattern("wf/*"), StreamConfig(schema=Schema.parse(FIELD)))])
    world.core = Core(CoreSettings(rules=rules), world.clock, world.workers, FixedPolicy(), AllowAll())
    peer = world.peer()
    declare(peer, None)
    peer.publish_array(0, field(rows=5))
    declare(peer, OTHER, alias=1)
    assert peer.read().codes == [Code.SCHEMA_MISMATCH] * 2
    # It is for states: another kind of stream is left alone.
    peer.open(2, "wf/events", Kind.EVENT)
    peer.publish(2, b"abc", ack=True)
    assert len(peer.read().acks) == 1


def test_people_declare_by_open() -> None:
    world = World()
    peer = TextPeer(world)
    peer.send('{"message_type":"hello","client_type":"agent","payload":{"versions":[1]}}')
    schema = '{"dtype":"float32","shape":[2]}'
    peer.send(f'{{"id":1,"message_type":"open","payload":{{"stream":"wf/a","schema":{schema}}}}}')
    payload = '{"dtype":"float32","shape":[1],"data":"AACAPw=="}'
    peer.send(f'{{"id":2,"message_type":"message","stream":"wf/a","payload":{payload}}}')
    _, opened, refused = map(orjson.loads, peer.texts())
    assert opened["payload"]["schema"] == {"dtype": "float32", "shape": [2]}
    assert refused["payload"]["error"] == "SCHEMA_MISMATCH"
