"""Tests asking other clients, frame by frame."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np
import pytest

from gateway.client import Client, RequestFailed, connect
from gateway.client.options import Backoff
from gateway.client.sending import send_queue
from gateway.errors import Code, ConnectionFailed, InvalidArgument, RequestRefused, RequestTimeout
from gateway.protocol.data import DataFrame, parse_data, write_data
from gateway.protocol.messages import Error, Open, StreamInfo
from gateway.protocol.meta import write_meta
from gateway.protocol.signals import Cancel, End, Resume
from gateway.protocol.tensors import TensorSpec
from gateway.protocol.transfers import ChunkPlan, write_chunk
from gateway.protocol.wire import FLAG_FAILED, FLAG_MORE, Opcode
from tests.client.frames import data_frame
from tests.client.scripted_gateway import Peer, Received, ScriptedGateway
from tests.client.waiting import half_sent


@asynccontextmanager
async def connected(scripted: ScriptedGateway, close_timeout_s: float = 5.0) -> AsyncIterator[tuple[Client, Peer]]:
    """A client and the other side of it."""
    backoff = Backoff(base_s=0, cap_s=0)
    async with connect(scripted.url, backoff=backoff, close_timeout_s=close_timeout_s) as client:
        yield client, await scripted.accept()


async def next_request(peer: Peer) -> DataFrame:
    received = await peer.next(Opcode.REQUEST)
    return parse_data(received.message, received.frame)


def refuse(peer: Peer, correlation: int, code: Code = Code.QUEUE_FULL) -> None:
    peer.send(Error(code, code.name, "because", correlation=correlation))


def failed(correlation: int, headers: dict[str, object] | None) -> bytes:
    return b"".join(data_frame(Opcode.REPLY, correlation, 0, flags=FLAG_FAILED, headers=headers))


async def test_requests_are_told_apart_by_their_correlation(scripted: ScriptedGateway) -> None:
    async with connected(scripted) as (client, peer):
        asking = [asyncio.ensure_future(client.request("agent:bob", step)) for step in range(3)]
        assert (await peer.next(Opcode.OPEN)).session() == Open(0, "agent:bob")
        asked = [await next_request(peer) for _ in range(3)]
        assert len({each.offset for each in asked}) == 3
        peer.send(StreamInfo(None, "agent:bob", alias=0))
        for each in reversed(asked):
            peer.send(data_frame(Opcode.REPLY, each.offset, int(each.payload[0]) * 10, headers={"ok": True}))
        replies = [await each for each in asking]
        assert [int(reply.tensor) for reply in replies] == [0, 10, 20]
        assert (replies[0].stream, replies[0].headers) == ("agent:bob", {"ok": True})


@pytest.mark.parametrize(
    ("headers", "text"), [({"error": "out of memory"}, "out of memory"), (None, "did not say why")]
)
async def test_a_failed_reply_is_raised_with_what_it_says(
    scripted: ScriptedGateway, headers: dict[str, object] | None, text: str
) -> None:
    async with connected(scripted) as (client, peer):
        asking = asyncio.ensure_future(client.request("agent:bob"))
        peer.send(failed((await next_request(peer)).offset, headers))
        with pytest.raises(RequestFailed, match=f"agent:bob failed the request: .*{text}") as caught:
            await asking
        assert caught.value.address == "agent:bob"


@pytest.mark.parametrize("code", [Code.NO_SUCH_PEER, Code.PEER_GONE, Code.LIMIT_EXCEEDED])
async def test_what_the_gateway_refuses_is_raised(scripted: ScriptedGateway, code: Code) -> None:
    async with connected(scripted) as (client, peer):
        asking = asyncio.ensure_future(client.request("agent:bob", 1))
        refuse(peer, (await next_request(peer)).offset, code)
        with pytest.raises(RequestRefused, match="request to agent:bob: because") as caught:
            await asking
        assert caught.value.code == code


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("code", [Code.QUEUE_FULL, Code.TRANSFER_TIMEOUT])
async def test_requests_that_reached_nobody_are_sent_again_in_their_order(
    scripted: ScriptedGateway, code: Code
) -> None:
    async with connected(scripted) as (client, peer):
        asking = [asyncio.ensure_future(client.request("agent:bob", step)) for step in range(4)]
        asked = [await next_request(peer) for _ in range(4)]
        peer.send(data_frame(Opcode.REPLY, asked[1].offset, 10))
        for each in (asked[0], asked[2], asked[3]):
            refuse(peer, each.offset, code)
        again = [await next_request(peer) for _ in range(3)]
        assert [each.offset for each in again] == [asked[0].offset, asked[2].offset, asked[3].offset]
        assert again[0].timestamp_ns == asked[0].timestamp_ns
        for each in again:
            peer.send(data_frame(Opcode.REPLY, each.offset, int(each.payload[0]) * 10))
        assert [int((await each).tensor) for each in asking] == [0, 10, 20, 30]


async def test_a_request_behind_a_refused_one_is_told_why_it_waits(
    scripted: ScriptedGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(send_queue, "AGAIN", Backoff(base_s=3600.0, cap_s=3600.0, later_s=3600.0))
    async with connected(scripted, close_timeout_s=0.1) as (client, peer):
        first = asyncio.ensure_future(client.request("agent:bob", 1))
        refuse(peer, (await next_request(peer)).offset)
        other = asyncio.ensure_future(client.request("agent:alice", 1))
        peer.send(data_frame(Opcode.REPLY, (await next_request(peer)).offset, 1))
        await other  # its reply came behind the refusal
        with pytest.raises(RequestRefused, match="request to agent:bob: because") as caught:
            await client.request("agent:bob", 2, timeout_s=0.05)
        assert caught.value.code == Code.QUEUE_FULL
        with pytest.raises(RequestRefused, match="request to agent:bob: because"):
            async with client.request_stream("agent:bob", 3, timeout_s=0.05) as replies:
                await anext(replies)
        first.cancel()


@pytest.mark.usefixtures("at_once")
async def test_no_chunk_is_sent_in_vain_of_a_request_that_is_refused_again(scripted: ScriptedGateway) -> None:
    async with connected(scripted) as (client, peer):
        asking = asyncio.ensure_future(client.request("agent:bob", np.zeros(3 << 19, np.uint8), codec="none"))
        correlation = (await next_request(peer)).offset
        await peer.next(Opcode.END)
        for _ in range(3):
            refuse(peer, correlation)
            head = await next_request(peer)
            assert head.resuming
        assert not any(received.opcode == Opcode.CHUNK for received in peer.waiting())
        assert head.plan is not None
        peer.send(Resume(head.plan.transfer, 0).write())
        await peer.next(Opcode.END)
        peer.send(data_frame(Opcode.REPLY, correlation, 1))
        assert (await asking).tensor == 1


async def test_a_request_that_nobody_takes_in_time_fails_with_the_refusal(scripted: ScriptedGateway) -> None:
    def full(peer: Peer, received: Received) -> None:
        refuse(peer, parse_data(received.message, received.frame).offset)

    scripted.answers[Opcode.REQUEST] = full
    async with connected(scripted) as (client, peer):
        with pytest.raises(RequestRefused, match="request to agent:bob: because") as caught:
            await client.request("agent:bob", 1, timeout_s=0.1)
        assert caught.value.code == Code.QUEUE_FULL
        with pytest.raises(RequestRefused, match="because"):
            async with client.request_stream("agent:alice", 1, timeout_s=0.1) as replies:
                await anext(replies)
        assert not any(received.opcode == Opcode.CANCEL for received in peer.waiting())


async def test_an_address_that_is_refused_is_opened_again_by_the_next_request(scripted: ScriptedGateway) -> None:
    async with connected(scripted) as (client, peer):
        first = asyncio.ensure_future(client.request("agent:bob", 1))
        correlation = (await next_request(peer)).offset
        peer.send(
            Error(Code.FORBIDDEN, "FORBIDDEN", "no", alias=0),
            Error(Code.FORBIDDEN, "FORBIDDEN", "no", alias=0, correlation=correlation),
        )
        with pytest.raises(RequestRefused, match="no"):
            await first
        second = asyncio.ensure_future(client.request("agent:bob", 1))
        assert (await next_request(peer)).stream == 1
        second.cancel()


async def test_patience_ends(scripted: ScriptedGateway) -> None:
    async with connected(scripted) as (client, peer):
        with pytest.raises(RequestTimeout, match="the reply of agent:bob"):
            await client.request("agent:bob", 1, timeout_s=0.01)
        late = await next_request(peer)
        peer.send(data_frame(Opcode.REPLY, late.offset, 1))
        asking = asyncio.ensure_future(client.request("agent:bob", 2))
        peer.send(data_frame(Opcode.REPLY, (await next_request(peer)).offset, 2))
        assert (await asking).tensor == 2


async def test_a_request_that_was_sent_fails_with_the_connection(scripted: ScriptedGateway) -> None:
    async with connected(scripted) as (client, peer):
        asking = asyncio.ensure_future(client.request("agent:bob", 1))
        await next_request(peer)
        peer.drop()
        with pytest.raises(ConnectionFailed, match="a request to agent:bob"):
            await asking
        second = await scripted.accept()
        asking = asyncio.ensure_future(client.request("agent:bob", 2))
        second.send(data_frame(Opcode.REPLY, (await next_request(second)).offset, 2))
        assert (await asking).tensor == 2


async def test_a_large_reply_comes_in_chunks(scripted: ScriptedGateway) -> None:
    payload = np.arange(10_000, dtype=np.uint8).tobytes()
    async with connected(scripted) as (client, peer):
        asking = asyncio.ensure_future(client.request("agent:bob", 1))
        correlation = (await next_request(peer)).offset
        meta = write_meta([TensorSpec("", np.dtype(np.uint8), (len(payload),))])
        plan = ChunkPlan(9, 4096, len(payload))
        peer.send(write_data(Opcode.REPLY, stream=1, offset=correlation, timestamp_ns=0, meta=meta, plan=plan))
        for index in range(plan.chunk_count):
            peer.send(write_chunk(9, index, [payload[index * 4096 : (index + 1) * 4096]]))
        peer.send(End(9, correlation, 0).write())
        assert (await asking).tensor.tobytes() == payload


async def test_a_reply_that_cannot_be_read_is_raised(scripted: ScriptedGateway) -> None:
    async with connected(scripted) as (client, peer):
        asking = asyncio.ensure_future(client.request("agent:bob", 1))
        meta = write_meta([TensorSpec("", np.dtype(np.uint8), (8,))])
        correlation = (await next_request(peer)).offset
        peer.send(write_data(Opcode.REPLY, stream=1, offset=correlation, timestamp_ns=0, meta=meta, payload=[b"x"]))
        with pytest.raises(RequestRefused) as caught:
            await asking
        assert caught.value.code == Code.SIZE_MISMATCH


async def test_a_large_request_is_cut_into_chunks_under_its_correlation(scripted: ScriptedGateway) -> None:
    async with connected(scripted) as (client, peer):
        asking = asyncio.ensure_future(client.request("agent:bob", np.zeros(3 << 19, np.uint8), codec="none"))
        data = await next_request(peer)
        received = await peer.next(Opcode.END)
        assert End.parse(received.message, received.frame).offset == data.offset
        peer.send(data_frame(Opcode.REPLY, data.offset, 1))
        await asking


async def test_an_address_that_is_none_is_refused(scripted: ScriptedGateway) -> None:
    async with connected(scripted) as (client, _):
        with pytest.raises(RequestRefused, match="address"):
            await client.request("bob")


async def next_cancel(peer: Peer) -> Cancel:
    received = await peer.next(Opcode.CANCEL)
    return Cancel.parse(received.message, received.frame)


async def test_who_gives_up_calls_the_request_off(scripted: ScriptedGateway) -> None:
    async with connected(scripted) as (client, peer):
        asking = asyncio.ensure_future(client.request("agent:bob", 1))
        correlation = (await next_request(peer)).offset
        asking.cancel()
        assert await next_cancel(peer) == Cancel(0, correlation)
        with pytest.raises(RequestTimeout):
            await client.request("agent:bob", 1, timeout_s=0.01)
        assert await next_cancel(peer) == Cancel(0, correlation + 1)


async def test_a_large_request_that_is_given_up_half_way_is_aborted(scripted: ScriptedGateway) -> None:
    async with connected(scripted) as (client, peer):
        peer.pause_reading()
        asking = asyncio.ensure_future(client.request("agent:bob", np.zeros(64 << 20, np.uint8), codec="none"))
        await half_sent(client)
        asking.cancel()
        peer.resume_reading()
        await peer.next(Opcode.ABORT)
        assert not any(received.opcode == Opcode.CANCEL for received in peer.waiting())


async def test_a_deadline_travels_by_the_clock_of_the_gateway(scripted: ScriptedGateway) -> None:
    async with connected(scripted) as (client, peer):
        asking = asyncio.ensure_future(client.request("group:planners", 1, expires_in_s=60))
        request = await next_request(peer)
        assert request.extensions is not None
        assert request.extensions.deadline_ns == request.timestamp_ns + 60 * 10**9
        peer.send(Error(Code.EXPIRED, "EXPIRED", "too late", correlation=request.offset))
        with pytest.raises(RequestRefused, match="request to group:planners: too late") as caught:
            await asking
        assert caught.value.code == Code.EXPIRED
        with pytest.raises(InvalidArgument, match="expires_in_s=-1"):
            await client.request("agent:bob", expires_in_s=-1)


async def test_a_request_expires_without_a_connection_too(scripted: ScriptedGateway) -> None:
    async with connected(scripted) as (client, peer):
        scripted.welcome = None
        peer.drop()
        await scripted.accept()
        with pytest.raises(RequestRefused, match=r"could not be sent within 0\.05 s") as caught:
            await client.request("agent:bob", 1, expires_in_s=0.05)
        assert caught.value.code == Code.EXPIRED


async def test_parts_start_the_time_limit_again_and_the_last_reply_counts(scripted: ScriptedGateway) -> None:
    async with connected(scripted) as (client, peer):
        asking = asyncio.ensure_future(client.request("agent:bob", 1, timeout_s=0.2))
        correlation = (await next_request(peer)).offset
        for _ in range(4):
            await asyncio.sleep(0.1)
            peer.send(data_frame(Opcode.REPLY, correlation, 1, flags=FLAG_MORE))
        peer.send(data_frame(Opcode.REPLY, correlation, 2))
        assert (await asking).tensor == 2


async def test_a_refused_reply_of_ours_is_not_taken_for_the_answer_to_a_request_of_ours(
    scripted: ScriptedGateway,
) -> None:
    told: asyncio.Queue[Exception] = asyncio.Queue()
    async with connect(scripted.url, on_error=told.put_nowait) as client:
        peer = await scripted.accept()
        asking = asyncio.ensure_future(client.request("agent:bob", 1))
        correlation = (await next_request(peer)).offset
        peer.send(Error(Code.NOT_REQUESTED, "NOT_REQUESTED", "nobody", correlation=correlation, peer=9))
        assert "the reply to request 1 of peer 9: nobody" in str(await told.get())
        peer.send(data_frame(Opcode.REPLY, correlation, 2))
        assert (await asking).tensor == 2
