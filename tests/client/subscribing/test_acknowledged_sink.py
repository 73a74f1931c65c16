"""Tests where the messages of streams that are acknowledged go, frame by frame."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np

from gateway.client import Client, Credits, Gap, connect
from gateway.errors import Code
from gateway.protocol.data import write_data
from gateway.protocol.extensions import Extensions, Identity
from gateway.protocol.messages import Kind, StreamInfo, Subscribe, Unsubscribe
from gateway.protocol.meta import write_tensor_meta
from gateway.protocol.signals import Credit, Done, Replay
from gateway.protocol.signals import Gap as GapFrame
from gateway.protocol.wire import Buffer, Opcode
from tests.client.frames import message
from tests.client.scripted_gateway import Peer, ScriptedGateway

INFO = StreamInfo(7, "wf/tasks", Kind.COLLABORATION, 5, 0, since=0)


@asynccontextmanager
async def connected(scripted: ScriptedGateway) -> AsyncIterator[tuple[Client, Peer]]:
    """A client and the other side of it."""
    async with connect(scripted.url, client_id="worker") as client:
        yield client, await scripted.accept()


async def next_done(peer: Peer) -> tuple[int, int, int]:
    """The next DONE: code, first and last offset."""
    received = await peer.next(Opcode.DONE)
    done = Done.parse(received.message, received.frame)
    assert done.stream == 7
    return done.code, done.first, done.last


def batch(offset: int, records: list[float], identity: Identity | None = None) -> list[Buffer]:
    """A record batch of float64."""
    payload = np.array(records)
    return write_data(
        Opcode.BATCH,
        stream=7,
        offset=offset,
        timestamp_ns=0,
        meta=write_tensor_meta(payload.dtype, ()),
        count=len(records),
        payload=(payload.tobytes(),),
        extensions=None if identity is None else Extensions(identity=identity),
    )


async def test_a_message_is_done_when_the_next_one_is_asked_for(scripted: ScriptedGateway) -> None:
    async with connected(scripted) as (client, peer):
        async with client.subscribe("wf/*") as messages:
            peer.send(INFO, message(0, 0), message(1, 1), message(2, 2))
            for _ in range(3):
                await anext(messages)
            assert await next_done(peer) == (0, 0, 1)
        assert await next_done(peer) == (0, 2, 2)
        taken_back = (await peer.next(Opcode.UNSUBSCRIBE)).session()
        assert isinstance(taken_back, Unsubscribe)
        assert taken_back.keep is None


async def test_what_was_being_processed_when_an_error_came_up_is_not_done(scripted: ScriptedGateway) -> None:
    async with connected(scripted) as (client, peer):
        try:
            async with client.subscribe("wf/*") as messages:
                peer.send(INFO, message(0, 0), message(1, 1))
                async for each in messages:
                    if each.offset == 1:
                        raise ValueError("in the application")
        except ValueError:
            pass
        assert await next_done(peer) == (0, 0, 0)
        taken_back = (await peer.next(Opcode.UNSUBSCRIBE)).session()
        assert isinstance(taken_back, Unsubscribe)
        assert taken_back.keep is True


async def test_the_program_may_answer_itself_in_any_order(scripted: ScriptedGateway) -> None:
    async with connected(scripted) as (client, peer), client.subscribe("wf/*", auto_ack=False) as messages:
        peer.send(INFO, *[message(offset, offset) for offset in range(3)])
        first, second, third = [await anext(messages) for _ in range(3)]
        await third.ack()
        await first.ack()
        assert [await next_done(peer), await next_done(peer)] == [(0, 0, 0), (0, 2, 2)]
        await second.nack()
        await second.ack()
        assert await next_done(peer) == (Code.NOT_PROCESSED, 1, 1)
        peer.send(Replay(7, Code.NOT_PROCESSED, 1, 1).write(), message(1, 1))
        again = await anext(messages)
        await again.ack()
        assert await next_done(peer) == (0, 1, 1)
        assert (messages.stats.received, messages.stats.replayed) == (4, 1)


async def test_a_message_keeps_its_subscription_until_it_is_answered(scripted: ScriptedGateway) -> None:
    async with connected(scripted) as (client, peer):
        messages = client.subscribe("wf/*", auto_ack=False)
        await messages.start()
        peer.send(INFO, message(0, 0))
        first = await anext(messages)
        del messages
        await client.subscribe("other/*").start()  # time to close
        await first.ack()
        assert [(await peer.next(Opcode.DONE, Opcode.UNSUBSCRIBE)).opcode for _ in range(2)] == [
            Opcode.DONE,
            Opcode.UNSUBSCRIBE,
        ]


async def test_every_subscription_has_to_be_done(scripted: ScriptedGateway) -> None:
    async with (
        connected(scripted) as (client, peer),
        client.subscribe("wf/*") as one,
        client.subscribe("wf/tasks", auto_ack=False) as two,
    ):
        peer.send(INFO, message(0, 0), message(1, 1))
        await anext(one)
        await anext(one)
        for _ in range(2):
            await (await anext(two)).ack()
        # The first is done by both, the second by one.
        assert await next_done(peer) == (0, 0, 0)


async def test_a_record_batch_is_done_when_its_last_record_is(scripted: ScriptedGateway) -> None:
    async with connected(scripted) as (client, peer), client.subscribe("wf/*") as messages:
        peer.send(INFO, batch(0, [1.0, 2.0, 3.0]), message(3, 4.0))
        assert [float((await anext(messages)).tensor) for _ in range(4)] == [1, 2, 3, 4]
        assert await next_done(peer) == (0, 0, 2)


async def test_batches_are_done_one_by_one(scripted: ScriptedGateway) -> None:
    async with connected(scripted) as (client, peer), client.subscribe("wf/*").batches() as batches:
        peer.send(INFO, batch(0, [1.0, 2.0]), batch(2, [3.0]))
        for _ in range(2):
            await anext(batches)
        assert await next_done(peer) == (0, 0, 1)


async def test_half_of_the_credit_is_granted_again(scripted: ScriptedGateway) -> None:
    async with connected(scripted) as (client, peer):
        messages = client.subscribe("wf/*", credits=Credits(4, 1 << 20))
        async with messages:
            asked = (await peer.next(Opcode.SUBSCRIBE)).session()
            assert isinstance(asked, Subscribe)
            assert asked.credits == Credits(4, 1 << 20)
            peer.send(INFO, *[message(offset, 0.5) for offset in range(4)])
            for _ in range(3):
                await anext(messages)
            received = await peer.next(Opcode.CREDIT)
            assert Credit.parse(received.message, received.frame) == Credit(asked.subscription, 2, 16)


async def test_what_was_processed_is_not_given_again_after_a_reconnect(scripted: ScriptedGateway) -> None:
    async with (
        connect(scripted.url, client_id="worker") as client,
        client.subscribe("wf/*", auto_ack=False) as messages,
    ):
        peer = await scripted.accept()
        peer.send(INFO, *[message(offset, offset) for offset in range(3)])
        held = await anext(messages)
        await (await anext(messages)).ack()
        assert await next_done(peer) == (0, 1, 1)
        peer.drop()
        again = await scripted.accept()
        await again.next(Opcode.SUBSCRIBE)
        # The gateway did not get the answer. The third waits, prefetched; the first is in the program's hands.
        again.send(INFO, *[message(offset, offset) for offset in range(4)])
        assert await next_done(again) == (0, 1, 1)
        assert [(await anext(messages)).offset for _ in range(2)] == [2, 3]
        await held.ack()
        assert await next_done(again) == (0, 0, 0)
        assert messages.stats.duplicates == 3


async def test_after_a_restart_what_was_processed_is_known_by_its_publisher(scripted: ScriptedGateway) -> None:
    async with (
        connect(scripted.url, client_id="worker") as client,
        client.subscribe("wf/*", auto_ack=False) as messages,
    ):
        peer = await scripted.accept()
        peer.send(INFO, batch(10, [1.0, 2.0], Identity(99, 5)))
        for _ in range(2):
            await (await anext(messages)).ack()
        assert await next_done(peer) == (0, 10, 11)
        peer.drop()
        again = await scripted.accept()
        await again.next(Opcode.SUBSCRIBE)
        again.send(StreamInfo(7, "wf/tasks", Kind.COLLABORATION, 6, 0), batch(0, [1.0, 2.0], Identity(99, 5)))
        again.send(batch(2, [3.0], Identity(99, 7)))
        assert await next_done(again) == (0, 0, 1)
        assert (await anext(messages)).tensor == 3.0


async def test_what_has_expired_is_told_and_is_no_loss(scripted: ScriptedGateway) -> None:
    gaps: list[Gap] = []
    async with connected(scripted) as (client, peer), client.subscribe("wf/*", on_gap=gaps.append) as messages:
        peer.send(INFO, GapFrame(7, Code.EXPIRED, 0, 1).write(), GapFrame(7, Code.MESSAGE_TOO_BIG, 2, 2).write())
        peer.send(message(3, 0))
        await anext(messages)
        assert gaps == [Gap("wf/tasks", Code.EXPIRED, 0, 1), Gap("wf/tasks", Code.MESSAGE_TOO_BIG, 2, 2)]
        assert (messages.stats.expired, messages.stats.dropped) == (2, 1)


async def test_what_cannot_be_read_is_not_processed(scripted: ScriptedGateway) -> None:
    errors: list[Exception] = []
    async with connected(scripted) as (client, peer), client.subscribe("wf/*", on_error=errors.append) as messages:
        broken = b"".join(message(0, [1.0, 2.0]))[:-8]
        peer.send(INFO, len(broken).to_bytes(4, "little") + broken[4:], message(1, 0))
        await anext(messages)
        assert await next_done(peer) == (Code.SIZE_MISMATCH, 0, 0)
        assert len(errors) == 1
