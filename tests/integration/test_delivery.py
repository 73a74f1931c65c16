"""What arrives at real sockets: late joiners, large tensors beside control messages, lagging receivers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import numpy as np
import pytest
import pytest_asyncio

from gateway.app import Gateway
from gateway.config import Settings
from gateway.errors import Code
from gateway.protocol.messages import GoAway, Kind, Unsubscribe
from gateway.protocol.wire import Opcode
from gateway.testing import running_gateway
from tests.connections.frames import message_frame
from tests.connections.reader import Reader
from tests.integration.peer import publisher_of, raw_peer, subscriber_of, until

MIB = 1024 * 1024
NOISE = np.random.default_rng(3).bytes(MIB)
LZ4 = ("lz4", "zstd", "shuffle")


@pytest_asyncio.fixture
async def gateway() -> AsyncIterator[Gateway]:
    async with running_gateway() as running:
        yield running


def tensor(mebibytes: int) -> bytes:
    return NOISE * mebibytes


async def test_one_tensor_reaches_all_its_subscribers_bit_for_bit(gateway: Gateway) -> None:
    payload = tensor(9)
    async with (
        subscriber_of(gateway.url, "wf/*", "one") as one,
        subscriber_of(gateway.url, "wf/weights", "two") as two,
        subscriber_of(gateway.url, "**", "three") as three,
        publisher_of(gateway.url, "wf/weights") as publisher,
    ):
        sending = asyncio.create_task(publisher.publish_large(0, payload))
        await asyncio.gather(sending, *[peer.until(lambda reader: reader.arrivals) for peer in (one, two, three)])
        for peer in (one, two, three):
            assert [arrival.payload == payload for arrival in peer.reader.arrivals] == [True]


@pytest.mark.parametrize("form", ["small", "single frame", "chunks"])
@pytest.mark.parametrize("codecs", [(), LZ4])
async def test_a_late_joiner_of_a_state_gets_the_newest_message(
    gateway: Gateway, form: str, codecs: tuple[str, ...]
) -> None:
    sizes = {"small": 100, "single frame": 300_000, "chunks": 3 * MIB}
    payload = tensor(3)[: sizes[form]]
    async with publisher_of(gateway.url, "wf/a", kind=Kind.STATE) as publisher:
        await publisher.publish(0, b"old", ack=True)
        if form == "chunks":
            await publisher.publish_large(0, payload)
        else:
            await publisher.publish(0, payload, ack=True)
        await publisher.until(lambda reader: len(reader.acks) == 2)
        async with raw_peer(gateway.url, "late", codecs) as late:
            await late.subscribe("wf/*")
            await late.until(lambda reader: reader.arrivals)
            (arrival,) = late.reader.arrivals
            assert (arrival.offset, arrival.payload == payload) == (1, True)


async def test_a_late_joiner_of_an_event_gets_what_comes_from_now_on(gateway: Gateway) -> None:
    async with publisher_of(gateway.url, "wf/a", kind=Kind.EVENT) as publisher:
        await publisher.publish(0, b"old", ack=True)
        await publisher.until(lambda reader: reader.acks)
        async with subscriber_of(gateway.url, "wf/a") as late:
            await publisher.publish(0, b"new")
            await late.until(lambda reader: reader.arrivals)
            assert late.reader.offsets == [1]


async def test_a_stream_that_comes_later_is_announced_before_its_first_message(gateway: Gateway) -> None:
    async with (
        subscriber_of(gateway.url, "wf/*") as subscriber,
        raw_peer(gateway.url, "publisher") as publisher,
    ):
        await publisher.open(0, "wf/new", Kind.EVENT)
        await publisher.publish(0, b"first")
        await subscriber.until(lambda reader: reader.arrivals)
        assert subscriber.reader.stream_id("wf/new") == subscriber.reader.arrivals[0].stream


async def test_nothing_comes_after_unsubscribing_is_answered(gateway: Gateway) -> None:
    async with (
        subscriber_of(gateway.url, "wf/a") as subscriber,
        publisher_of(gateway.url, "wf/a") as publisher,
    ):
        await subscriber.say(Unsubscribe(9, 1))
        await subscriber.settle()
        await publisher.publish(0, b"too late", ack=True)
        await publisher.until(lambda reader: reader.acks)
        await subscriber.settle()
        assert not subscriber.reader.arrivals


async def test_a_control_message_passes_a_tensor_that_is_under_way_to_the_same_client(gateway: Gateway) -> None:
    """It is published when the first chunks have arrived, and arrives before END."""
    payload = tensor(64)
    async with (
        subscriber_of(gateway.url, "wf/*") as subscriber,
        publisher_of(gateway.url, "wf/weights", kind=Kind.STATE) as publisher,
        publisher_of(gateway.url, "wf/control", kind=Kind.CONTROL) as controller,
    ):
        sending = asyncio.create_task(publisher.publish_large(0, payload))
        await subscriber.until(lambda reader: reader.received_chunks >= 2)
        await controller.publish(0, b"stop", ack=True)
        reader = await subscriber.until(lambda reader: len(reader.arrivals) == 2)
        await sending
        assert [arrival.large for arrival in reader.arrivals] == [False, True]
        assert reader.arrivals[1].payload == payload


async def test_a_lagging_receiver_gets_the_newest_state_and_everything_of_the_rest(gateway: Gateway) -> None:
    async with (
        subscriber_of(gateway.url, "wf/*", "slow") as slow,
        publisher_of(gateway.url, "wf/state", kind=Kind.STATE) as state,
        publisher_of(gateway.url, "wf/event", kind=Kind.EVENT) as event,
    ):
        slow.stop_reading()
        (session,) = [session for session in gateway.core.pool if session.peer.client_id == "slow"]
        rounds = 0
        while not session.connection.lagging or rounds < 60:
            rounds += 1
            await state.publish(0, tensor(1)[:400_000], ack=True)
            await event.publish(0, rounds.to_bytes(4, "little"), ack=True)
            for peer in (state, event):
                await peer.until(lambda reader, rounds=rounds: len(reader.acks) == rounds)  # type: ignore[misc]
        slow.read_on()
        await slow.until(lambda reader: finished(reader, rounds))
        (outbox,) = [session.connection.outbox]
        assert outbox is not None
        states = offsets(slow.reader, "wf/state")
        assert states == sorted(set(states))
        assert outbox.conflated == rounds - len(states) > 0
        assert offsets(slow.reader, "wf/event") == list(range(rounds))


def offsets(reader: Reader, stream: str) -> list[int]:
    id = reader.stream_id(stream)
    return [arrival.offset for arrival in reader.arrivals if arrival.stream == id]


def finished(reader: Reader, rounds: int) -> bool:
    if len(reader.streams) < 2:
        return False
    return rounds - 1 in offsets(reader, "wf/state") and len(offsets(reader, "wf/event")) == rounds


async def test_what_the_policy_encodes_arrives_bit_for_bit(gateway: Gateway) -> None:
    """The sampled policy learns from the first tensors, on a thread; then those who can decode get encoded ones."""
    payload = np.arange(100_000, dtype=np.int64).tobytes()
    async with (
        raw_peer(gateway.url, "knowing", LZ4) as knowing,
        raw_peer(gateway.url, "plain") as plain,
        publisher_of(gateway.url, "wf/tokens") as publisher,
    ):
        for peer in (knowing, plain):
            await peer.subscribe("wf/*")
        published = 0
        while published < 10 or not knowing.reader.arrivals[-1].encoded:
            await publisher.publish(0, payload, ack=True)
            published += 1
            await asyncio.gather(
                *[peer.until(lambda reader, n=published: len(reader.arrivals) == n) for peer in (knowing, plain)]  # type: ignore[misc]
            )
        for peer in (knowing, plain):
            assert peer.reader.offsets == list(range(published))
            assert all(arrival.payload == payload for arrival in peer.reader.arrivals)
        assert not any(arrival.encoded for arrival in plain.reader.arrivals)


async def test_a_request_and_its_reply(gateway: Gateway) -> None:
    async with raw_peer(gateway.url, "asker") as asker, raw_peer(gateway.url, "planner") as planner:
        await planner.subscribe("agent:planner")
        await asker.open(0, "agent:planner")
        await asker.send(direct(Opcode.REQUEST, 0, 7, b"2 + 2"))
        await planner.until(lambda reader: reader.arrivals)
        (request,) = planner.reader.arrivals
        assert (request.opcode, request.publisher, request.offset) == (Opcode.REQUEST, asker.peer, 7)
        await planner.send(direct(Opcode.REPLY, request.publisher, request.offset, b"4"))
        await asker.until(lambda reader: reader.arrivals)
        (reply,) = asker.reader.arrivals
        assert (reply.opcode, reply.publisher, reply.payload) == (Opcode.REPLY, planner.peer, b"4")


def direct(opcode: int, stream: int, correlation: int, payload: bytes) -> bytes:
    frame = bytearray(b"".join(message_frame(stream, correlation, payload)))
    frame[4] = opcode
    return bytes(frame)


async def test_what_is_queued_is_delivered_before_the_gateway_stops() -> None:
    async with (
        running_gateway() as gateway,
        subscriber_of(gateway.url, "wf/*", "slow") as slow,
        publisher_of(gateway.url, "wf/event") as publisher,
    ):
        slow.stop_reading()
        for _ in range(20):
            await publisher.publish(0, tensor(1)[:400_000], ack=True)
        await publisher.until(lambda reader: len(reader.acks) == 20)
        stopping = asyncio.create_task(gateway.stop())
        await publisher.until(lambda reader: reader.leaving)
        slow.read_on()
        assert await slow.closing() == Code.GOING_AWAY
        assert await publisher.closing() == Code.GOING_AWAY
        await stopping
        assert slow.reader.offsets == list(range(20))
        assert slow.reader.leaving


async def test_a_transfer_under_way_is_finished_before_the_gateway_stops() -> None:
    payload = tensor(2)
    async with (
        running_gateway() as gateway,
        subscriber_of(gateway.url, "wf/*") as subscriber,
        publisher_of(gateway.url, "wf/a", "wf/b") as publisher,
    ):
        await publisher.publish_large(0, payload, chunks=1)
        await subscriber.until(lambda reader: reader.received_chunks == 1)
        stopping = asyncio.create_task(gateway.stop())
        await publisher.until(lambda reader: reader.leaving)
        await publisher.open(5, "wf/new")
        await publisher.finish_large(1, payload, first=1)
        await subscriber.until(lambda reader: reader.arrivals)
        assert await subscriber.closing() == Code.GOING_AWAY
        await publisher.closing()
        await stopping
        assert subscriber.reader.arrivals[0].payload == payload
        assert publisher.reader.codes == [Code.DRAINING]
        (away,) = [entry for entry in publisher.reader.log if isinstance(entry, GoAway)]
        assert away.code == Code.GOING_AWAY


async def test_a_client_that_answers_nothing_does_not_hold_up_the_stop() -> None:
    """Neither what is queued for it nor its close: after the deadline it is cut off."""
    settings = Settings(admin_port=None, drain_deadline_s=0.2)
    async with (
        running_gateway(settings) as gateway,
        subscriber_of(gateway.url, "wf/*", "stuck") as stuck,
        publisher_of(gateway.url, "wf/event") as publisher,
    ):
        stuck.stop_reading()
        for _ in range(30):
            await publisher.publish(0, tensor(1)[:400_000], ack=True)
        await publisher.until(lambda reader: len(reader.acks) == 30)
        await asyncio.gather(gateway.stop(), publisher.closing())
        assert not len(gateway.core.pool)
        stuck.reset()


async def test_the_last_subscriber_that_leaves_leaves_nothing_behind(gateway: Gateway) -> None:
    async with publisher_of(gateway.url, "wf/a") as publisher:
        for _ in range(3):
            async with subscriber_of(gateway.url, "wf/*") as subscriber:
                await publisher.publish(0, b"x")
                await subscriber.until(lambda reader: reader.arrivals)
        await until(lambda: len(gateway.core.pool) == 1)
        assert not any(fanout.receivers for fanout in gateway.core.hub.fanouts)
        assert gateway.core.drained
