"""Tests what goes over the wire for one destination: whole frames, chunks, codecs, and giving up half way."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from gateway.client import Client, connect
from gateway.errors import Code, InvalidArgument, RequestRefused, RequestTimeout
from gateway.protocol.data import DataFrame, parse_data
from gateway.protocol.limits import Limits, WelcomeLimits
from gateway.protocol.messages import Error, Kind, StreamInfo
from gateway.protocol.signals import Abort, Ack, End
from gateway.protocol.transfers import Assembler, Chunk, parse_chunk
from gateway.protocol.wire import Opcode
from tests.client.scripted_gateway import Peer, Received, ScriptedGateway

LIMITS = WelcomeLimits(max_frame_bytes=1 << 20, max_message_bytes=64 << 20, chunk_bytes=64 << 10)


@asynccontextmanager
async def connected(scripted: ScriptedGateway, limits: WelcomeLimits = LIMITS) -> AsyncIterator[tuple[Client, Peer]]:
    """A client and the other side of it."""
    assert scripted.welcome is not None
    scripted.welcome = replace(scripted.welcome, limits=limits)
    async with connect(scripted.url) as client:
        yield client, await scripted.accept()


def data_of(received: Received) -> DataFrame:
    return parse_data(received.message, received.frame)


def chunk_of(received: Received) -> Chunk:
    return parse_chunk(received.message, received.frame)


def acknowledge(peer: Peer) -> None:
    """The first message of the first stream is taken."""
    peer.send(StreamInfo(7, "wf/x", Kind.STATE, 5, 0, alias=0), Ack(0, 1, 1, 0).write())


def acknowledge_end(peer: Peer, received: Received) -> None:
    """An answer to END."""
    acknowledge(peer)


@pytest.mark.parametrize("codec", ["none", "lz4", "shuffle+zstd:1", "auto"])
async def test_a_large_payload_is_cut_into_chunks(scripted: ScriptedGateway, codec: str) -> None:
    scripted.answers[Opcode.END] = acknowledge_end
    array = np.arange(50_000, dtype=np.float32) % 77
    async with connected(scripted) as (client, peer):
        result = await client.publish("wf/x", array, codec=codec)
        data = data_of(await peer.next(Opcode.MESSAGE))
        assert data.plan is not None
        assert (data.plan.chunk_bytes, data.plan.payload_bytes) == (64 << 10, array.nbytes)
        assembler = Assembler(data.plan)
        for _ in range(data.plan.chunk_count):
            chunk = chunk_of(await peer.next(Opcode.CHUNK))
            assert (chunk.encoding is None) == (codec == "none")
            assembler.receive(chunk)
        end = await peer.next(Opcode.END)
        assert End.parse(end.message, end.frame).transfer == data.plan.transfer
        np.testing.assert_array_equal(np.frombuffer(assembler.payload(), np.float32), array)
        assert (result.compression_ratio > 1) == (codec != "none")


async def test_several_tensors_are_cut_across_their_borders(scripted: ScriptedGateway) -> None:
    scripted.answers[Opcode.END] = acknowledge_end
    tensors = {"a": np.arange(30_001, dtype=np.int8), "b": np.arange(20_000, dtype=np.int64)}
    async with connected(scripted) as (client, peer):
        await client.publish("wf/x", tensors, codec="lz4")
        data = data_of(await peer.next(Opcode.MESSAGE))
        assert data.plan is not None
        assembler = Assembler(data.plan)
        for _ in range(data.plan.chunk_count):
            assembler.receive(chunk_of(await peer.next(Opcode.CHUNK)))
        payload = assembler.payload()
        np.testing.assert_array_equal(np.frombuffer(payload[:30_001], np.int8), tensors["a"])
        np.testing.assert_array_equal(np.frombuffer(payload[30_008:], np.int64), tensors["b"])


async def test_a_named_codec_is_used_for_small_messages_too(scripted: ScriptedGateway) -> None:
    async with connected(scripted) as (client, peer):
        publishing = asyncio.ensure_future(client.publish("wf/x", np.zeros(1000), codec="zstd"))
        data = data_of(await peer.next(Opcode.MESSAGE))
        assert data.encoding is not None
        assert len(data.payload) < 100
        acknowledge(peer)
        await publishing


async def test_a_codec_that_was_not_agreed_on_is_refused_here(scripted: ScriptedGateway) -> None:
    assert scripted.welcome is not None
    scripted.welcome = replace(scripted.welcome, codecs=("lz4",))
    async with connected(scripted) as (client, _):
        with pytest.raises(InvalidArgument, match=r"takes no zstd.*may use lz4, shuffle, none"):
            await client.publish("wf/x", np.zeros(1000), codec="zstd")


async def test_a_message_above_the_gateways_limit_is_refused_here(scripted: ScriptedGateway) -> None:
    async with connected(scripted) as (client, _):
        with pytest.raises(RequestRefused, match="exceeds max_message_bytes=67108864") as caught:
            await client.publish("wf/x", np.zeros((64 << 20) + 1, np.uint8))
        assert caught.value.code == Code.MESSAGE_TOO_BIG


async def test_a_large_meta_block_makes_a_small_payload_travel_in_chunks(scripted: ScriptedGateway) -> None:
    scripted.answers[Opcode.END] = acknowledge_end
    limits = replace(LIMITS, max_frame_bytes=96 << 10)
    async with connected(scripted, limits) as (client, peer):
        await client.publish("wf/x", np.zeros(50_000, np.uint8), headers={"text": "x" * 60_000})
        data = data_of(await peer.next(Opcode.MESSAGE))
        assert data.plan is not None
        assert len((await peer.next(Opcode.CHUNK)).message) <= limits.max_frame_bytes


async def test_giving_up_half_way_aborts_the_transfer_and_the_stream_goes_on(scripted: ScriptedGateway) -> None:
    async with connected(scripted) as (client, peer):
        large = np.zeros(60 << 20, np.uint8)
        publishing = asyncio.ensure_future(client.publish("wf/x", large, codec="none"))
        after = asyncio.ensure_future(client.publish("wf/x", 1))
        data = data_of(await peer.next(Opcode.MESSAGE))
        assert data.plan is not None
        await peer.next(Opcode.CHUNK)
        publishing.cancel()
        received = await peer.next(Opcode.ABORT)
        assert Abort.parse(received.message, received.frame) == Abort(data.plan.transfer, Code.TRANSFER_ABORTED)
        assert data_of(await peer.next(Opcode.MESSAGE)).offset == 2  # the aborted one keeps its sequence
        peer.send(StreamInfo(7, "wf/x", Kind.STATE, 5, 0, alias=0), Ack(0, 1, 2, 0).write())
        assert (await after).offset == 0
        with pytest.raises(asyncio.CancelledError):
            await publishing


async def test_a_refusal_half_way_ends_the_transfer(scripted: ScriptedGateway) -> None:
    async with connected(scripted) as (client, peer):
        publishing = asyncio.ensure_future(client.publish("wf/x", np.zeros(60 << 20, np.uint8), codec="none"))
        await peer.next(Opcode.CHUNK)
        peer.send(Error(Code.FORBIDDEN, "FORBIDDEN", "not here", alias=0, sequence=1, count=1))
        with pytest.raises(RequestRefused, match="not here"):
            await publishing


@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt, SystemExit, asyncio.CancelledError])
async def test_a_progress_callback_that_fails_ends_the_publish(
    scripted: ScriptedGateway, kind: type[BaseException]
) -> None:
    def fail(sent: int, total: int) -> None:
        raise kind("in the application")

    async with connected(scripted) as (client, peer):
        with pytest.raises(kind, match="in the application"):
            await client.publish("wf/x", np.zeros(1 << 20, np.uint8), codec="none", progress=fail)
        received = await peer.next(Opcode.ABORT, Opcode.END)
        assert received.opcode == Opcode.ABORT
        assert [frame for frame in peer.waiting() if frame.opcode == Opcode.MESSAGE] == []


async def test_a_link_that_takes_nothing_stops_the_sender_and_then_its_patience(scripted: ScriptedGateway) -> None:
    sent: list[int] = []
    async with connected(scripted, WelcomeLimits.of(Limits())) as (client, peer):
        peer.pause_reading()
        array = np.zeros(256 << 20, np.uint8)
        with pytest.raises(RequestTimeout, match="could not be sent"):
            await client.publish(
                "wf/x", array, codec="none", timeout_s=0.1, progress=lambda done, total: sent.append(done)
            )
        assert sent[-1] < array.nbytes / 2  # the rest was never copied into any buffer
        peer.drop()


async def test_transfers_of_different_streams_take_turns(scripted: ScriptedGateway) -> None:
    async with connected(scripted) as (client, peer):
        large = np.zeros(4 << 20, np.uint8)
        publishing = [asyncio.ensure_future(client.publish(stream, large, codec="none")) for stream in ("wf/a", "wf/b")]
        transfers = [chunk_of(await peer.next(Opcode.CHUNK)).transfer for _ in range(100)]
        turns = sum(1 for before, after in pairwise(transfers) if before != after)
        assert turns > 20
        for each in publishing:
            each.cancel()
        await asyncio.gather(*publishing, return_exceptions=True)
