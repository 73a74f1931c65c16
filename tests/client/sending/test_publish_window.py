"""Publishes that a program awaits at the same time: no more are under way than receivers of an event stream take."""

import asyncio

import numpy as np
import pytest

from gateway.client import Client
from gateway.client.sending import stream_send_queue
from gateway.errors import RequestTimeout
from gateway.protocol.messages import Kind, StreamInfo
from gateway.protocol.signals import Ack
from gateway.protocol.wire import Opcode
from tests.client.scripted_gateway import Peer, ScriptedGateway
from tests.client.sending.test_stream_send_queue import connected, data_of

MESSAGE = np.zeros(300, np.uint8)
"""Three fit into the window of these tests."""

Publishing = list["asyncio.Task[object]"]


@pytest.fixture(autouse=True)
def window(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_send_queue, "WINDOW_BYTES", 1000)


def ack(peer: Peer, sequence: int, kind: Kind = Kind.EVENT, *, count: int = 1) -> None:
    """The first stream's messages up to one are taken."""
    info = StreamInfo(7, "wf/x", kind, 5, 0, alias=0)
    peer.send(info, Ack(0, count, sequence, sequence - 1).write())


def publish(client: Client, count: int, *, timeout_s: float = 60.0, kind: str | None = None) -> Publishing:
    return [asyncio.create_task(client.publish("wf/x", MESSAGE, timeout_s=timeout_s, kind=kind)) for _ in range(count)]


async def sequences_until_now(client: Client, peer: Peer) -> list[int]:
    """The sequences of all that has been sent to the stream since the last look."""
    client.publish_nowait("wf/other", None)
    sequences = []
    while (frame := await data_of(peer)).stream == 0:
        sequences.append(frame.offset)
    return sequences


@pytest.mark.parametrize("kind", ["event", None], ids=["event", "not known yet"])
async def test_past_the_window_publishes_wait_for_the_acknowledgement_of_those_before_them(
    scripted: ScriptedGateway, kind: str | None
) -> None:
    async with connected(scripted) as (client, peer):
        publishing = publish(client, 7, kind=kind)
        await asyncio.sleep(0)
        assert await sequences_until_now(client, peer) == [1, 2, 3]
        client.publish_nowait("wf/x", MESSAGE)
        ack(peer, 1)
        await publishing[0]
        assert (await data_of(peer)).offset == 4
        assert await sequences_until_now(client, peer) == []
        ack(peer, 4, count=3)
        assert [(await data_of(peer)).offset for _ in range(3)] == [5, 6, 7]
        passed = await data_of(peer)
        assert (passed.offset, passed.stream) == (8, 0), "publish_nowait waits for no acknowledgement"
        ack(peer, 8, count=4)
        await asyncio.gather(*publishing)


async def test_a_message_larger_than_the_window_goes_alone(scripted: ScriptedGateway) -> None:
    async with connected(scripted) as (client, peer):
        first = publish(client, 1, kind="event")
        large = asyncio.create_task(client.publish("wf/x", np.zeros(5000, np.uint8)))
        last = publish(client, 1)
        for sequence, task in enumerate((*first, large, *last), 1):
            assert (await data_of(peer)).offset == sequence
            assert await sequences_until_now(client, peer) == []
            ack(peer, sequence)
            await task


@pytest.mark.parametrize("kind", [Kind.STATE, Kind.COLLABORATION])
async def test_other_kinds_lose_nothing_and_have_no_window(scripted: ScriptedGateway, kind: Kind) -> None:
    async with connected(scripted) as (client, peer):
        publishing = publish(client, 7, kind=kind.value)
        assert [(await data_of(peer)).offset for _ in range(7)] == [1, 2, 3, 4, 5, 6, 7]
        ack(peer, 7, kind, count=7)
        await asyncio.gather(*publishing)


async def test_one_whose_time_is_over_makes_room_for_those_behind_it(scripted: ScriptedGateway) -> None:
    async with connected(scripted) as (client, peer):
        publishing = publish(client, 3, kind="event")
        [given_up] = publish(client, 1, timeout_s=0.01)
        publishing += publish(client, 1)
        with pytest.raises(RequestTimeout, match=r"could not be sent: .* receivers are slow"):
            await given_up
        ack(peer, 1)
        assert [(await data_of(peer)).offset for _ in range(4)] == [1, 2, 3, 4]
        ack(peer, 4, count=3)
        await asyncio.gather(*publishing)


async def test_after_a_reconnect_all_go_out_in_their_order(scripted: ScriptedGateway) -> None:
    async with connected(scripted) as (client, first):
        publishing = publish(client, 5, kind="event")
        assert [(await data_of(first)).offset for _ in range(3)] == [1, 2, 3]
        first.drop()
        second = await scripted.accept()
        for sequence in range(1, 6):
            assert (await data_of(second)).offset == sequence
            ack(second, sequence)
        await asyncio.gather(*publishing)


async def test_what_waits_is_told_when_the_client_is_closed(scripted: ScriptedGateway) -> None:
    async with connected(scripted, close_timeout_s=0.05) as (client, peer):
        publishing = publish(client, 5, kind="event")
        assert [(await data_of(peer)).offset for _ in range(3)] == [1, 2, 3]
    outcomes = await asyncio.gather(*publishing, return_exceptions=True)
    assert [type(outcome).__name__ for outcome in outcomes] == ["ConnectionFailed"] * 5
    assert "closed" in str(outcomes[-1])
    assert [received for received in peer.waiting() if received.opcode == Opcode.MESSAGE] == []
