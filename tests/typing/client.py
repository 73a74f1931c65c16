"""Types that a program sees of ``gateway.client``: checked by mypy, never run.

A ``type: ignore`` marks a use that must be refused: mypy (``warn_unused_ignores``) fails when it is not.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import assert_type

import numpy as np

from gateway.client import (
    Backoff,
    BatchIterator,
    ChangeKind,
    Client,
    ClientState,
    Counts,
    Credits,
    Gap,
    Inbox,
    LinkQuality,
    Message,
    Notice,
    Presence,
    PresenceChange,
    PresenceMember,
    RecordBatch,
    ReplyStream,
    Request,
    Subscription,
    SubscriptionStats,
    TransmissionResult,
    View,
    connect,
)
from gateway.ids import Epoch, Offset, PeerId
from gateway.protocol.durability import Durability
from gateway.protocol.extensions import Quantization
from gateway.protocol.messages import Kind
from gateway.protocol.tensors import Array


def note(notice: Notice) -> None:
    """Take what a client is told."""
    assert_type(notice.first, int)
    assert_type(notice.client_id, str | None)


def miss(gap: Gap) -> None:
    """Take what a subscription is told."""
    assert_type(gap.stream, str)
    assert_type(gap.last, int)


async def connecting() -> None:
    """Connect by ``async with`` and by ``await``."""
    async with connect("ws://127.0.0.1:8765", client_id="a", backoff=Backoff(cap_s=1.0), on_notice=note) as client:
        assert_type(client, Client)
        assert_type(client.client_id, str)
        assert_type(client.state, ClientState)
        assert_type(client.rtt_s, float | None)
        assert_type(client.link, LinkQuality)
        assert_type(client.clock_offset_s, float)
        assert_type(await client.authenticate("token"), float | None)
    assert_type(await connect("ws://127.0.0.1:8765"), Client)
    connect("ws://127.0.0.1:8765", client_name="a")  # type: ignore[call-arg]
    connect("ws://127.0.0.1:8765", close_timeout_s="5")  # type: ignore[arg-type]


async def publishing(client: Client) -> None:
    """Publish with and without acknowledgement."""
    result = await client.publish("wf/a", np.zeros(3), kind="state", headers={"step": 7}, region=np.s_[0:2])
    assert_type(result, TransmissionResult)
    assert_type(result.offset, Offset)
    assert_type(result.epoch, Epoch)
    assert_type(result.durability, Durability)
    assert_type(result.quality_score, float)
    await client.publish("wf/a", {"w": [1.0]}, schema={"dtype": "float32", "shape": [None]})
    client.publish_nowait("wf/a", 1.0)
    await client.drain()
    await client.publish(b"wf/a", 1)  # type: ignore[arg-type]
    await client.publish("wf/a", 1, "state")  # type: ignore[call-arg]
    client.publish_nowait("wf/a", 1, codec="lz4")  # type: ignore[call-arg]


async def subscribing(client: Client) -> None:
    """Receive messages and record batches."""
    subscription = client.subscribe(
        "wf/*",
        since="beginning",
        view=View(slice=np.s_[::4], dtype="float16"),
        credits=Credits(10, 1 << 20),
        on_gap=miss,
    )
    assert_type(subscription, Subscription)
    async with subscription as messages:
        assert_type(messages, Subscription)
        async for message in messages:
            reading(message)
            await message.ack()
            await message.nack(1)
    assert_type(subscription.batches(), BatchIterator)
    async for batch in subscription.batches():
        assert_type(batch, RecordBatch)
        assert_type(batch.array, Array)
        assert_type([message.offset for message in batch.messages()], list[Offset])
    assert_type(subscription.stats, SubscriptionStats)
    assert_type(subscription.stats.received, int)
    assert_type(subscription.account, Mapping[str, Counts])
    assert_type(await client.account(subscription), Mapping[str, Counts])
    client.subscribe("wf/*", since=1.5)  # type: ignore[arg-type]
    for _ in subscription:  # type: ignore[attr-defined]
        pass


def reading(message: Message) -> None:
    """Read the attributes of a message."""
    assert_type(message.stream, str)
    assert_type(message.kind, Kind | None)
    assert_type(message.offset, Offset)
    assert_type(message.epoch, Epoch)
    assert_type(message.publisher, PeerId)
    assert_type(message.timestamp_ns, int)
    assert_type(message.latency_s, float)
    assert_type(message.tensor, Array)
    assert_type(message.tensors, dict[str, Array])
    assert_type(message.dequantized(), Array)
    assert_type(message.quantization, Quantization | None)
    assert_type(message.region, tuple[slice, ...] | None)
    assert_type(message.patch, Array | None)


async def requesting(client: Client) -> None:
    """Ask others."""
    assert_type(await client.request("agent:b", [1, 2], expires_in_s=5), Message)
    stream = client.request_stream("group:g")
    assert_type(stream, ReplyStream)
    async with stream as replies:
        async for part in replies:
            assert_type(part, Message)
    await client.request_stream("group:g")  # type: ignore[misc]


async def answering(client: Client) -> None:
    """Answer others."""
    async with client.inbox(group="g") as requests:
        assert_type(requests, Inbox)
        async for request in requests:
            assert_type(request, Request)
            assert_type(request.cancelled, bool)
            request.on_cancel(lambda: None)
            await request.reply_partial(1, headers={"part": 1})
            await request.reply(2, codec="none")
            await request.fail("no")
            await request.wait_cancelled()


async def attending(client: Client) -> None:
    """See who is there."""
    async with client.presence("wf", metadata={"a": 1}, watch="members") as presence:
        assert_type(presence, Presence)
        assert_type(presence.members, dict[str, PresenceMember])
        assert_type(presence.count, int)
        assert_type(await presence.update(None, timeout_s=None), None)
        presence.set_awareness({"cursor": [1, 2]})
        async for change in presence.changes():
            assert_type(change, PresenceChange)
            assert_type(change.kind, ChangeKind)
            assert_type(change.member, PresenceMember)
