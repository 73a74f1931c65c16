"""What becomes of publishes when their connection is lost: sent again as the messages that they were, in order."""

import asyncio
import gc
import time
import weakref
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Unpack

import numpy as np
import pytest

from gateway.client import Backoff, Client, ClientState, connect
from gateway.client.options import ConnectKeywords
from gateway.client.sending import stream_send_queue
from gateway.errors import Code, ConnectionFailed, RequestRefused, RequestTimeout, UsageError
from gateway.protocol.data import DataFrame, parse_data
from gateway.protocol.messages import Error, Kind, Open, StreamInfo
from gateway.protocol.signals import Abort, Ack, End, Resume
from gateway.protocol.transfers import parse_chunk
from gateway.protocol.wire import FLAG_ACK, Opcode
from tests.client.scripted_gateway import Peer, Received, ScriptedGateway
from tests.client.waiting import until

QUICK = Backoff(base_s=0.0, cap_s=0.0, later_s=0.0)
LARGE = np.arange(400_000, dtype=np.float64)
"""Seven chunks."""


@asynccontextmanager
async def connected(
    scripted: ScriptedGateway, **keywords: Unpack[ConnectKeywords]
) -> AsyncIterator[tuple[Client, Peer]]:
    """A client that reconnects without pause, and the other side of its first connection."""
    keywords.setdefault("backoff", QUICK)
    async with connect(scripted.url, **keywords) as client:
        yield client, await scripted.accept()


async def opened(peer: Peer) -> Open:
    message = (await peer.next(Opcode.OPEN)).session()
    assert isinstance(message, Open)
    return message


async def data_of(peer: Peer) -> DataFrame:
    received = await peer.next(Opcode.MESSAGE)
    return parse_data(received.message, received.frame)


def ack(peer: Peer, sequence: int, offset: int, *, repeated: bool = False) -> None:
    """The first stream's message is taken."""
    peer.send(StreamInfo(7, "wf/x", Kind.STATE, 5, 0, alias=0), Ack(0, 1, sequence, offset, repeated=repeated).write())


async def test_a_publish_whose_answer_was_lost_is_sent_again_as_the_same_message(scripted: ScriptedGateway) -> None:
    async with connected(scripted) as (client, first):
        publishing = asyncio.ensure_future(client.publish("wf/x", 1.0))
        before, sent = await opened(first), await data_of(first)
        first.drop()
        second = await scripted.accept()
        after, again = await opened(second), await data_of(second)
        assert before.producer is not None
        assert (after.producer, after.sequence) == (before.producer, 1)
        assert (again.offset, again.timestamp_ns, bytes(again.payload)) == (1, sent.timestamp_ns, bytes(sent.payload))
        ack(second, 1, 99, repeated=True)
        assert (await publishing).offset == 99


@pytest.mark.parametrize("value", [1.0, LARGE])
async def test_the_deadline_of_one_that_is_sent_again_is_the_same_moment_by_the_clock_of_the_next_gateway(
    scripted: ScriptedGateway, monkeypatch: pytest.MonkeyPatch, value: object
) -> None:
    hour_ns, now_ns = 3600 * 10**9, time.time_ns
    async with connected(scripted) as (client, first):
        publishing = asyncio.ensure_future(client.publish("wf/x", value, expires_in_s=60))
        sent = await data_of(first)
        assert sent.extensions is not None
        assert sent.extensions.deadline_ns == sent.timestamp_ns + 60 * 10**9
        monkeypatch.setattr(time, "time_ns", lambda: now_ns() + hour_ns)  # the gateway is started again
        first.drop()
        again = await data_of(await scripted.accept())
        assert again.extensions is not None
        assert again.timestamp_ns == sent.timestamp_ns
        assert abs((again.extensions.deadline_ns or 0) - sent.extensions.deadline_ns - hour_ns) < 10**9
        publishing.cancel()


async def test_two_clients_are_two_producers(scripted: ScriptedGateway) -> None:
    async with connected(scripted) as (one, first), connected(scripted) as (two, second):
        one.publish_nowait("wf/x", 1.0)
        two.publish_nowait("wf/x", 1.0)
        assert (await opened(first)).producer != (await opened(second)).producer


async def test_what_is_sent_again_goes_before_what_is_new(scripted: ScriptedGateway) -> None:
    async with connected(scripted) as (client, first):
        waiting = [asyncio.ensure_future(client.publish("wf/x", float(value))) for value in range(3)]
        for _ in range(3):
            await data_of(first)
        ack(first, 1, 10)
        await waiting[0]
        welcome = scripted.answers.pop(Opcode.HELLO)
        first.drop()
        await until(lambda: client.state is ClientState.RECONNECTING)
        client.publish_nowait("wf/x", 3.0)
        waiting += [asyncio.ensure_future(client.publish("wf/x", float(value))) for value in (4, 5)]
        second = await scripted.accept()
        welcome(second, await second.next(Opcode.HELLO))
        assert (await opened(second)).sequence == 2
        frames = [await data_of(second) for _ in range(5)]
        assert [frame.offset for frame in frames] == [2, 3, 4, 5, 6]
        assert [np.frombuffer(frame.payload, np.float64)[0] for frame in frames] == [1.0, 2.0, 3.0, 4.0, 5.0]
        for sequence in (2, 3, 5, 6):
            ack(second, sequence, 9 + sequence, repeated=sequence < 4)
        assert [(await each).offset for each in waiting] == [10, 11, 12, 14, 15]


async def test_it_is_sent_again_as_often_as_it_takes(scripted: ScriptedGateway) -> None:
    async with connected(scripted) as (client, peer):
        publishing = asyncio.ensure_future(client.publish("wf/x", 1.0))
        for _ in range(3):
            assert (await data_of(peer)).offset == 1
            peer.drop()
            peer = await scripted.accept()
        await data_of(peer)
        ack(peer, 1, 0)
        assert (await publishing).offset == 0


async def test_publish_nowait_is_not_sent_again_and_its_sequence_is_left_out(scripted: ScriptedGateway) -> None:
    async with connected(scripted) as (client, first):
        client.publish_nowait("wf/x", 1.0)
        assert (await data_of(first)).offset == 1
        first.drop()
        second = await scripted.accept()
        publishing = asyncio.ensure_future(client.publish("wf/x", 2.0))
        assert (await opened(second)).sequence == 2
        assert (await data_of(second)).offset == 2
        ack(second, 2, 0)
        await publishing


async def test_a_publish_that_was_given_up_is_not_sent_again(scripted: ScriptedGateway) -> None:
    async with connected(scripted) as (client, first):
        with pytest.raises(ConnectionFailed, match="the message was sent"):
            await client.publish("wf/x", 1.0, timeout_s=0.01)
        first.drop()
        second = await scripted.accept()
        publishing = asyncio.ensure_future(client.publish("wf/x", 2.0))
        assert (await data_of(second)).offset == 2
        ack(second, 2, 0)
        await publishing


async def test_what_the_gateway_has_forgotten_by_now_is_not_sent_again(
    scripted: ScriptedGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream_send_queue, "PRODUCER_KEPT_S", -1.0)
    async with connected(scripted) as (client, first):
        publishing = asyncio.ensure_future(client.publish("wf/x", 1.0))
        await data_of(first)
        first.drop()
        with pytest.raises(ConnectionFailed, match="may have received it or not"):
            await publishing


async def test_a_publish_that_is_awaited_when_all_is_over_may_have_arrived(scripted: ScriptedGateway) -> None:
    async with connected(scripted) as (client, first):
        publishing = asyncio.ensure_future(client.publish("wf/x", 1.0))
        await data_of(first)
        first.close(Code.UNSUPPORTED_VERSION, "too old")
        with pytest.raises(ConnectionFailed, match="may have received it or not"):
            await publishing


# Large ones.


async def cut(scripted: ScriptedGateway, first: Peer, chunks: int) -> Peer:
    """Cut the first connection when so many chunks have come; the next one."""
    for _ in range(chunks):
        await first.next(Opcode.CHUNK)
    first.drop()
    return await scripted.accept()


async def chunks_of(peer: Peer) -> list[int]:
    """The chunks that come before END."""
    found: list[int] = []
    while True:
        received = await peer.next(Opcode.CHUNK, Opcode.END)
        if received.opcode == Opcode.END:
            return found
        found.append(parse_chunk(received.message, received.frame).index)


@pytest.mark.parametrize("codec", ["none", "shuffle+lz4"])
@pytest.mark.parametrize("index", [0, 2, 6, 7])
async def test_a_large_message_that_was_cut_goes_on_where_the_gateway_says(
    scripted: ScriptedGateway, index: int, codec: str
) -> None:
    told: list[int] = []
    async with connected(scripted) as (client, first):
        publishing = asyncio.ensure_future(
            client.publish("wf/x", LARGE, codec=codec, progress=lambda sent, _: told.append(sent))
        )
        begun = await data_of(first)
        second = await cut(scripted, first, 3)
        head = await data_of(second)
        assert head.extensions is not None
        assert head.extensions.resuming
        assert head.plan is not None
        assert (head.offset, head.timestamp_ns, head.meta) == (1, begun.timestamp_ns, begun.meta)
        told.clear()
        second.send(Resume(head.plan.transfer, index).write())
        assert await chunks_of(second) == list(range(index, head.plan.chunk_count))
        assert told == [min((each + 1) * head.plan.chunk_bytes, LARGE.nbytes) for each in range(index, 7)]
        ack(second, 1, 3)
        assert (await publishing).offset == 3


@pytest.mark.parametrize("codec", ["none", "shuffle+lz4"])
async def test_a_large_message_that_has_changed_since_it_was_cut_is_not_published(
    scripted: ScriptedGateway, codec: str
) -> None:
    array = LARGE.copy()
    async with connected(scripted) as (client, first):
        publishing = asyncio.ensure_future(client.publish("wf/x", array, codec=codec))
        await data_of(first)
        second = await cut(scripted, first, 3)
        head = await data_of(second)
        assert head.plan is not None
        array[0] += 1
        second.send(Resume(head.plan.transfer, 2).write())
        assert (await second.next(Opcode.ABORT, Opcode.END)).opcode == Opcode.ABORT
        with pytest.raises(UsageError, match="wf/x"):
            await publishing


async def test_no_chunk_follows_before_the_gateway_has_answered(scripted: ScriptedGateway) -> None:
    async with connected(scripted) as (client, first):
        publishing = asyncio.ensure_future(client.publish("wf/x", LARGE, codec="none"))
        second = await cut(scripted, first, 1)
        head = await data_of(second)
        small = asyncio.ensure_future(client.publish("wf/y", 1.0))
        assert (await data_of(second)).offset == 1  # and not a chunk
        ack(second, 1, 4, repeated=True)
        assert (await publishing).offset == 4
        assert head.flags & FLAG_ACK
        small.cancel()


async def test_a_large_message_that_cannot_go_on_is_refused(scripted: ScriptedGateway) -> None:
    async with connected(scripted) as (client, first):
        publishing = asyncio.ensure_future(client.publish("wf/x", LARGE, codec="none"))
        second = await cut(scripted, first, 1)
        await data_of(second)
        second.send(Error(Code.LIMIT_EXCEEDED, "LIMIT_EXCEEDED", "no room", alias=0, sequence=1, count=1))
        with pytest.raises(RequestRefused, match="no room"):
            await publishing


async def test_one_that_is_given_up_while_the_gateway_thinks_is_aborted(scripted: ScriptedGateway) -> None:
    async with connected(scripted) as (client, first):
        publishing = asyncio.ensure_future(client.publish("wf/x", LARGE, codec="none"))
        second = await cut(scripted, first, 1)
        head = await data_of(second)
        assert head.plan is not None
        publishing.cancel()
        abort = await second.next(Opcode.ABORT)
        assert Abort.parse(abort.message, abort.frame).transfer == head.plan.transfer


async def test_it_may_be_cut_again_while_the_gateway_thinks(scripted: ScriptedGateway) -> None:
    async with connected(scripted) as (client, first):
        publishing = asyncio.ensure_future(client.publish("wf/x", LARGE, codec="none"))
        second = await cut(scripted, first, 1)
        await data_of(second)
        second.drop()
        third = await scripted.accept()
        head = await data_of(third)
        assert head.plan is not None
        third.send(Resume(head.plan.transfer, 5).write())
        assert await chunks_of(third) == [5, 6]
        ack(third, 1, 0)
        await publishing


async def test_a_large_publish_nowait_goes_on_as_well(scripted: ScriptedGateway) -> None:
    told: list[Exception] = []
    async with connected(scripted, on_error=told.append) as (client, first):
        client.publish_nowait("wf/x", LARGE)
        second = await cut(scripted, first, 1)
        head = await data_of(second)
        assert head.plan is not None
        assert head.flags & FLAG_ACK
        second.send(Resume(head.plan.transfer, 6).write())
        assert await chunks_of(second) == [6]
        second.send(Error(Code.FORBIDDEN, "FORBIDDEN", "closed", alias=0, sequence=1, count=1))
        await until(lambda: bool(told))
    assert "closed" in str(told[0])


async def test_the_end_carries_the_checksum_of_the_payload(scripted: ScriptedGateway) -> None:
    found: list[End] = []

    def end(peer: Peer, received: Received) -> None:
        found.append(End.parse(received.message, received.frame))
        ack(peer, len(found), 0)

    scripted.answers[Opcode.END] = end
    async with connected(scripted) as (client, _):
        await client.publish("wf/x", LARGE, codec="none")
        await client.publish("wf/x", {"a": LARGE[:1], "b": LARGE}, codec="lz4")
    assert found[0].checksum == zlib.crc32(LARGE.tobytes())
    assert found[1].checksum == zlib.crc32(LARGE[:1].tobytes() + LARGE.tobytes())


async def test_what_is_given_up_without_a_connection_is_not_kept(scripted: ScriptedGateway) -> None:
    async with connected(scripted, backoff=Backoff(base_s=60, cap_s=60), close_timeout_s=0.1) as (client, peer):
        peer.drop()
        await until(lambda: client.state is ClientState.RECONNECTING)
        waiting = [asyncio.ensure_future(client.publish("wf/x", step)) for step in range(2)]
        given_up = []
        for _ in range(20):
            array = np.zeros(10)
            given_up.append(weakref.ref(array))
            with pytest.raises(RequestTimeout, match="could not be sent: there has been no connection for"):
                await client.publish("wf/x", array, timeout_s=0)
            del array
        with pytest.raises(RequestTimeout, match="could not be sent: there has been no connection for"):
            await client.request("agent:bob", timeout_s=0)
        with pytest.raises(RequestTimeout, match="could not be sent: there has been no connection for"):
            await anext(aiter(client.request_stream("agent:bob", timeout_s=0)))
        gc.collect()
        assert sum([reference() is not None for reference in given_up]) < 8
        assert not any(publishing.done() for publishing in waiting)
    with pytest.raises(ConnectionFailed):
        await asyncio.gather(*waiting)
