"""Tests replies in parts, frame by frame."""

import asyncio
import gc

import pytest

from gateway.client import RequestFailed
from gateway.errors import Code, InvalidArgument, RequestRefused, RequestTimeout
from gateway.protocol.messages import Error
from gateway.protocol.signals import Cancel
from gateway.protocol.wire import FLAG_FAILED, FLAG_MORE, Opcode
from tests.client.frames import data_frame
from tests.client.requests.test_requester import connected, next_request
from tests.client.scripted_gateway import Peer, ScriptedGateway


async def next_cancel(peer: Peer) -> Cancel:
    received = await peer.next(Opcode.CANCEL)
    return Cancel.parse(received.message, received.frame)


def part(correlation: int, value: int, flags: int = FLAG_MORE) -> bytes:
    return b"".join(data_frame(Opcode.REPLY, correlation, value, flags=flags))


async def test_parts_come_as_they_are_and_then_it_ends(scripted: ScriptedGateway) -> None:
    async with connected(scripted) as (client, peer):
        stream = client.request_stream("agent:bob", 5)
        coming = asyncio.ensure_future(anext(stream))
        correlation = (await next_request(peer)).offset
        peer.send(part(correlation, 1))
        assert (await coming).tensor == 1
        peer.send(part(correlation, 2), part(correlation, 3, 0))
        assert [int(reply.tensor) async for reply in stream] == [2, 3]
        stream.close()
        last = asyncio.ensure_future(client.request("agent:bob"))
        peer.send(part((await next_request(peer)).offset, 4, 0))
        await last
        assert not any(received.opcode == Opcode.CANCEL for received in peer.waiting())


async def test_parts_may_come_while_nobody_waits_for_them(scripted: ScriptedGateway) -> None:
    async with connected(scripted) as (client, peer), client.request_stream("agent:bob", 5) as stream:
        correlation = (await next_request(peer)).offset
        peer.send(part(correlation, 1))
        assert (await anext(stream)).tensor == 1
        peer.send(part(correlation, 2), part(correlation, 3))
        other = asyncio.ensure_future(client.request("agent:bob"))
        peer.send(part((await next_request(peer)).offset, 0, 0))
        await other  # what was sent before it has arrived
        peer.send(part(correlation, 4, 0))
        assert [int(reply.tensor) async for reply in stream] == [2, 3, 4]


async def test_nothing_is_sent_before_the_iteration_begins(scripted: ScriptedGateway) -> None:
    async with connected(scripted) as (client, peer):
        unused = client.request_stream("agent:bob", 1)
        unused.close()
        asking = asyncio.ensure_future(client.request("agent:bob", 3))
        request = await next_request(peer)
        assert request.payload[0] == 3
        peer.send(part(request.offset, 1, 0))
        await asking


async def test_leaving_the_loop_calls_the_request_off(scripted: ScriptedGateway) -> None:
    async def first_part() -> int:
        async for reply in client.request_stream("agent:bob", 5):
            return int(reply.tensor)
        raise AssertionError("no part")

    async with connected(scripted) as (client, peer):
        coming = asyncio.ensure_future(first_part())
        correlation = (await next_request(peer)).offset
        peer.send(part(correlation, 1))
        assert await coming == 1
        gc.collect()
        assert await next_cancel(peer) == Cancel(0, correlation)


async def test_closing_calls_the_request_off_once(scripted: ScriptedGateway) -> None:
    async with connected(scripted) as (client, peer):
        async with client.request_stream("agent:bob", 5) as stream:
            correlation = (await next_request(peer)).offset
        await stream.aclose()
        assert await next_cancel(peer) == Cancel(0, correlation)
        assert [reply async for reply in stream] == []
        peer.send(part(correlation, 1, 0), Error(Code.PEER_GONE, "PEER_GONE", "late", correlation=correlation))
        asking = asyncio.ensure_future(client.request("agent:bob"))
        peer.send(part((await next_request(peer)).offset, 2, 0))
        assert (await asking).tensor == 2
        assert not any(received.opcode == Opcode.CANCEL for received in peer.waiting())


@pytest.mark.parametrize("failed", [True, False])
async def test_an_error_comes_behind_the_parts(scripted: ScriptedGateway, failed: bool) -> None:
    async with connected(scripted) as (client, peer), client.request_stream("agent:bob", 5) as stream:
        correlation = (await next_request(peer)).offset
        if failed:
            peer.send(part(correlation, 1), part(correlation, 0, FLAG_FAILED))
        else:
            peer.send(part(correlation, 1), Error(Code.PEER_GONE, "PEER_GONE", "left", correlation=correlation))
        assert (await anext(stream)).tensor == 1
        with pytest.raises(RequestFailed if failed else RequestRefused):
            await anext(stream)


async def test_patience_is_for_each_part(scripted: ScriptedGateway) -> None:
    async with (
        connected(scripted) as (client, peer),
        client.request_stream("agent:bob", 5, timeout_s=0.05) as stream,
    ):
        correlation = (await next_request(peer)).offset
        peer.send(part(correlation, 1))
        assert (await anext(stream)).tensor == 1
        with pytest.raises(RequestTimeout, match="the next reply of agent:bob"):
            await anext(stream)
        assert await next_cancel(peer) == Cancel(0, correlation)


async def test_a_loss_ends_the_stream(scripted: ScriptedGateway) -> None:
    async with connected(scripted) as (client, peer), client.request_stream("agent:bob", 5) as stream:
        peer.send(part((await next_request(peer)).offset, 1))
        assert (await anext(stream)).tensor == 1
        peer.drop()
        with pytest.raises(ConnectionError, match="a request to agent:bob"):
            await anext(stream)


async def test_what_cannot_be_asked_is_said_when_the_iteration_begins(scripted: ScriptedGateway) -> None:
    async with connected(scripted) as (client, _):
        with pytest.raises(InvalidArgument, match="expires_in_s=0"):
            await anext(client.request_stream("agent:bob", expires_in_s=0))
        with pytest.raises(RequestRefused, match="bob"):
            await anext(client.request_stream("bob"))
        with pytest.raises(InvalidArgument, match="buffer_bytes"):
            client.request_stream("agent:bob", buffer_bytes=0)
