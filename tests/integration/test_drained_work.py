"""A gateway process stops while clients work: what it has acknowledged comes before its end, or after it is back."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed

from gateway.client import connect
from gateway.errors import Code, RequestRefused
from gateway.protocol.durability import Durability
from gateway.protocol.messages import Credits, Kind
from gateway.protocol.signals import Credit, Done
from gateway.testing import running_gateway_process
from gateway.testing.running import GatewayProcess
from tests.integration.peer import RawPeer, publisher_of, raw_peer, subscriber_of

DEADLINE_S = 8.0
TASKS = "wf/tasks"


@contextmanager
def stoppable(folder: Path) -> Iterator[GatewayProcess]:
    """A gateway with a store."""
    store = f"sqlite:{folder / 'streams.db'}"
    with running_gateway_process("--drain-deadline", str(DEADLINE_S), "--store", store) as gateway:
        yield gateway


class Stop:
    """The stop of a gateway process."""

    def __init__(self, gateway: GatewayProcess) -> None:
        self._process = gateway.process
        self._begun_s = time.monotonic()
        self._process.send_signal(signal.SIGTERM)

    async def end(self) -> None:
        """Wait until the process has ended, in time and without a fault."""
        assert await asyncio.to_thread(self._process.wait, DEADLINE_S + 2) == 0
        assert time.monotonic() - self._begun_s < DEADLINE_S
        assert self._process.stderr is not None
        errors = self._process.stderr.read()
        assert "Traceback" not in errors
        assert "are lost" not in errors


def acknowledged_to(publisher: RawPeer) -> set[int]:
    """Offsets of the messages that were acknowledged to a publisher."""
    acks = publisher.reader.acks
    return {offset for ack in acks for offset in range(ack.offset - ack.count + 1, ack.offset + 1)}


async def publish_until_closed(publisher: RawPeer) -> None:
    """Publish one message behind the other, each when the one before is acknowledged, also behind GO_AWAY."""
    with suppress(ConnectionClosed):
        while True:
            await publisher.publish(0, bytes(1000), ack=True)
            await publisher.until(lambda reader: sum(ack.count for ack in reader.acks) == publisher.sequences[0])


async def done(worker: RawPeer, *offsets: int) -> None:
    """Process tasks."""
    (info,) = worker.reader.streams.values()
    assert info.id is not None
    for offset in offsets:
        await worker.send(Done(info.id, 0, offset, offset).write())


async def publish_tasks(publisher: RawPeer, durability: Durability, count: int) -> None:
    """Publish tasks, and wait until all are acknowledged."""
    await publisher.open(0, TASKS, Kind.COLLABORATION, durability)
    for _ in range(count):
        await publisher.publish(0, bytes(1000), ack=True)
    await publisher.until(lambda reader: len(acknowledged_to(publisher)) == count)


async def test_tasks_that_a_worker_holds_come_again_from_the_store(tmp_path: Path) -> None:
    """It has processed 4 tasks and holds 4; there is no credit for the others."""
    with stoppable(tmp_path) as gateway:
        async with raw_peer(gateway.url, "worker") as worker, raw_peer(gateway.url, "publisher") as publisher:
            await worker.subscribe(TASKS, credits=Credits(8, 2**20))
            await publish_tasks(publisher, Durability.FSYNC, 40)
            await worker.until(lambda reader: len(reader.arrivals) == 8)
            await done(worker, 0, 1, 2, 3)
            await worker.settle()
            stop = Stop(gateway)
            await publish_until_closed(publisher)
            assert await worker.closing() == Code.GOING_AWAY
        await stop.end()
    acknowledged = acknowledged_to(publisher)
    assert worker.reader.offsets == list(range(8))
    with stoppable(tmp_path) as gateway:
        async with raw_peer(gateway.url, "worker") as worker:
            await worker.subscribe(TASKS)
            await worker.until(lambda reader: acknowledged - {0, 1, 2, 3} <= set(reader.offsets))
            assert worker.reader.offsets == list(range(4, worker.reader.offsets[-1] + 1))


async def test_a_worker_gets_the_tasks_in_memory_before_the_gateway_is_gone(tmp_path: Path) -> None:
    """It takes 4 at a time, and is given the others as it processes them, while the gateway waits."""
    with stoppable(tmp_path) as gateway:
        async with raw_peer(gateway.url, "worker") as worker, raw_peer(gateway.url, "publisher") as publisher:
            await worker.subscribe(TASKS, credits=Credits(4, 2**20))
            await publish_tasks(publisher, Durability.MEMORY, 40)
            stop = Stop(gateway)
            await worker.until(lambda reader: reader.leaving)
            with suppress(ConnectionClosed):
                for number in range(40):
                    await worker.until(lambda reader, number=number: len(reader.arrivals) > number)  # type: ignore[misc]
                    await done(worker, number)
                    await worker.send(Credit(1, 1, 1000).write())
            assert await worker.closing() == Code.GOING_AWAY
            assert await publisher.closing() == Code.GOING_AWAY
        await stop.end()
    assert worker.reader.offsets == list(range(40))


async def test_what_is_acknowledged_while_others_are_closed_is_delivered(tmp_path: Path) -> None:
    """Publishers take no notice of GO_AWAY, and are closed after the subscribers; one of these reads late."""
    with stoppable(tmp_path) as gateway:
        async with AsyncExitStack() as stack:
            slow = await stack.enter_async_context(subscriber_of(gateway.url, "wf/*", "slow"))
            quick = await stack.enter_async_context(subscriber_of(gateway.url, "wf/*", "quick"))
            others = [await stack.enter_async_context(raw_peer(gateway.url, f"other-{each}")) for each in range(200)]
            publishers = [await stack.enter_async_context(publisher_of(gateway.url, f"wf/{each}")) for each in range(3)]
            slow.stop_reading()
            stop = Stop(gateway)
            publishing = [asyncio.create_task(publish_until_closed(each)) for each in publishers]
            await others[0].until(lambda reader: reader.leaving)
            slow.read_on()
            codes = await asyncio.gather(*[each.closing() for each in (slow, quick, *others)])
            await asyncio.gather(*publishing)
        await stop.end()
    assert set(codes) == {Code.GOING_AWAY}
    for number, publisher in enumerate(publishers):
        acknowledged = acknowledged_to(publisher)
        assert acknowledged
        for subscriber in (slow, quick):
            stream = subscriber.reader.stream_id(f"wf/{number}")
            arrived = {arrival.offset for arrival in subscriber.reader.arrivals if arrival.stream == stream}
            assert acknowledged <= arrived


async def test_requests_under_way_are_answered_by_another_member_or_refused(tmp_path: Path) -> None:
    """One member leaves as soon as the gateway says so; of the other group the only one never answers."""
    with stoppable(tmp_path) as gateway:
        async with (
            connect(gateway.url, client_id="first", backoff=None) as first,
            connect(gateway.url, client_id="second", backoff=None) as second,
            connect(gateway.url, client_id="alone", backoff=None) as alone,
            connect(gateway.url, backoff=None) as asker,
            raw_peer(gateway.url, "witness") as witness,
            first.inbox(group="workers") as held,
            alone.inbox(group="lonely") as unanswered,
        ):
            asking = [asyncio.create_task(asker.request("group:workers", number)) for number in range(4)]
            taken = [await anext(held) for _ in asking]
            async with second.inbox(group="workers") as requests:
                lonely = asyncio.create_task(asker.request("group:lonely", 1))
                await anext(unanswered)
                stop = Stop(gateway)
                await witness.until(lambda reader: reader.leaving)
                await first.close()
                for _ in taken:
                    request = await anext(requests)
                    await request.reply(request.tensor * 2)
                replies = await asyncio.gather(*asking)
                assert [int(reply.tensor) for reply in replies] == [0, 2, 4, 6]
                await alone.close()
                with pytest.raises(RequestRefused) as refused:
                    await lonely
                assert refused.value.code == Code.PEER_GONE
        await stop.end()
