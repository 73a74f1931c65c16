"""What must not pass what waits: parts of a reply before the error that ends it."""

from __future__ import annotations

import json

from gateway.connections.requests.mailbox import own_mailbox
from gateway.connections.sessions.send_in_order import send_in_order
from gateway.errors import Code
from gateway.protocol.messages import Error
from gateway.protocol.wire import FLAG_MORE, Opcode
from tests.connections.asking import ask, asker_of, data_frame, member, reply
from tests.connections.memory import TextPeer, World
from tests.connections.reader import Arrival

PART = bytes(range(256)) * 10


def test_it_is_sent_at_once_where_nothing_waits() -> None:
    world = World()
    peer = world.peer()
    mailbox = own_mailbox(world.core.hub.fanouts, peer.session.requests)
    send_in_order(peer.session.connection, mailbox, Error(5001, "PEER_GONE", "x"))
    assert peer.read().codes == [Code.PEER_GONE]
    assert not peer.session.connection.lagging


def test_an_error_comes_behind_the_parts_of_the_same_turn() -> None:
    world = World()
    worker, asker = member(world, "worker"), asker_of(world)
    ask(asker, 1)
    reply(worker, asker, 1, PART, FLAG_MORE)
    worker.drop()
    world.settle()
    assert [type(entry) for entry in asker.read().log] == [Arrival, Error]


def test_an_error_comes_behind_the_parts_that_wait_for_a_slow_asker() -> None:
    world = World()
    worker, asker = member(world, "worker"), asker_of(world)
    ask(asker, 1)
    asker.transport.fill_up()
    for _ in range(2):
        reply(worker, asker, 1, PART, FLAG_MORE)
    world.settle()
    worker.drop()
    assert not asker.read().log
    asker.transport.read_on()
    assert [type(entry) for entry in asker.read().log] == [Arrival, Arrival, Error]


def test_a_person_reads_them_in_that_order_too() -> None:
    world = World()
    person, worker = TextPeer(world), member(world, "worker")
    person.send('{"message_type":"hello","client_type":"agent","payload":{"versions":[1]}}')
    person.send('{"id":1,"message_type":"request","stream":"group:workers"}')
    person.texts()
    person.transport.fill_up()
    worker.send(data_frame(Opcode.REPLY, int(person.session.peer.id), 1, PART, FLAG_MORE))
    world.settle()
    worker.drop()
    person.transport.read_on()
    assert [json.loads(text)["message_type"] for text in person.texts()] == ["reply", "error"]
