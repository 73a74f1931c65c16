"""Tests answering the requests of others, frame by frame."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np
import pytest

from gateway.app import Gateway
from gateway.client import Backoff, Client, connect
from gateway.client.sending import send_queue
from gateway.errors import Code, ConnectionFailed, RequestRefused, UsageError
from gateway.protocol.data import DataFrame, parse_data, write_data
from gateway.protocol.messages import Error, GoAway, Subscribe, Unsubscribe, Unsubscribed
from gateway.protocol.meta import parse_meta, write_meta
from gateway.protocol.signals import Abort, Cancel, End, Resume
from gateway.protocol.tensors import TensorSpec
from gateway.protocol.transfers import ChunkPlan, parse_chunk
from gateway.protocol.wire import FLAG_FAILED, FLAG_MORE, Opcode
from tests.client.frames import data_frame
from tests.client.scripted_gateway import Peer, ScriptedGateway
from tests.client.sending.test_content import ChangingRoom
from tests.client.waiting import half_sent, until


@asynccontextmanager
async def connected(scripted: ScriptedGateway) -> AsyncIterator[tuple[Client, Peer, asyncio.Queue[Exception]]]:
    """A client, the other side of it, and what it tells to ``on_error``."""
    told: asyncio.Queue[Exception] = asyncio.Queue()
    backoff = Backoff(base_s=0, cap_s=0)
    async with connect(scripted.url, client_id="me", backoff=backoff, on_error=told.put_nowait) as client:
        yield client, await scripted.accept(), told


async def next_reply(peer: Peer) -> DataFrame:
    received = await peer.next(Opcode.REPLY)
    return parse_data(received.message, received.frame)


def request(correlation: int, value: object, asker: int = 4) -> bytes:
    return b"".join(data_frame(Opcode.REQUEST, correlation, value, stream=0, publisher=asker))


async def test_the_inbox_is_opened_and_closed(scripted: ScriptedGateway) -> None:
    async with connected(scripted) as (client, peer, _):
        async with client.inbox():
            opened = (await peer.next(Opcode.SUBSCRIBE)).session()
            assert isinstance(opened, Subscribe)
            assert opened.pattern == "agent:made-up"  # as WELCOME says
        closed = (await peer.next(Opcode.UNSUBSCRIBE)).session()
        assert isinstance(closed, Unsubscribe)
        assert closed.subscription == opened.subscription


async def test_a_reply_names_the_asker_and_the_correlation(scripted: ScriptedGateway) -> None:
    async with connected(scripted) as (client, peer, _), client.inbox() as requests:
        peer.send(request(11, 3, asker=4), request(11, 4, asker=5))
        for asker in (4, 5):
            asked = await anext(requests)
            assert (asked.publisher, asked.offset) == (asker, 11)
            await asked.reply(asked.tensor * 2)
            reply = await next_reply(peer)
            assert (reply.stream, reply.offset, reply.flags) == (asker, 11, 0)
            assert reply.payload[0] == 2 * (asker - 1)


async def test_a_failure_carries_its_text(scripted: ScriptedGateway) -> None:
    async with connected(scripted) as (client, peer, _), client.inbox() as requests:
        peer.send(request(11, 3))
        await (await anext(requests)).fail("out of paper")
        reply = await next_reply(peer)
        assert reply.flags & FLAG_FAILED
        assert parse_meta(reply.meta).headers == {"error": "out of paper"}


async def test_a_large_reply_is_cut_into_chunks(scripted: ScriptedGateway) -> None:
    async with connected(scripted) as (client, peer, _), client.inbox() as requests:
        peer.send(request(11, 3))
        asked = await anext(requests)
        await asyncio.gather(asked.reply(np.zeros(2_000_000, np.uint8), codec="none"), _drain_reply(peer))


async def _drain_reply(peer: Peer) -> None:
    reply = await next_reply(peer)
    assert reply.plan is not None
    received = await peer.next(Opcode.END)
    assert End.parse(received.message, received.frame).offset == 11


async def test_a_request_that_cannot_be_read_is_answered_all_the_same(scripted: ScriptedGateway) -> None:
    async with connected(scripted) as (client, peer, told), client.inbox() as requests:
        meta = write_meta([TensorSpec("", np.dtype(np.uint8), (8,))])
        bad = write_data(Opcode.REQUEST, stream=0, offset=11, timestamp_ns=0, publisher=4, meta=meta, payload=[b"x"])
        peer.send(bad, request(12, 1))
        reply = await next_reply(peer)
        assert (reply.stream, reply.offset, reply.flags & FLAG_FAILED) == (4, 11, FLAG_FAILED)
        assert (await anext(requests)).offset == 12
        assert "8" in str(await told.get())


async def test_a_request_after_the_inbox_was_closed_is_answered(scripted: ScriptedGateway) -> None:
    async with connected(scripted) as (client, peer, _):
        async with client.inbox():
            pass
        peer.send(request(11, 3))
        reply = await next_reply(peer)
        assert reply.flags & FLAG_FAILED
        assert "closed" in str(parse_meta(reply.meta).headers)


async def test_an_inbox_that_is_dropped_is_closed_and_the_requests_that_wait_in_it_fail(
    scripted: ScriptedGateway,
) -> None:
    async with connected(scripted) as (client, peer, _):
        requests = client.inbox()
        await requests.start()
        peer.send(request(11, 3), request(12, 4))
        taken, buffer = await anext(requests), requests.core.buffer
        await until(lambda: buffer.bytes > 0)
        del requests
        closed = (await peer.next(Opcode.UNSUBSCRIBE)).session()
        assert isinstance(closed, Unsubscribe)
        failure = await next_reply(peer)
        assert (failure.offset, failure.flags & FLAG_FAILED) == (12, FLAG_FAILED)
        await taken.reply(1)
        assert (await next_reply(peer)).offset == 11


@pytest.mark.parametrize("group", [None, "workers"])
async def test_an_inbox_that_was_dropped_can_be_opened_at_once(scripted: ScriptedGateway, group: str | None) -> None:
    async with connected(scripted) as (client, peer, _):
        requests = client.inbox(group=group)
        await requests.start()
        with pytest.raises(UsageError, match="open already"):
            client.inbox(group=group)
        del requests
        async with client.inbox(group=group):
            asked = [(await peer.next(Opcode.SUBSCRIBE, Opcode.UNSUBSCRIBE)).opcode for _ in range(3)]
        assert asked == [Opcode.SUBSCRIBE, Opcode.UNSUBSCRIBE, Opcode.SUBSCRIBE]


@pytest.mark.parametrize("closed", [False, True])
async def test_an_inbox_that_is_started_without_a_connection_is_opened_once_unless_it_was_closed(
    scripted: ScriptedGateway, closed: bool
) -> None:
    async with connected(scripted) as (client, first, _):
        first.send(GoAway(1001, "stopping", 5.0))
        await until(lambda: client._core.context.ready is None)
        requests = client.inbox(group="workers")
        starting = asyncio.ensure_future(requests.start())
        await asyncio.sleep(0)
        if closed:
            await requests.close()
        first.drop()
        second = await scripted.accept()
        await starting
        async with client.subscribe("wf/*"):
            asked = [(await second.next(Opcode.SUBSCRIBE)).session()]
            if not closed:
                asked.append((await second.next(Opcode.SUBSCRIBE)).session())
        patterns = [each.pattern for each in asked if isinstance(each, Subscribe)]
        assert patterns == (["wf/*"] if closed else ["group:workers", "wf/*"])


@pytest.mark.parametrize("group", [None, "workers"])
async def test_an_inbox_that_could_not_be_started_says_so_each_time(
    scripted: ScriptedGateway, group: str | None
) -> None:
    async with connected(scripted) as (client, _, _):
        requests = client.inbox(group=group)
    for _ in range(2):
        with pytest.raises(ConnectionFailed, match="is closed"):
            await anext(requests)
    await requests.close()
    assert [request async for request in requests] == []


async def test_the_inbox_is_opened_again_after_a_loss_and_late_replies_are_told(scripted: ScriptedGateway) -> None:
    async with connected(scripted) as (client, first, told), client.inbox() as requests:
        first.send(request(11, 3))
        asked = await anext(requests)
        first.drop()
        second = await scripted.accept()
        await second.next(Opcode.SUBSCRIBE)
        await asked.reply(1)
        assert "its connection is gone" in str(await told.get())
        second.send(request(12, 4))
        await (await anext(requests)).reply(2)
        assert (await next_reply(second)).offset == 12


async def test_replies_are_sent_after_go_away_too(scripted: ScriptedGateway) -> None:
    async with connected(scripted) as (client, peer, _), client.inbox() as requests:
        peer.send(request(11, 3), GoAway(1001, "stopping", 5.0))
        await (await anext(requests)).reply(np.zeros(2_000_000, np.uint8), codec="none")
        assert (await next_reply(peer)).offset == 11
        await peer.next(Opcode.END)


async def test_a_reply_that_a_loss_cuts_off_is_told(scripted: ScriptedGateway) -> None:
    async with connected(scripted) as (client, peer, told), client.inbox() as requests:
        peer.send(request(11, 3))
        asked = await anext(requests)
        peer.pause_reading()
        replying = asyncio.ensure_future(asked.reply(np.zeros(64 << 20, np.uint8), codec="none"))
        await asyncio.sleep(0)
        peer.drop()
        await replying
        assert "dropped" in str(await told.get())


async def test_inboxes_of_groups_are_told_apart_by_their_numbers(scripted: ScriptedGateway) -> None:
    async with connected(scripted) as (client, peer, _):
        async with client.inbox() as mine, client.inbox(group="planners") as planning, client.inbox(group="b") as other:
            subscribed = [(await peer.next(Opcode.SUBSCRIBE)).session() for _ in range(3)]
            assert all(isinstance(each, Subscribe) for each in subscribed)
            numbers = {each.pattern: each.subscription for each in subscribed if isinstance(each, Subscribe)}
            assert set(numbers) == {"agent:made-up", "group:planners", "group:b"}
            assert numbers["agent:made-up"] == 0
            for value, address in enumerate(numbers):
                peer.send(data_frame(Opcode.REQUEST, value, value, stream=numbers[address], publisher=4))
            for value, inbox in enumerate((mine, planning, other)):
                asked = await anext(inbox)
                assert (int(asked.tensor), asked.stream) == (value, list(numbers)[value])
            with pytest.raises(UsageError, match="inbox of group:planners is open already"):
                client.inbox(group="planners")
            with pytest.raises(RequestRefused, match="group:a/b"):
                client.inbox(group="a/b")
        async with client.inbox(group="planners"):
            again = (await peer.next(Opcode.SUBSCRIBE)).session()
            assert isinstance(again, Subscribe)
            assert again.subscription not in numbers.values()


async def test_a_group_is_joined_again_after_a_loss(scripted: ScriptedGateway) -> None:
    async with connected(scripted) as (client, first, _), client.inbox(group="planners") as requests:
        first.drop()
        second = await scripted.accept()
        subscribed = (await second.next(Opcode.SUBSCRIBE)).session()
        assert isinstance(subscribed, Subscribe)
        assert subscribed.pattern == "group:planners"
        second.send(data_frame(Opcode.REQUEST, 1, 5, stream=subscribed.subscription, publisher=4))
        assert (await anext(requests)).tensor == 5


async def test_a_request_hears_that_it_is_cancelled_and_its_replies_go_nowhere(scripted: ScriptedGateway) -> None:
    async with connected(scripted) as (client, peer, _), client.inbox() as requests:
        peer.send(request(11, 3), request(12, 4))
        first, second = await anext(requests), await anext(requests)
        await first.reply_partial(1)
        assert (await next_reply(peer)).flags & FLAG_MORE
        peer.send(Cancel(9, 11).write(), Cancel(4, 11).write())
        await first.wait_cancelled()
        assert not second.cancelled
        await first.reply_partial(2)
        await first.reply(3)
        await second.reply(4)
        assert (await next_reply(peer)).offset == 12


async def test_a_large_reply_that_nobody_wants_any_more_is_ended(scripted: ScriptedGateway) -> None:
    async with connected(scripted) as (client, peer, told), client.inbox() as requests:
        peer.send(request(11, 3))
        asked = await anext(requests)
        peer.pause_reading()
        replying = asyncio.ensure_future(asked.reply(np.zeros(64 << 20, np.uint8), codec="none"))
        await half_sent(client)
        peer.send(Cancel(4, 11).write())
        await asked.wait_cancelled()
        peer.resume_reading()
        await replying
        await peer.next(Opcode.ABORT)
        assert told.empty()
        await until(lambda: not client._core.responder._queues)  # most peers ask once


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Messages that were refused for now are sent again without a pause."""
    monkeypatch.setattr(send_queue, "AGAIN", Backoff(base_s=0, cap_s=0, later_s=0))


def refuse(peer: Peer, correlation: int, code: Code, asker: int = 4) -> None:
    peer.send(Error(code, code.name, "because", correlation=correlation, peer=asker))


@pytest.mark.usefixtures("at_once")
async def test_a_large_reply_that_finds_no_room_is_sent_again_and_those_behind_it_wait(
    scripted: ScriptedGateway,
) -> None:
    del scripted.answers[Opcode.REPLY]
    value = np.arange(2_000_000, dtype=np.uint8)
    async with connected(scripted) as (client, peer, told), client.inbox() as requests:
        peer.send(request(11, 3), request(12, 3))
        replying = []
        for size in (2_000_000, 1):
            asked = await anext(requests)
            replying.append(asyncio.ensure_future(asked.reply(value[:size], codec="none")))
        first = await next_reply(peer)
        assert first.resuming
        await peer.next(Opcode.END)
        refuse(peer, 11, Code.QUEUE_FULL)
        again = await next_reply(peer)
        assert (again.offset, again.stream, again.resuming, again.meta) == (11, 4, True, first.meta)
        assert not any(each.done() for each in replying)
        assert again.plan is not None
        peer.send(Resume(again.plan.transfer, 0).write())
        chunks = b""
        while (received := await peer.next(Opcode.CHUNK, Opcode.END, Opcode.REPLY)).opcode == Opcode.CHUNK:
            chunks += parse_chunk(received.message, received.frame).data
        assert (received.opcode, chunks) == (Opcode.END, value.tobytes())
        assert (await next_reply(peer)).offset == 12
        await asyncio.gather(*replying)
        assert told.empty()


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("end", ["refused", "cancelled"])
async def test_a_large_reply_that_nobody_takes_ends(scripted: ScriptedGateway, end: str) -> None:
    del scripted.answers[Opcode.REPLY]
    async with connected(scripted) as (client, peer, told), client.inbox() as requests:
        peer.send(request(11, 3))
        asked = await anext(requests)
        replying = asyncio.ensure_future(asked.reply(np.zeros(2_000_000, np.uint8), codec="none"))
        await next_reply(peer)
        refuse(peer, 11, Code.QUEUE_FULL)
        await next_reply(peer)
        if end == "refused":
            refuse(peer, 11, Code.LIMIT_EXCEEDED)
            assert "the reply to request 11 of peer 4: because" in str(await told.get())
        else:
            peer.send(Cancel(4, 11).write())
        await replying
        assert told.empty()


async def test_a_loss_cancels_the_requests_that_came_on_the_connection(scripted: ScriptedGateway) -> None:
    async with connected(scripted) as (client, peer, _), client.inbox() as requests:
        peer.send(request(11, 3))
        asked = await anext(requests)
        peer.drop()
        await asked.wait_cancelled()


async def test_a_large_request_that_is_cut_off_is_no_error(scripted: ScriptedGateway) -> None:
    async with connected(scripted) as (client, peer, told), client.inbox() as requests:
        meta = write_meta([TensorSpec("", np.dtype(np.uint8), (8192,))])
        plan = ChunkPlan(1, 4096, 8192)
        head = write_data(Opcode.REQUEST, stream=0, offset=11, timestamp_ns=0, publisher=4, meta=meta, plan=plan)
        peer.send(head, Abort(1, Code.CANCELLED).write(), request(12, 4))
        assert (await anext(requests)).offset == 12
        assert told.empty()


async def test_a_request_that_crosses_the_end_of_the_inbox_is_left_to_others(scripted: ScriptedGateway) -> None:
    """The gateway takes back what another member can have before it answers UNSUBSCRIBE; the rest is refused."""
    scripted.answers.pop(Opcode.UNSUBSCRIBE)
    async with connected(scripted) as (client, peer, _):
        inbox = client.inbox(group="planners")
        await inbox.start()
        closing = asyncio.ensure_future(inbox.close())
        leaving = (await peer.next(Opcode.UNSUBSCRIBE)).session()
        assert isinstance(leaving, Unsubscribe)
        for correlation in (11, 12):
            peer.send(data_frame(Opcode.REQUEST, correlation, 1, stream=leaving.subscription, publisher=4))
        peer.send(Cancel(4, 11).write(), Unsubscribed(leaving.request, leaving.subscription))
        await closing
        refused = await next_reply(peer)
        assert (refused.offset, refused.flags & FLAG_FAILED) == (12, FLAG_FAILED)


async def test_a_reply_that_cannot_be_sent_leaves_nothing_behind(gateway: Gateway) -> None:
    array = np.zeros(10)

    def change() -> None:
        array[:] += 1

    async with (
        connect(gateway.url, client_id="bob") as bob,
        connect(gateway.url) as asker,
        bob.inbox() as requests,
    ):
        asking = asyncio.ensure_future(asker.request("agent:bob"))
        request = await anext(requests)
        responder = bob._core.responder
        room = bob._core.context._room = ChangingRoom(array.nbytes)
        room.changes = [change] * 100
        with pytest.raises(UsageError, match="changed"):
            await request.reply(array)
        assert (len(responder._replying), len(responder._queues)) == (0, 0)
        room.changes = []
        await request.reply(array)
        np.testing.assert_array_equal((await asking).tensor, array)
