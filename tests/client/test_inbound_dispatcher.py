"""Tests that bad frames from a gateway hurt nobody but the message that they are, and that runs are their frames."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import numpy as np
import pytest

from gateway.client import Client, Subscription, connect
from gateway.client.decoding.repeated_head import RepeatedHead
from gateway.errors import Code
from gateway.protocol.data import write_data
from gateway.protocol.dtypes import BYTE
from gateway.protocol.encoding import Chain, CodecStep, Encoding, encode
from gateway.protocol.messages import Error, Kind, StreamInfo
from gateway.protocol.meta import write_meta
from gateway.protocol.session_body import write_session
from gateway.protocol.signals import End, Gap, Replay
from gateway.protocol.tensors import TensorSpec
from gateway.protocol.transfers import ChunkPlan, write_chunk
from gateway.protocol.wire import Buffer, Opcode
from tests.client.frames import data_frame, message
from tests.client.scripted_gateway import Peer, ScriptedGateway

U1 = np.dtype(np.uint8)
SEED = 7


@asynccontextmanager
async def subscribed(
    scripted: ScriptedGateway,
) -> AsyncIterator[tuple[Client, Peer, Subscription, asyncio.Queue[Exception]]]:
    """A client with a subscription to a stream that is announced, and what it tells to ``on_error``."""
    told: asyncio.Queue[Exception] = asyncio.Queue()
    async with (
        connect(scripted.url, client_id="worker", on_error=told.put_nowait) as client,
        client.subscribe("wf/*", conflate=False) as messages,
    ):
        peer = await scripted.accept()
        peer.send(StreamInfo(7, "wf/x", Kind.EVENT, 5, 0))
        yield client, peer, messages, told


def frame(
    payload_bytes: int,
    *,
    plan: ChunkPlan | None = None,
    encoding: Encoding | None = None,
    payload: Sequence[Buffer] = (),
) -> list[Buffer]:
    """A message of so many bytes, as its descriptor says, with whatever else the test says."""
    meta = write_meta([TensorSpec("", U1, (payload_bytes,))])
    return write_data(
        Opcode.MESSAGE, stream=7, offset=0, timestamp_ns=0, meta=meta, plan=plan, encoding=encoding, payload=payload
    )


def bomb() -> list[Buffer]:
    """A compressed payload that says to be smaller than it is."""
    encoded = encode(Chain.parse("zstd"), bytes(9999), BYTE)
    assert encoded is not None
    return frame(8, encoding=Encoding(8, encoded[0].steps), payload=[encoded[1]])


def corrupt() -> list[Buffer]:
    """Half of a compressed payload."""
    encoded = encode(Chain.parse("zstd"), bytes(10_000) + bytes(range(256)) * 40, BYTE)
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
        frame(8, encoding=Encoding(8, (CodecStep(17, 1),)), payload=[bytes(8)]),
        Code.UNKNOWN_CODEC,
    ),
    "unknown codec": (frame(8, encoding=Encoding(8, (CodecStep(99, 0),)), payload=[bytes(8)]), Code.UNKNOWN_CODEC),
    "too big": (frame(1 << 40, encoding=Encoding(1 << 40, (CodecStep(2, 0),)), payload=[b"x"]), Code.MESSAGE_TOO_BIG),
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


def in_one(
    opcode: Opcode,
    stream: int,
    offset: int,
    meta: bytes,
    payload: Sequence[Buffer],
    count: int | None,
    encoding: Encoding | None = None,
) -> list[Buffer]:
    """A record batch, or an encoded message."""
    return write_data(
        opcode,
        stream=stream,
        offset=offset,
        timestamp_ns=offset,
        publisher=3,
        meta=meta,
        count=count,
        encoding=encoding,
        payload=payload,
    )


def some_frames(dice: random.Random, stream: int) -> list[list[Buffer]]:
    """What a gateway may send of a stream, and some of what it may not: runs, repeated, with gaps and odd ones."""
    frames: list[list[Buffer]] = []
    at = 0
    for _ in range(dice.randint(1, 8)):
        at = max(0, at + dice.choice([0, 0, 0, -3, 2]))
        count = dice.choice([1, 3, 4, 5, 30])
        payload_bytes = dice.choice([0, 5, 8, 999])
        publisher = dice.choice([3, 3, 4])
        meta = write_meta([TensorSpec("", U1, (payload_bytes,))], dice.choice([None, None, {"step": at}]))
        broken = dice.random() < 0.1
        match dice.randint(0, 9):
            case 0:
                frames.append([Replay(stream, Code.HISTORY_LOST, at, at + count // 2).write()])
            case 1:
                frames.append([Gap(stream, Code.QUEUE_FULL, at, at + count - 1).write()])
                at += count
                continue
            case 2 if payload_bytes:
                meta = b"\xff" * 8
            case 3 if payload_bytes and not broken:
                meta = write_meta([TensorSpec("", U1, (payload_bytes,))])
                frames.append(in_one(Opcode.BATCH, stream, at, meta, [bytes(payload_bytes * count)], count))
                at += count
                continue
            case 4 if payload_bytes == 999:
                encoded = encode(Chain.parse("zstd"), bytes(payload_bytes), BYTE)
                assert encoded is not None
                encoding, data = encoded
                frames += [in_one(Opcode.MESSAGE, stream, at + n, meta, [data], None, encoding) for n in range(count)]
                at += count
                continue
        frames += [
            write_data(
                Opcode.MESSAGE,
                stream=stream,
                offset=offset,
                timestamp_ns=offset,
                publisher=publisher,
                meta=meta,
                payload=[bytes([offset % 256]) * (payload_bytes + broken)],
            )
            for offset in range(at, at + count)
        ]
        at += count
    return frames


async def send_all(peer: Peer, told: asyncio.Queue[Exception], parts: list[list[Buffer]]) -> list[str]:
    """Send WebSocket messages, and return what the client has told its program when it has taken all of them."""
    for part in parts:
        peer.send(*part)
    peer.send(Error(Code.INTERNAL, "INTERNAL", "that was all"))
    errors = []
    while "that was all" not in (error := str(await told.get())):
        errors.append(error)
    return errors


async def what_became(client: Client, peer: Peer, told: asyncio.Queue[Exception], parts: list[list[Buffer]]) -> object:
    """All that a program sees of the stream ``wf/x`` if these WebSocket messages arrive; the first one announces it."""
    gaps: list[object] = []
    async with client.subscribe("wf/x", on_gap=gaps.append) as messages:
        errors = await send_all(peer, told, parts)
        stats, account = messages.stats, messages.account
        await messages.close()
        contents = [
            (each.offset, each.timestamp_ns, each.publisher, each.headers, each.tensor.tolist())
            async for each in messages
        ]
    return contents, gaps, errors, replace(stats, buffered_bytes=0), account


async def test_frames_that_come_together_are_to_a_program_what_they_are_one_by_one(
    scripted: ScriptedGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Compare runs with frames by themselves, and these with frames of which each is looked at closely."""
    dice = random.Random(SEED)
    joined: asyncio.Queue[Exception] = asyncio.Queue()
    single: asyncio.Queue[Exception] = asyncio.Queue()
    async with (
        connect(scripted.url, on_error=joined.put_nowait) as one,
        connect(scripted.url, on_error=single.put_nowait) as other,
    ):
        peers = [await scripted.accept() for _ in range(2)]
        for number in range(1, 200):
            kind = dice.choice([Kind.EVENT, Kind.EVENT, Kind.EVENT, Kind.STATE, Kind.COLLABORATION])
            known: list[Buffer] = [write_session(StreamInfo(number, "wf/x", kind, number, 0))]
            frames = some_frames(dice, number)
            together = await what_became(one, peers[0], joined, [known, [part for each in frames for part in each]])
            one_by_one = await what_became(other, peers[1], single, [known, *frames])
            with monkeypatch.context() as patch:
                patch.setattr(RepeatedHead, "of", lambda inbound: None)
                closely = await what_became(other, peers[1], single, [known, *frames])
            assert together == one_by_one == closely, f"stream {number} of seed {SEED}"


async def what_batches_have(
    client: Client, peer: Peer, told: asyncio.Queue[Exception], parts: list[list[Buffer]], *, joined: bool
) -> tuple[object, ...]:
    """All that a program sees of ``wf/x`` that takes batches, or else messages one by one."""
    gaps: list[object] = []
    async with client.subscribe("wf/x", on_gap=gaps.append, conflate=False) as messages:
        errors = await send_all(peer, told, parts)
        await messages.close()
        received = [each async for batch in messages.batches() for each in batch.messages()] if joined else []
        received += [each async for each in messages]
        contents = [(each.offset, each.epoch, each.publisher, each.tensor.tolist()) for each in received]
    return contents, gaps, errors, messages.stats, messages.account


async def test_batches_hold_the_messages_that_come_one_by_one(scripted: ScriptedGateway) -> None:
    dice = random.Random(SEED)
    told: list[asyncio.Queue[Exception]] = [asyncio.Queue(), asyncio.Queue()]
    async with (
        connect(scripted.url, client_id="one", on_error=told[0].put_nowait) as one,
        connect(scripted.url, client_id="other", on_error=told[1].put_nowait) as other,
    ):
        peers = [await scripted.accept() for _ in range(2)]
        for number in range(1, 100):
            kind = list(Kind)[number % len(Kind)]
            known: list[Buffer] = [write_session(StreamInfo(number, "wf/x", kind, number, 0))]
            frames = some_frames(dice, number)
            cut = dice.randint(0, len(frames))
            parts = [known, *frames[:cut], [part for each in frames[cut:] for part in each]]
            parts = [part for part in parts if part]
            batches = await what_batches_have(one, peers[0], told[0], parts, joined=True)
            one_by_one = await what_batches_have(other, peers[1], told[1], parts, joined=False)
            assert batches == one_by_one, f"stream {number} of seed {SEED}"


@pytest.mark.parametrize("kind", Kind)
async def test_messages_that_wait_are_one_batch(scripted: ScriptedGateway, kind: Kind) -> None:
    told: asyncio.Queue[Exception] = asyncio.Queue()
    async with (
        connect(scripted.url, client_id="worker", on_error=told.put_nowait) as client,
        client.subscribe("wf/*", conflate=False) as messages,
    ):
        peer = await scripted.accept()
        peer.send(StreamInfo(7, "wf/x", kind, 5, 0), message(0, 0))
        peer.send(*[message(offset, offset) for offset in range(1, 8)])
        peer.send(Error(Code.INTERNAL, "INTERNAL", "that was all"))
        await told.get()
        batch = await anext(messages.batches())
        assert (batch.offset, batch.array.tolist()) == (0, list(range(8)))
        assert (batch.ack_handle is not None) == kind.acknowledged


@pytest.mark.parametrize("kind", [Kind.STATE, Kind.COLLABORATION, Kind.CONTROL])
async def test_other_kinds_have_their_own_way(scripted: ScriptedGateway, kind: Kind) -> None:
    async with (
        connect(scripted.url, client_id="worker") as client,
        client.subscribe("wf/*", conflate=False) as messages,
    ):
        peer = await scripted.accept()
        peer.send(StreamInfo(7, "wf/x", kind, 5, 0), *[message(offset, offset) for offset in range(6)])
        received = [await anext(messages) for _ in range(6)]
        assert [int(each.tensor) for each in received] == list(range(6))
        assert {each.ack_handle is not None for each in received} == {kind.acknowledged}


async def test_a_run_that_nobody_wants_is_skipped(scripted: ScriptedGateway) -> None:
    async with subscribed(scripted) as (_, peer, messages, told):
        peer.send(*[message(offset, 1, stream=8) for offset in range(6)], message(0, 5))
        assert (await anext(messages)).tensor == 5
        assert told.empty()


async def test_a_run_waits_for_what_is_being_decoded_before_it(scripted: ScriptedGateway) -> None:
    encoded = encode(Chain.parse("zstd"), bytes(1_000_000), BYTE)
    assert encoded is not None
    async with subscribed(scripted) as (_, peer, messages, _told):
        large = frame(1_000_000, encoding=encoded[0], payload=[encoded[1]])
        peer.send(large, *[message(offset, offset) for offset in range(1, 7)], Gap(7, Code.QUEUE_FULL, 7, 8).write())
        assert [(await anext(messages)).offset for _ in range(7)] == list(range(7))
        assert messages.stats.dropped == 2
