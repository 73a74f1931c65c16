"""Traffic: read from counters of aliases and streams, whatever the kind of the stream and the way of its receivers."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from gateway.connections.collaboration import traffic
from gateway.connections.collaboration.graph import FlowCounts, Via
from gateway.connections.collaboration.traffic import FLOW_COST, IDLE_COST, MAX_WORKFLOWS, MOVED_COST, READ_RECEIVERS
from gateway.connections.fanout.delivery_class import DeliveryClass
from gateway.connections.outbound.connection import Connection
from gateway.protocol.messages import Kind
from gateway.protocol.views import View
from tests.connections.asking import ask, ask_large, reply, reply_large
from tests.connections.memory import Peer, World

Flows = dict[tuple[str, str, Via], float]


def take(world: World, *peers: Peer) -> int:
    """Count what these clients have sent; return the cost."""
    return sum(
        world.core.workflows.traffic.take(peer.session.peer.client_id, binding)
        for peer in peers
        for binding in peer.session.bindings.values()
    )


def counts_of(world: World, workflow: str = "wf") -> FlowCounts:
    table = world.core.workflows.traffic.tables.pop(workflow, None)
    return FlowCounts() if table is None else table.take()


def flows_of(world: World, workflow: str = "wf") -> Flows:
    return {flow[:3]: flow.messages for flow in counts_of(world, workflow).flows}


def publisher(world: World, client_id: str, stream: str, kind: Kind = Kind.EVENT) -> Peer:
    peer = world.peer(client_id)
    peer.open(0, stream, kind)
    return peer


@pytest.mark.parametrize("kind", Kind)
def test_what_a_client_publishes_flows_to_each_receiver_once(kind: Kind) -> None:
    world = World()
    author = publisher(world, "author", "wf/a", kind)
    for name in ("one", "two"):
        world.subscriber("wf/*", name)
    world.subscriber("other/*", "three")
    for _ in range(3):
        author.publish(0, b"12345678")
    world.settle()
    assert take(world, author) == MOVED_COST + 2 * FLOW_COST
    counts = counts_of(world)
    stream = author.session.bindings[0].stream
    assert stream is not None
    assert {flow[:4] for flow in counts.flows} == {("author", name, Via.STREAM, 3) for name in ("one", "two")}
    assert (counts.messages, counts.nbytes) == (6, 2 * stream.published_bytes)
    assert take(world, author) == IDLE_COST
    assert flows_of(world) == {}


def test_records_of_a_batch_count_one_by_one_and_messages_that_are_refused_do_not() -> None:
    world = World()
    author = publisher(world, "author", "wf/a")
    world.subscriber("wf/a", "one")
    author.send(author.batch(0, [b"1234"] * 10))
    author.publish(0, b"12345678")
    author.sequences[0] += 5  # of messages that never come
    author.publish(0, b"12345678")
    take(world, author)
    assert flows_of(world) == {("author", "one", Via.STREAM): 11}


def test_a_large_message_counts_when_it_has_come() -> None:
    world = World()
    author = publisher(world, "author", "wf/a")
    world.subscriber("wf/a", "one")
    large = author.large(0, bytes(3 << 20))
    large.chunk()
    assert take(world, author) == IDLE_COST
    large.end()
    take(world, author)
    counts = counts_of(world)
    assert [flow.messages for flow in counts.flows] == [1]
    assert counts.nbytes == 3 << 20


def test_bytes_of_a_stream_are_shared_as_the_messages_are() -> None:
    world = World()
    first, second = publisher(world, "first", "wf/a"), publisher(world, "second", "wf/a")
    world.subscriber("wf/a", "one")
    for _ in range(3):
        first.publish(0, bytes(1000))
    second.publish(0, bytes(1000))
    take(world, first, second)
    nbytes = {str(flow.source): flow.nbytes for flow in counts_of(world).flows}
    assert nbytes["first"] == pytest.approx(3 * nbytes["second"])


def test_a_client_is_no_receiver_of_its_own_messages() -> None:
    world = World()
    author = publisher(world, "author", "wf/a")
    author.subscribe("wf/*")
    author.publish(0, b"12345678")
    take(world, author)
    counts = counts_of(world)
    assert (counts.flows, counts.messages) == ((), 0)


def test_receivers_of_views_and_observers_are_receivers() -> None:
    world = World()
    author = world.peer("author")
    author.open(0, "wf/state", Kind.STATE)
    author.open(1, "wf/tasks", Kind.COLLABORATION)
    world.peer("viewer").subscribe("wf/state", view=View(np.s_[::2]))
    world.peer("worker").subscribe("wf/tasks")
    world.peer("observer").subscribe("wf/tasks", observe=True)
    author.publish_array(0, np.arange(8.0))
    author.publish(1, b"12345678")
    world.settle()
    take(world, author)
    counts = counts_of(world)
    assert {flow.target for flow in counts.flows} == {"viewer", "worker", "observer"}
    assert counts.messages == 3


def test_of_very_many_receivers_some_are_looked_at_and_all_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(max_connections=300)
    author = publisher(world, "author", "wf/a")
    for number in range(READ_RECEIVERS + 10):
        world.subscriber("wf/a", f"r{number}")
    relay = publisher(world, "relay", "wf/b")
    relay.subscribe("wf/a")
    world.subscriber("wf/b", "last")
    relay.publish(0, b"12345678")
    world.core.workflows.begin_sweep()
    world.settle()
    author.publish(0, b"12345678")
    members, looked_at = DeliveryClass.__iter__, list[Connection]()

    def look(delivery: DeliveryClass) -> Iterator[Connection]:
        for member in members(delivery):
            looked_at.append(member)
            yield member

    monkeypatch.setattr(DeliveryClass, "__iter__", look)
    take(world, author)
    assert len(looked_at) == READ_RECEIVERS
    counts = counts_of(world)
    assert counts.messages == READ_RECEIVERS + 11
    assert len(counts.flows) == READ_RECEIVERS + 1
    assert "relay" in {flow.target for flow in counts.flows}


def test_requests_and_replies_flow_between_the_clients_of_an_address() -> None:
    world = World()
    replier = world.peer("replier")
    replier.subscribe("agent:replier")
    asker = world.peer("asker")
    asker.open(0, "agent:replier")
    for correlation in (1, 2):
        ask(asker, correlation, bytes(1000))
        reply(replier, asker, correlation, bytes(10))
    take(world, asker)
    counts = counts_of(world, "agent:replier")
    assert {flow[:4] for flow in counts.flows} == {
        ("asker", "replier", Via.REQUEST, 2),
        ("replier", "asker", Via.REPLY, 2),
    }
    request_bytes, reply_bytes = (flow.nbytes for flow in counts.flows)
    assert request_bytes > 2000 > reply_bytes > 20


def test_large_requests_and_replies_count_with_their_bytes() -> None:
    world = World()
    replier = world.peer("replier")
    replier.subscribe("agent:replier")
    asker = world.peer("asker")
    asker.open(0, "agent:replier")
    ask_large(asker, 1, bytes(2 << 20)).end()
    reply_large(replier, asker, 1, bytes(1 << 20)).end()
    take(world, asker)
    assert [flow.nbytes for flow in counts_of(world, "agent:replier").flows] == [2 << 20, 1 << 20]


def test_members_of_a_group_share_its_requests_as_they_have_got_them() -> None:
    world = World()
    for name in ("m1", "m2"):
        world.peer(name).subscribe("group:g")
    asker = world.peer("asker")
    asker.open(0, "group:g")
    for correlation in range(6):
        ask(asker, correlation)
    world.settle()
    take(world, asker)
    assert flows_of(world, "group:g") == {("asker", name, Via.REQUEST): 3 for name in ("m1", "m2")}


def test_what_was_sent_to_an_alias_counts_when_it_is_bound_anew_or_its_connection_is_lost() -> None:
    world = World()
    author = publisher(world, "author", "wf/a")
    world.subscriber("*/*", "one")
    author.publish(0, b"12345678")
    author.open(0, "other/b", Kind.EVENT)
    author.publish(0, b"12345678")
    author.publish(0, b"12345678")
    world.lose(author)
    assert flows_of(world) == {("author", "one", Via.STREAM): 1}
    assert flows_of(world, "other") == {("author", "one", Via.STREAM): 2}


def test_a_producer_that_comes_back_is_not_counted_for_what_it_had_sent_before() -> None:
    world = World()
    world.subscriber("wf/a", "one")
    author = world.peer("author")
    author.produce(0, "wf/a")
    author.publish(0, b"12345678")
    world.lose(author)
    assert flows_of(world) == {("author", "one", Via.STREAM): 1}
    author = world.peer("author")
    author.produce(0, "wf/a", sequence=2)
    author.publish(0, b"12345678")
    take(world, author)
    assert flows_of(world) == {("author", "one", Via.STREAM): 1}


def test_a_producer_that_skips_sequences_is_counted_for_what_was_published() -> None:
    world = World()
    world.subscriber("wf/a", "one")
    author = world.peer("author")
    author.produce(0, "wf/a")
    author.publish(0, b"12345678")
    author.sequences[0] += 100
    author.publish(0, b"12345678")
    take(world, author)
    assert flows_of(world) == {("author", "one", Via.STREAM): 2}


def test_new_workflows_are_counted_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    assert MAX_WORKFLOWS == 4096
    monkeypatch.setattr(traffic, "MAX_WORKFLOWS", 2)
    world = World()
    world.subscriber("*/*", "one")
    author = world.peer("author")
    for alias in range(4):
        author.open(alias, f"wf{alias}/a", Kind.EVENT)
        author.publish(alias, b"12345678")
    take(world, author)
    assert list(world.core.workflows.traffic.tables) == ["wf0", "wf1"]
