"""Programs that bound messages of all kinds by credit: what they have not taken stays in the gateway."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from dataclasses import replace

import numpy as np
import pytest
import pytest_asyncio

from gateway.app import Gateway
from gateway.client import Client, Credits, View, connect, sync
from gateway.client.connecting import Connecting
from gateway.client.decoding.decode_meter import DecodeMeter
from gateway.client.decoding.decoding import INLINE_DECODE_BYTES
from gateway.client.subscribing.subscription import Subscription
from gateway.config import Settings
from gateway.errors import Code, RequestRefused
from gateway.protocol.data import write_data
from gateway.protocol.encoding import Chain, Encoding
from gateway.protocol.messages import Kind, StreamInfo
from gateway.protocol.meta import write_meta
from gateway.protocol.signals import Abort, Credit, End, Ping
from gateway.protocol.tensors import TensorSpec
from gateway.protocol.transfers import ChunkPlan, write_chunk
from gateway.protocol.wire import MIN_CHUNK_BYTES, Buffer, Opcode
from gateway.testing import running_gateway, running_gateway_process
from tests.client.frames import message
from tests.client.scripted_gateway import Peer, ScriptedGateway
from tests.connections.frames import message_frame
from tests.integration.peer import until

SETTINGS = Settings(admin_port=None)
TENSOR = np.zeros(100, np.float32)


def credited(gateway: Gateway) -> Connecting:
    return connect(gateway.url, credit_all_kinds=True)


async def publish(client: Client, stream: str, kind: str, count: int, array: np.ndarray = TENSOR) -> None:
    for _ in range(count):
        await client.publish(stream, array, kind=kind)


def out_of_credit(gateway: Gateway) -> int:
    return sum([session.out_of_credit for session in gateway.core.pool])


async def settled(client: Client, subscription: Subscription) -> None:
    """Wait until everything that was sent has come."""
    await client.account(subscription)


@pytest.mark.parametrize("size", [100, 300_000], ids=["small", "in chunks"])
async def test_a_program_that_reads_gets_all_events_whatever_the_grant(size: int) -> None:
    async with (
        running_gateway(SETTINGS) as gateway,
        credited(gateway) as client,
        connect(gateway.url) as publisher,
        client.subscribe("wf/log", credits=Credits(3, 5000)) as messages,
    ):
        work = asyncio.create_task(publish(publisher, "wf/log", "event", 40, np.zeros(size, np.float32)))
        offsets = [(await anext(messages)).offset for _ in range(40)]
        await work
    assert offsets == list(range(40))


async def test_what_a_program_does_not_take_stays_in_the_gateway() -> None:
    async with (
        running_gateway(SETTINGS) as gateway,
        credited(gateway) as client,
        connect(gateway.url) as publisher,
        client.subscribe("wf/log", credits=Credits(4, 1 << 20)) as messages,
    ):
        await publish(publisher, "wf/log", "event", 30)
        await settled(client, messages)
        assert messages.stats.received == 4
        assert out_of_credit(gateway) == 1
        assert [(await anext(messages)).offset for _ in range(30)] == list(range(30))


async def test_a_state_is_conflated_in_the_gateway_and_counted_alike() -> None:
    async with (
        running_gateway(SETTINGS) as gateway,
        credited(gateway) as client,
        connect(gateway.url) as publisher,
        client.subscribe("wf/heat", credits=Credits(2, 1 << 20), conflate=False) as states,
    ):
        await publish(publisher, "wf/heat", "state", 50)
        await settled(client, states)
        assert [(await anext(states)).offset for _ in range(3)] == [0, 1, 49]
        counts = (await client.account(states))["wf/heat"]
        assert counts == states.account["wf/heat"]
        assert (counts.delivered, counts.conflated) == (3, 47)


async def test_states_that_the_program_lets_pass_are_granted_again() -> None:
    async with (
        running_gateway(SETTINGS) as gateway,
        credited(gateway) as client,
        connect(gateway.url) as publisher,
        client.subscribe("wf/heat", credits=Credits(2, 1 << 20)) as states,
    ):
        await publish(publisher, "wf/heat", "state", 50)
        await until(lambda: states.core.position.counts["wf/heat"].delivered > 2)
        async for state in states:
            if state.offset == 49:
                break


async def test_record_batches_and_runs_of_messages_count_as_they_came() -> None:
    async with (
        running_gateway(SETTINGS) as gateway,
        credited(gateway) as client,
        connect(gateway.url) as publisher,
        client.subscribe("wf/log", credits=Credits(5, 1 << 20)) as messages,
    ):
        for number in range(1000):
            publisher.publish_nowait("wf/log", np.float32(number), kind="event")
        await publisher.drain()
        values = [float((await anext(messages)).tensor) for _ in range(1000)]
    assert values == list(range(1000))


async def test_two_subscriptions_of_a_stream_each_grant() -> None:
    async with (
        running_gateway(SETTINGS) as gateway,
        credited(gateway) as client,
        connect(gateway.url) as publisher,
        client.subscribe("wf/log", credits=Credits(2, 1 << 20)) as one,
        client.subscribe("wf/*", credits=Credits(3, 1 << 20)) as other,
    ):
        await publish(publisher, "wf/log", "event", 12)
        assert [*await asyncio.gather(_offsets(one, 12), _offsets(other, 12))] == 2 * [list(range(12))]


async def _offsets(messages: Subscription, count: int) -> list[int]:
    return [(await anext(messages)).offset for _ in range(count)]


async def test_views_and_observed_streams_count() -> None:
    async with running_gateway(SETTINGS) as gateway, credited(gateway) as client, connect(gateway.url) as publisher:
        await publish(publisher, "wf/tasks", "collaboration", 1)
        async with (
            client.subscribe("wf/log", view=View(slice=np.s_[::2]), credits=Credits(2, 1 << 20)) as view,
            client.subscribe("wf/tasks", credits=Credits(2, 1 << 20), observe=True) as tasks,
        ):
            await publish(publisher, "wf/log", "event", 10)
            await publish(publisher, "wf/tasks", "collaboration", 10)
            assert await _offsets(view, 10) == list(range(10))
            assert await _offsets(tasks, 10) == list(range(1, 11))


async def test_acknowledged_messages_share_the_credit() -> None:
    async with running_gateway(SETTINGS) as gateway, connect(gateway.url) as publisher:
        client = await connect(gateway.url, client_id="worker", credit_all_kinds=True)
        async with client, client.subscribe("wf/*", credits=Credits(2, 1 << 20), observe=False) as messages:
            await publish(publisher, "wf/log", "event", 6)
            await publish(publisher, "wf/tasks", "collaboration", 6)
            received = [(message.stream, message.offset) for message in [await anext(messages) for _ in range(12)]]
        assert sorted(received) == sorted([(stream, at) for stream in ("wf/log", "wf/tasks") for at in range(6)])


async def test_credit_begins_anew_on_the_next_connection() -> None:
    async with (
        running_gateway(SETTINGS) as gateway,
        credited(gateway) as client,
        connect(gateway.url) as publisher,
        client.subscribe("wf/log", credits=Credits(4, 1 << 20)) as messages,
    ):
        await publish(publisher, "wf/log", "event", 10)
        await settled(client, messages)
        session = next(session for session in gateway.core.pool if session.out_of_credit)
        session.connection.close(1001, "go")
        assert await _offsets(messages, 10) == list(range(10))


def test_the_blocking_client_grants_as_its_program_takes() -> None:
    with (
        running_gateway_process() as gateway,
        sync.connect(gateway.url, credit_all_kinds=True) as client,
        client.subscribe("wf/log", credits=Credits(3, 1 << 20)) as messages,
    ):
        for number in range(50):
            client.publish("wf/log", np.float32(number), kind="event")
        assert [float(next(messages).tensor) for _ in range(50)] == list(range(50))


async def test_without_the_option_credits_bound_acknowledged_streams_only() -> None:
    async with (
        running_gateway(SETTINGS) as gateway,
        connect(gateway.url) as client,
        connect(gateway.url) as publisher,
        client.subscribe("wf/log", credits=Credits(1, 1)) as messages,
    ):
        await publish(publisher, "wf/log", "event", 10)
        await settled(client, messages)
        assert messages.stats.received == 10


class CreditedGateway:
    """A gateway that sends what a test says, to a subscription with credit for two messages."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        peer.send(StreamInfo(1, "wf/log", Kind.EVENT, 5, 0))

    def send(self, *frames: Buffer | list[Buffer]) -> None:
        self._peer.send(*frames)

    def send_head(self, offset: int, transfer: int, size: int) -> None:
        plan = ChunkPlan(transfer, MIN_CHUNK_BYTES, size)
        meta = write_meta([TensorSpec("", np.dtype(np.uint8), (size,))], None)
        self.send(write_data(Opcode.MESSAGE, stream=1, offset=offset, timestamp_ns=0, meta=meta, plan=plan))

    async def granted(self) -> list[int]:
        """Messages of the grants that the client has sent up to now, each by itself."""
        self._peer.send(Ping(1).write())
        found: list[int] = []
        while (frame := await self._peer.next(Opcode.CREDIT, Opcode.PONG)).opcode == Opcode.CREDIT:
            found.append(Credit.parse(frame.message, frame.frame).messages)
        return found


@pytest_asyncio.fixture
async def credited_gateway(scripted: ScriptedGateway) -> AsyncIterator[tuple[CreditedGateway, Subscription]]:
    assert scripted.welcome is not None
    scripted.welcome = replace(scripted.welcome, credits=True)
    async with (
        connect(scripted.url, credit_all_kinds=True) as client,
        client.subscribe("wf/*", credits=Credits(2, 1 << 30)) as messages,
    ):
        yield CreditedGateway(await scripted.accept()), messages


async def test_a_large_message_on_its_way_in_is_not_granted_again(
    credited_gateway: tuple[CreditedGateway, Subscription],
) -> None:
    gateway, messages = credited_gateway
    gateway.send_head(0, 7, 100)
    gateway.send_head(1, 8, 100)
    assert await gateway.granted() == []
    gateway.send(write_chunk(7, 0, (bytes(100),)), End(7, 0, 0).write())
    await until(lambda: messages.stats.received == 1)
    assert await gateway.granted() == []
    await anext(messages)
    assert await gateway.granted() == [1]
    gateway.send(Abort(8, Code.TRANSFER_ABORTED).write())
    assert await gateway.granted() == [1]


@pytest.mark.parametrize("fails", [False, True])
async def test_a_message_that_a_thread_decodes_is_not_granted_again(
    fails: bool, credited_gateway: tuple[CreditedGateway, Subscription], monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway, messages = credited_gateway
    go_on, decode = threading.Event(), DecodeMeter.decode

    def held(meter: DecodeMeter, encoding: Encoding, data: Buffer, *, base: Buffer | None = None) -> Buffer:
        assert go_on.wait(60)
        if fails:
            raise RequestRefused(Code.CORRUPT_PAYLOAD, "it is corrupt")
        return decode(meter, encoding, data, base=base)

    monkeypatch.setattr(DecodeMeter, "decode", held)
    encoded = bytes(INLINE_DECODE_BYTES + 1)
    for offset in (0, 2):
        gateway.send(message_frame(1, offset, encoded, chain=Chain.parse("zstd")))
        gateway.send(message(offset + 1, 1, stream=1))
    assert await gateway.granted() == []
    assert messages.stats.received == 0
    go_on.set()
    await until(lambda: messages.stats.received + messages.stats.failed == 4)
    assert sum(await gateway.granted()) == (2 if fails else 0)
    for _ in range(2 if fails else 4):
        await anext(messages)
    await until_granted(gateway, 2 if fails else 4)


async def until_granted(gateway: CreditedGateway, total: int) -> None:
    """Each message is granted again once, and no more than came."""
    found = 0
    while found < total:
        found += sum(await gateway.granted())
    assert (found, await gateway.granted()) == (total, [])
