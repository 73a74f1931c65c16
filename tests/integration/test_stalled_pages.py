"""Pages of a browser that stall: their sockets are read all the time, and their programs take nothing.

A page is a client that reads whatever comes into its memory, as a browser does, and grants nothing while it is busy.
"""

from __future__ import annotations

import numpy as np

from gateway.client import Client, connect
from gateway.config import Settings
from gateway.connections.core_settings import CoreSettings
from gateway.connections.outbound.frame_writer import DeliverySettings
from gateway.protocol.account import StreamAccount
from gateway.protocol.messages import Account, Counts, Credits, StreamInfo
from gateway.protocol.signals import Credit, Gap, Replay
from gateway.testing import running_gateway
from tests.connections.reader import Arrival
from tests.integration.peer import RawPeer, raw_peer

FRAMES = 600
"""States that come while a page blocks its thread for 10 s, at 60 Hz."""
HEAT = np.zeros(1000, np.float32)
EVENT_BYTES = 2000
GRANT = Credits(8, 1 << 20)


async def publish(client: Client, stream: str, kind: str, count: int, array: np.ndarray) -> None:
    for _ in range(count):
        await client.publish(stream, array, kind=kind)


async def accounts(page: RawPeer, stream: str) -> tuple[Counts, Counts]:
    """The account of the gateway, and that which the page keeps of all that it has read."""
    await page.say(Account(50, 1))
    reader = await page.until(lambda reader: any(isinstance(entry, Account) for entry in reader.log))
    answer = next(entry for entry in reader.log if isinstance(entry, Account))
    assert answer.streams is not None
    info = next(entry for entry in reader.log if isinstance(entry, StreamInfo))
    assert info.kind is not None
    assert info.epoch is not None
    kept = StreamAccount(info.kind)
    kept.start(info.epoch, None, info.since or 0)
    for entry in reader.log:
        if isinstance(entry, Arrival):
            kept.messages(info.epoch, entry.offset, 1)
        elif isinstance(entry, Gap):
            kept.gap(info.epoch, entry.code, entry.first, entry.last)
        elif isinstance(entry, Replay):
            kept.replay(entry.first, entry.last)
    return answer.streams[stream], kept.counts


async def test_a_page_that_blocks_its_thread_holds_what_it_granted_and_then_gets_the_newest_state() -> None:
    async with (
        running_gateway(Settings(admin_port=None)) as gateway,
        connect(gateway.url, client_id="publisher") as publisher,
        raw_peer(gateway.url, "page", credits=True) as page,
        raw_peer(gateway.url, "other-page", credits=True) as other,
    ):
        await page.subscribe("wf/heat", credits=GRANT)
        await other.subscribe("wf/heat", credits=Credits(1000, 1 << 30))
        await publish(publisher, "wf/heat", "state", FRAMES, HEAT)
        reader = await page.settle()
        assert reader.offsets == list(range(GRANT.messages))
        assert (await other.settle()).offsets == list(range(FRAMES)), "a page beside it gets them all"
        await page.send(Credit(1, 1, HEAT.nbytes).write())
        await page.until(lambda reader: reader.offsets[-1] == FRAMES - 1)
        of_gateway, kept = await accounts(page, "wf/heat")
        assert of_gateway == kept == Counts(delivered=9, conflated=FRAMES - 9)


async def test_events_for_a_page_that_stalls_hold_publishers_for_a_while_and_come_later_without_a_gap() -> None:
    delivery = DeliverySettings(outbox_limit_bytes=64 * 1024, max_event_hold_s=0.05)
    async with (
        running_gateway(Settings(admin_port=None, core=CoreSettings(delivery=delivery))) as gateway,
        connect(gateway.url, client_id="publisher") as publisher,
        raw_peer(gateway.url, "page", credits=True) as page,
    ):
        await page.subscribe("wf/log", credits=GRANT)
        await publish(publisher, "wf/log", "event", 200, np.zeros(EVENT_BYTES, np.uint8))
        reader = await page.settle()
        granted = GRANT.messages
        while len(reader.offsets) < 200:
            assert reader.offsets == list(range(granted))
            await page.send(Credit(1, 8, 8 * EVENT_BYTES).write())
            granted = min(granted + 8, 200)
            while len(reader.offsets) < granted:
                await page.settle()
        assert reader.replays
        of_gateway, kept = await accounts(page, "wf/log")
        assert of_gateway == kept
        assert (kept.delivered, kept.dropped) == (200, 0)


async def test_a_page_that_comes_back_grants_anew_and_goes_on_where_it_was() -> None:
    async with (
        running_gateway(Settings(admin_port=None)) as gateway,
        connect(gateway.url, client_id="publisher") as publisher,
    ):
        async with raw_peer(gateway.url, "page", credits=True) as page:
            await page.subscribe("wf/heat", credits=Credits(1, 1))
            await publish(publisher, "wf/heat", "state", 5, HEAT)
            assert (await page.settle()).offsets == [0]
        async with raw_peer(gateway.url, "page", credits=True) as page:
            await page.subscribe("wf/heat", credits=Credits(1, 1))
            await page.until(lambda reader: reader.offsets == [4])
            await publish(publisher, "wf/heat", "state", 3, HEAT)
            assert (await page.settle()).offsets == [4]
            await page.send(Credit(1, 1, 1 << 20).write())
            await page.until(lambda reader: reader.offsets == [4, 7])
