"""Tests that bad frames from a gateway hurt nobody but the message that they are."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np
import pytest

from gateway.client import Client, Subscription, connect
from gateway.errors import Code
from gateway.protocol.data import write_data
from gateway.protocol.encoding import Chain, Encoding, Step, encode
from gateway.protocol.messages import Error, Kind, StreamInfo
from gateway.protocol.meta import write_meta
from gateway.protocol.signals import End
from gateway.protocol.tensors import TensorSpec
from gateway.protocol.transfers import ChunkPlan, write_chunk
from gateway.protocol.wire import Buffer, Opcode
from tests.client.frames import data_frame, message
from tests.client.scripted_gateway import Peer, ScriptedGateway

U1 = np.dtype(np.uint8)


@asynccontextmanager
async def subscribed(
    scripted: ScriptedGateway,
) -> AsyncIterator[tuple[Client, Peer, Subscription, asyncio.Queue[Exception]]]:
    """A client with a subscription to a stream that is announced, and what it tells to ``on_error``."""
    told: asyncio.Queue[Exception] = asyncio.Queue()
    async with connect(scripted.url, on_error=told.put_nowait) as client, client.subscribe("wf/*") as messages:
        peer = await scripted.accept()
        peer.send(StreamInfo(7, "wf/x", Kind.EVENT, 5, 0))
        yield client, peer, messages, told


def frame(payload_bytes: int, **parts: object) -> list[Buffer]:
    """A message of so many bytes, as its descriptor says, with whatever else the test says."""
    meta = write_meta([TensorSpec("", U1, (payload_bytes,))])
    return write_data(Opcode.MESSAGE, stream=7, offset=0, timestamp_ns=0, meta=meta, **parts)  # type: ignore[arg-type]


def bomb() -> list[Buffer]:
    """A compressed payload that says to be smaller than it is."""
    encoded = encode(Chain.parse("zstd"), bytes(9999), 1)
    assert encoded is not None
    return frame(8, encoding=Encoding(8, encoded[0].steps), payload=[encoded[1]])


def corrupt() -> list[Buffer]:
    """Half of a compressed payload."""
    encoded = encode(Chain.parse("zstd"), bytes(10_000) + bytes(range(256)) * 40, 1)
    assert encoded is not None
    encoding, data = encoded
    return frame(encoding.decoded_bytes, encoding=encoding, payload=[bytes(data)[: len(data) // 2]])


BROKEN = {
    "lying length": (frame(100, payload=[bytes(99)]), Code.SIZE_MISMATCH),
    "broken descriptor": (
        write_data(Opcode.MESSAGE, stream=7, offset=0, timestamp_ns=0, meta=b"\xff" * 8, payload=[b""]),
        Code.INVALID_TENSOR,
    ),
    "corrupt payload": (corrupt(), Code.CORRUPT_PAYLOAD),
    "expands beyond what it declares": (bomb(), Code.CORRUPT_PAYLOAD),
    "codec that was not agreed on": (
        frame(8, encoding=Encoding(8, (Step(17, 1),)), payload=[bytes(8)]),
        Code.UNKNOWN_CODEC,
    ),
    "unknown codec": (frame(8, encoding=Encoding(8, (Step(99, 0),)), payload=[bytes(8)]), Code.UNKNOWN_CODEC),
    "too big": (frame(1 << 40, encoding=Encoding(1 << 40, (Step(2, 0),)), payload=[b"x"]), Code.MESSAGE_TOO_BIG),
    "too big in chunks": (frame(1 << 40, plan=ChunkPlan(1, 4096, 1 << 40)), Code.MESSAGE_TOO_BIG),
    "lying plan": (frame(100, plan=ChunkPlan(1, 4096, 101)), Code.SIZE_MISMATCH),
}


@pytest.mark.parametrize(("broken", "code"), BROKEN.values(), ids=BROKEN)
async def test_a_broken_message_is_counted_and_told_and_the_next_one_comes(
    scripted: ScriptedGateway, broken: list[Buffer], code: Code
) -> None:
    async with subscribed(scripted) as (_, peer, messages, told):
        peer.send(broken, message(1, 5))
        assert (await anext(messages)).tensor == 5
        assert getattr(await told.get(), "code", None) == code
        assert (messages.stats.failed, messages.stats.received, messages.stats.dropped) == (1, 1, 0)


async def test_a_transfer_that_ends_early_is_counted_and_told(scripted: ScriptedGateway) -> None:
    async with subscribed(scripted) as (_, peer, messages, told):
        peer.send(
            frame(10_000, plan=ChunkPlan(1, 4096, 10_000)),
            write_chunk(1, 0, [bytes(4096)]),
            End(1, 0, 0).write(),
            message(1, 5),
        )
        assert (await anext(messages)).tensor == 5
        assert getattr(await told.get(), "code", None) == Code.BROKEN_TRANSFER
        assert messages.stats.failed == 1


async def test_a_large_message_takes_the_offset_of_its_end(scripted: ScriptedGateway) -> None:
    async with subscribed(scripted) as (_, peer, messages, _told):
        peer.send(frame(5000, plan=ChunkPlan(1, 4096, 5000)), write_chunk(1, 0, [bytes(4096)]), message(0, 1))
        peer.send(write_chunk(1, 1, [bytes(904)]), End(1, 1, 0).write(), message(2, 2))
        received = [await anext(messages) for _ in range(3)]
        assert [(each.offset, each.nbytes) for each in received] == [(0, 8), (1, 5000), (2, 8)]


async def test_a_batch_of_no_records_is_told_to_its_stream(scripted: ScriptedGateway) -> None:
    async with subscribed(scripted) as (_, peer, messages, told):
        meta = write_meta([TensorSpec("", U1, ())])
        batch = b"".join(
            write_data(Opcode.BATCH, stream=7, offset=0, timestamp_ns=0, meta=meta, count=1, payload=[b"x"])
        )
        peer.send(batch[:32] + bytes(4) + batch[36:], message(1, 5))
        assert (await anext(messages)).tensor == 5
        assert getattr(await told.get(), "code", None) == Code.INVALID_REQUEST
        assert messages.stats.failed == 1


async def test_errors_that_answer_nothing_are_told_to_the_client(scripted: ScriptedGateway) -> None:
    async with subscribed(scripted) as (_, peer, _messages, told):
        peer.send(Error(Code.INTERNAL, "INTERNAL", "something broke"))
        assert "something broke" in str(await told.get())


async def test_replies_that_nobody_waits_for_are_skipped(scripted: ScriptedGateway) -> None:
    async with subscribed(scripted) as (_, peer, messages, told):
        peer.send(data_frame(Opcode.REPLY, 12345, 1), message(0, 5))
        assert (await anext(messages)).tensor == 5
        assert told.empty()
