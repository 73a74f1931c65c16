"""Tests what a client makes of patches, frame by frame: in order, and only of the version that they change."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pytest

from gateway.client import Client, Message, connect
from gateway.client.subscribing.state_sink import INLINE_PATCH_BYTES
from gateway.protocol.data import write_data
from gateway.protocol.encoding import Chain, encode
from gateway.protocol.extensions import Extensions
from gateway.protocol.messages import Kind, Refresh, StreamInfo
from gateway.protocol.meta import write_meta
from gateway.protocol.regions import Region
from gateway.protocol.tensors import Array, spec_of
from gateway.protocol.wire import Opcode
from tests.client.scripted_gateway import Peer, ScriptedGateway

INFO = StreamInfo(7, "wf/a", Kind.STATE, 5, 0)
SMALL, LARGE = (4, 3), (INLINE_PATCH_BYTES // 256, 100)


@asynccontextmanager
async def subscribed(scripted: ScriptedGateway) -> AsyncIterator[tuple[Client, Peer, Any, list[Exception]]]:
    """A client with a subscription, the other side of it, its messages, and its errors."""
    errors: list[Exception] = []
    async with (
        connect(scripted.url) as client,
        client.subscribe("wf/*", conflate=False, on_error=errors.append) as messages,
    ):
        peer = await scripted.accept()
        peer.send(INFO)
        yield client, peer, messages, errors


def frame(offset: int, array: Array, key: Any = None, shape: tuple[int, ...] = SMALL, *, broken: bool = False) -> bytes:
    """A version, or a patch to one."""
    region = None if key is None else Region.of(key, shape)
    part = array if region is None else region.fit(array)
    encoded = encode(Chain(codec="lz4"), part.tobytes(), np.dtype("<u4")) if broken else None
    encoding, payload = (None, part.tobytes()) if encoded is None else (encoded[0], b"\xff" * len(encoded[1]))
    return b"".join(
        write_data(
            Opcode.MESSAGE,
            stream=7,
            offset=offset,
            timestamp_ns=0,
            meta=write_meta([spec_of(part)]),
            encoding=encoding,
            payload=(payload,),
            extensions=None if region is None else Extensions(region=region.extents),
        )
    )


async def take(messages: Any) -> Message:
    async with asyncio.timeout(10):
        message = await anext(messages)
    assert isinstance(message, Message)
    return message


@pytest.mark.parametrize("shape", [SMALL, LARGE], ids=["at once", "in a thread"])
async def test_patches_are_applied_in_order_and_what_follows_waits(
    scripted: ScriptedGateway, shape: tuple[int, int]
) -> None:
    rows = np.ones(shape[1], np.int32)
    async with subscribed(scripted) as (_, peer, messages, errors):
        whole = np.zeros(shape, np.int32)
        patches = [frame(offset, rows * offset, np.s_[offset - 3, :], shape) for offset in (4, 5, 6)]
        peer.send(frame(3, whole), *patches, frame(7, whole + 9))
        got = [await take(messages) for _ in range(5)]
        assert [message.offset for message in got] == [3, 4, 5, 6, 7]
        assert [message.tensor[:4, 0].tolist() for message in got] == [
            [0, 0, 0, 0],
            [0, 4, 0, 0],
            [0, 4, 5, 0],
            [0, 4, 5, 6],
            [9, 9, 9, 9],
        ]
        assert errors == []
        assert messages.stats.received == 5


async def test_a_patch_whose_version_is_not_here_is_left_out_and_the_newest_asked_for_once(
    scripted: ScriptedGateway,
) -> None:
    row = np.ones(3, np.int32)
    async with subscribed(scripted) as (_, peer, messages, errors):
        peer.send(frame(3, row, np.s_[0, :]), frame(4, row, np.s_[0, :]))
        assert (await peer.next(Opcode.REFRESH)).session() == Refresh(7)
        peer.send(frame(4, np.zeros(SMALL, np.int32)), frame(5, row, np.s_[1, :]), frame(7, row, np.s_[2, :]))
        assert (await take(messages)).offset == 4
        assert (await take(messages)).tensor[:, 0].tolist() == [0, 1, 0, 0]
        assert (await peer.next(Opcode.REFRESH)).session() == Refresh(7)
        assert [type(error).__name__ for error in errors] == ["RequestRefused"] * 3
        assert "no version is here" in str(errors[0])
        assert "changes version 6, the newest here is 5" in str(errors[2])
        assert messages.stats.failed == 0


async def test_a_patch_that_does_not_decode_changes_nothing(scripted: ScriptedGateway) -> None:
    zeros = np.zeros(SMALL, np.int32)
    async with subscribed(scripted) as (_, peer, messages, errors):
        peer.send(frame(3, zeros), frame(4, np.zeros((4, 3), np.int32), np.s_[:, :], broken=True))
        peer.send(frame(5, np.ones(3, np.int32), np.s_[1, :]))
        assert (await take(messages)).offset == 3
        patched = await take(messages)
        assert (patched.offset, patched.tensor[:, 0].tolist()) == (5, [0, 1, 0, 0])
        assert len(errors) == 1


async def test_a_version_that_does_not_decode_is_none(scripted: ScriptedGateway) -> None:
    zeros = np.zeros(SMALL, np.int32)
    async with subscribed(scripted) as (_, peer, messages, errors):
        peer.send(frame(3, zeros), frame(4, zeros, broken=True), frame(5, np.ones(3, np.int32), np.s_[1, :]))
        assert (await take(messages)).offset == 3
        assert (await peer.next(Opcode.REFRESH)).session() == Refresh(7)
        assert len(errors) == 2


async def test_a_version_is_kept_over_a_lost_connection(scripted: ScriptedGateway) -> None:
    async with subscribed(scripted) as (_, peer, messages, errors):
        peer.send(frame(3, np.zeros(SMALL, np.int32)))
        assert (await take(messages)).offset == 3
        peer.drop()
        again = await scripted.accept()
        await again.next(Opcode.SUBSCRIBE)
        again.send(INFO, frame(4, np.ones(3, np.int32), np.s_[1, :]))
        assert (await take(messages)).tensor[:, 0].tolist() == [0, 1, 0, 0]
        assert errors == []


async def test_the_last_record_of_a_batch_is_a_version(scripted: ScriptedGateway) -> None:
    async with subscribed(scripted) as (_, peer, messages, _):
        records = np.arange(6, dtype=np.int32).reshape(2, 3)
        meta = write_meta([spec_of(records[0])])
        batch = write_data(
            Opcode.BATCH, stream=7, offset=3, timestamp_ns=0, meta=meta, count=2, payload=(records.tobytes(),)
        )
        peer.send(b"".join(batch), frame(5, np.array([9], np.int32), np.s_[2:3], (3,)))
        assert [(await take(messages)).tensor.tolist() for _ in range(3)] == [[0, 1, 2], [3, 4, 5], [3, 4, 9]]


async def test_a_version_whose_predecessor_was_conflated_has_no_patch(scripted: ScriptedGateway) -> None:
    row = np.ones(3, np.int32)
    async with connect(scripted.url) as client, client.subscribe("wf/*") as messages, client.subscribe("wf/a") as other:
        peer = await scripted.accept()
        for _ in range(2):
            await peer.next(Opcode.SUBSCRIBE)
        peer.send(INFO, frame(3, np.zeros(SMALL, np.int32)))
        assert [(await take(each)).offset for each in (messages, other)] == [3, 3]
        peer.send(frame(4, row, np.s_[0, :]))
        patched = await take(other)
        peer.send(frame(5, row * 2, np.s_[1, :]))
        newest, following = await take(other), await take(messages)
        assert newest.offset == following.offset == 5
        assert newest.tensor[:, 0].tolist() == following.tensor[:, 0].tolist() == [1, 2, 0, 0]
        assert patched.region == (slice(0, 1, 1), slice(0, 3, 1))
        assert newest.patch is not None
        assert (newest.patched, newest.patch.tolist()) == ("", [[2, 2, 2]])
        assert (following.region, following.patch, following.patched) == (None, None, None)
