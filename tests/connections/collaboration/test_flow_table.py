"""Flow tables: sums are of all messages, flows of the heaviest senders, and there is a bound on all together."""

from __future__ import annotations

import pytest

from gateway.connections.collaboration import flow_table
from gateway.connections.collaboration.flow_table import MAX_FLOWS, ROW_FLOWS, ROWS, FlowTable, Room
from gateway.connections.collaboration.graph import Flow, Via
from gateway.ids import ClientId


def clients(prefix: str, count: int) -> list[ClientId]:
    return [ClientId(f"{prefix}{n}") for n in range(count)]


def test_messages_of_a_pair_are_added_up_by_their_way() -> None:
    table = FlowTable(Room())
    table.add(ClientId("a"), clients("b", 2), Via.STREAM, 3, 300.0)
    table.add(ClientId("a"), clients("b", 1), Via.STREAM, 1, 50.0)
    table.add(ClientId("a"), clients("b", 1), Via.REQUEST, 1, 10.0)
    counts = table.take()
    assert counts.flows == (
        Flow(ClientId("a"), ClientId("b0"), Via.STREAM, 4, 350.0),
        Flow(ClientId("a"), ClientId("b1"), Via.STREAM, 3, 300.0),
        Flow(ClientId("a"), ClientId("b0"), Via.REQUEST, 1, 10.0),
    )
    assert (counts.messages, counts.nbytes) == (8, 660.0)


def test_receivers_that_were_not_looked_at_count_in_the_sums() -> None:
    table = FlowTable(Room())
    table.add(ClientId("a"), clients("b", 2), Via.STREAM, 3, 300.0, receivers=1000)
    counts = table.take()
    assert len(counts.flows) == 2
    assert (counts.messages, counts.nbytes) == (3000, 300_000.0)


def test_of_many_senders_the_heaviest_have_flows() -> None:
    room = Room()
    table = FlowTable(room)
    for n, client_id in enumerate(clients("a", 3 * ROWS)):
        table.add(client_id, (ClientId("b"),), Via.STREAM, 1 + n % ROWS, 1.0)
    assert room.taken == ROWS
    table.add(ClientId("late"), (ClientId("b"),), Via.STREAM, 1000, 1.0)
    counts = table.take()
    weights = sorted(flow.messages for flow in counts.flows)
    assert len(weights) == ROWS
    assert weights[0] > ROWS / 2
    assert weights[-1] == 1000
    assert counts.messages == 3 * sum(range(1, ROWS + 1)) + 1000


def test_a_sender_that_is_as_light_as_the_lightest_takes_no_place() -> None:
    table = FlowTable(Room())
    for client_id in clients("a", 2 * ROWS):
        table.add(client_id, (ClientId("b"),), Via.STREAM, 1, 1.0)
    assert [flow.source for flow in table.take().flows] == clients("a", ROWS)


def test_the_flows_of_one_sender_are_bounded() -> None:
    table = FlowTable(Room())
    table.add(ClientId("a"), clients("b", 3 * ROW_FLOWS), Via.STREAM, 1, 1.0)
    counts = table.take()
    assert len(counts.flows) == ROW_FLOWS
    assert counts.messages == 3 * ROW_FLOWS


def test_the_flows_of_all_workflows_are_bounded_and_give_their_room_back(monkeypatch: pytest.MonkeyPatch) -> None:
    assert MAX_FLOWS == 65_536
    monkeypatch.setattr(flow_table, "MAX_FLOWS", 10)
    room = Room()
    first, second = FlowTable(room), FlowTable(room)
    first.add(ClientId("a"), clients("b", 8), Via.STREAM, 1, 1.0)
    second.add(ClientId("a"), clients("b", 8), Via.STREAM, 1, 1.0)
    assert room.taken == 10
    counts = second.take()
    assert (len(counts.flows), counts.messages) == (2, 8)
    first.take()
    assert room.taken == 0
