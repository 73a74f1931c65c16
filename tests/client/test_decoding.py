"""Invariant: what arrives is delivered whole, in the order of arrival, however long its decoding takes."""

import asyncio
import zlib
from dataclasses import dataclass, field

import numpy as np
import pytest

from gateway.client.arrival import Arrival
from gateway.client.decoding import WAITING_BYTES, Decoding
from gateway.client.in_order import InOrder
from gateway.client.intake import Intake
from gateway.errors import Code, RequestRefused
from gateway.ids import ClientId
from gateway.protocol.data import parse_data, write_data
from gateway.protocol.encoding import Chain, Encoding, Step, encode
from gateway.protocol.frames import iter_frames
from gateway.protocol.limits import Limits
from gateway.protocol.messages import Welcome, WelcomeLimits
from gateway.protocol.meta import write_meta
from gateway.protocol.signals import Abort, End
from gateway.protocol.tensors import TensorSpec
from gateway.protocol.transfers import ChunkPlan, split_payload, write_chunk
from gateway.protocol.wire import Buffer, Opcode

U1 = np.dtype(np.uint8)
CHUNK_BYTES = 64 * 1024
WELCOME = Welcome(
    version=1,
    client_id=ClientId("a"),
    session="s",
    peer=1,
    codecs=("lz4", "zstd"),
    filters=("shuffle",),
    limits=WelcomeLimits.of(Limits()),
    heartbeat_interval_s=20.0,
    time_ns=0,
)


@dataclass
class Noted:
    """A destination that notes what it gets."""

    order: InOrder[Buffer] = field(default_factory=InOrder)
    delivered: list[tuple[int, bytes]] = field(default_factory=list)
    errors: list[Exception] = field(default_factory=list)
    progress: list[tuple[int, int]] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def deliver(self, arrival: Arrival, payload: Buffer) -> None:
        self.delivered.append((arrival.offset, bytes(payload)))
        self.changed.set()

    def fail(self, error: Exception, arrival: Arrival | None) -> None:
        self.errors.append(error)
        self.changed.set()

    def advanced(self, received_bytes: int, payload_bytes: int) -> None:
        self.progress.append((received_bytes, payload_bytes))

    async def wait(self, count: int) -> None:
        """Until so many were delivered or have failed."""
        while len(self.delivered) + len(self.errors) < count:
            self.changed.clear()
            await self.changed.wait()


class Wire:
    """Frames into a decoder."""

    def __init__(self, max_message_bytes: int = 1 << 30, max_transfers: int = 4) -> None:
        self.reading: list[bool] = []
        self.resumed = asyncio.Event()
        self.intake = Intake(self.read)
        self.decoding = Decoding(
            WELCOME, self.intake, lambda: 99, max_message_bytes=max_message_bytes, max_transfers=max_transfers
        )

    def read(self, reading: bool) -> None:
        """What the intake decides."""
        self.reading.append(reading)
        if reading:
            self.resumed.set()

    def message(self, to: Noted, offset: int, payload: bytes, chain: str = "none") -> None:
        """A message in one frame."""
        encoded = encode(Chain.parse(chain), payload, 1)
        encoding, data = encoded or (None, payload)
        self.frame(to, offset, len(payload), encoding, data)

    def frame(self, to: Noted, offset: int, payload_bytes: int, encoding: Encoding | None, data: Buffer) -> None:
        meta = write_meta([TensorSpec("", U1, (payload_bytes,))])
        frame = write_data(
            Opcode.MESSAGE, stream=1, offset=offset, timestamp_ns=0, meta=meta, encoding=encoding, payload=[data]
        )
        self._receive(to, frame)

    def begin(self, to: Noted, transfer: int, payload_bytes: int) -> None:
        """The data frame of a large message."""
        meta = write_meta([TensorSpec("", U1, (payload_bytes,))])
        plan = ChunkPlan(transfer, CHUNK_BYTES, payload_bytes)
        self._receive(to, write_data(Opcode.MESSAGE, stream=1, offset=0, timestamp_ns=0, meta=meta, plan=plan))

    def chunk(self, transfer: int, index: int, data: Buffer, chain: str = "none") -> None:
        encoded = encode(Chain.parse(chain), bytes(data), 1)
        encoding, data = encoded or (None, data)
        self.raw_chunk(transfer, index, encoding, data)

    def raw_chunk(self, transfer: int, index: int, encoding: Encoding | None, data: Buffer) -> None:
        message = memoryview(b"".join(write_chunk(transfer, index, [data], encoding)))
        self.decoding.chunk_received(message, next(iter_frames(message)))

    def chunks(self, transfer: int, payload: bytes, chain: str = "none") -> None:
        for index, parts in enumerate(split_payload([payload], CHUNK_BYTES)):
            self.chunk(transfer, index, b"".join(parts), chain)

    def end(self, transfer: int, offset: int, checksum: int | None = None) -> None:
        message = memoryview(End(transfer, offset, 0, checksum).write())
        self.decoding.end_received(message, next(iter_frames(message)))

    def abort(self, transfer: int, code: int) -> None:
        message = memoryview(Abort(transfer, code).write())
        self.decoding.abort_received(message, next(iter_frames(message)))

    def _receive(self, to: Noted, frame: list[Buffer]) -> None:
        message = memoryview(b"".join(frame))
        arrival = Arrival(parse_data(message, next(iter_frames(message))), 1)
        arrival.check()
        self.decoding.receive(arrival, to)


def counting(size: int) -> bytes:
    """A payload that compresses, and no part of which is like another."""
    return (np.arange(size // 4 + 1, dtype=np.uint32) // 3).tobytes()[:size]


async def test_plain_and_small_messages_are_delivered_at_once() -> None:
    wire, noted = Wire(), Noted()
    wire.message(noted, 0, b"plain")
    wire.message(noted, 1, counting(10_000), "zstd")
    assert noted.delivered == [(0, b"plain"), (1, counting(10_000))]


async def test_large_ones_are_decoded_elsewhere_and_everything_stays_in_order() -> None:
    wire, noted = Wire(), Noted()
    wire.message(noted, 0, counting(400_000), "zstd")
    wire.message(noted, 1, b"plain")
    wire.message(noted, 2, counting(10_000), "lz4")
    wire.message(noted, 3, counting(300_000), "shuffle+lz4")
    assert noted.delivered == []
    await noted.wait(4)
    sizes = [400_000, 5, 10_000, 300_000]
    assert [(offset, len(payload)) for offset, payload in noted.delivered] == list(enumerate(sizes))
    assert noted.delivered[0][1] == counting(400_000)


async def test_another_stream_does_not_wait() -> None:
    wire, slow, fast = Wire(), Noted(), Noted()
    wire.message(slow, 0, counting(400_000), "zstd")
    wire.message(fast, 0, b"plain")
    assert fast.delivered == [(0, b"plain")]
    await slow.wait(1)


@pytest.mark.parametrize("chain", ["none", "lz4", "shuffle+zstd:3"])
async def test_a_large_message_comes_in_chunks(chain: str) -> None:
    wire, noted = Wire(), Noted()
    payload = counting(5 * CHUNK_BYTES + 100)
    wire.begin(noted, 7, len(payload))
    wire.chunks(7, payload, chain)
    wire.end(7, 42)
    wire.message(noted, 43, b"after it")
    await noted.wait(2)
    assert noted.delivered == [(42, payload), (43, b"after it")]
    assert noted.progress[-1] == (len(payload), len(payload))
    assert len(noted.progress) == 6


async def test_plain_and_encoded_chunks_mix() -> None:
    wire, noted = Wire(), Noted()
    payload = counting(4 * CHUNK_BYTES)
    wire.begin(noted, 7, len(payload))
    for index in range(4):
        part = payload[index * CHUNK_BYTES : (index + 1) * CHUNK_BYTES]
        wire.chunk(7, index, part, "zstd" if index % 2 == 0 else "none")
    wire.end(7, 0)
    await noted.wait(1)
    assert noted.delivered == [(0, payload)]


async def test_transfers_run_side_by_side() -> None:
    wire, first, second = Wire(), Noted(), Noted()
    payload = counting(2 * CHUNK_BYTES)
    wire.begin(first, 1, len(payload))
    wire.begin(second, 2, len(payload))
    wire.chunk(1, 0, payload[:CHUNK_BYTES])
    wire.chunk(2, 0, payload[:CHUNK_BYTES], "lz4")
    wire.chunk(2, 1, payload[CHUNK_BYTES:], "lz4")
    wire.end(2, 5)
    wire.chunk(1, 1, payload[CHUNK_BYTES:])
    wire.end(1, 6)
    await first.wait(1)
    await second.wait(1)
    assert (first.delivered, second.delivered) == ([(6, payload)], [(5, payload)])


async def test_chunks_of_a_transfer_that_is_not_open_are_skipped() -> None:
    wire = Wire()
    wire.chunk(99, 0, b"x")
    wire.end(99, 0)
    wire.abort(99, Code.TRANSFER_ABORTED)


async def test_an_aborted_transfer_fails_with_the_senders_code() -> None:
    wire, noted = Wire(), Noted()
    wire.begin(noted, 1, 2 * CHUNK_BYTES)
    wire.chunk(1, 0, bytes(CHUNK_BYTES))
    wire.abort(1, Code.TRANSFER_ABORTED)
    wire.end(1, 0)
    (error,) = noted.errors
    assert isinstance(error, RequestRefused)
    assert error.code == Code.TRANSFER_ABORTED


@pytest.mark.parametrize("chain", ["none", "lz4"])
async def test_a_missing_chunk_breaks_the_transfer_and_nothing_else(chain: str) -> None:
    wire, noted = Wire(), Noted()
    payload = counting(3 * CHUNK_BYTES)
    wire.begin(noted, 1, len(payload))
    wire.chunk(1, 0, payload[:CHUNK_BYTES], chain)
    wire.chunk(1, 2, payload[2 * CHUNK_BYTES :], chain)
    wire.chunk(1, 1, payload[CHUNK_BYTES : 2 * CHUNK_BYTES], chain)
    wire.end(1, 0)
    wire.message(noted, 1, b"after it")
    await noted.wait(2)
    (error,) = noted.errors
    assert getattr(error, "code", None) == Code.BROKEN_TRANSFER
    assert noted.delivered == [(1, b"after it")]


@pytest.mark.parametrize("size", [20_000, 200_000])
async def test_a_corrupt_payload_fails_and_the_next_message_comes(size: int) -> None:
    wire, noted = Wire(), Noted()
    encoded = encode(Chain.parse("zstd"), counting(size), 1)
    assert encoded is not None
    data = bytearray(encoded[1])
    data[len(data) // 2 :] = bytes(len(data) - len(data) // 2)
    try:
        wire.frame(noted, 0, size, encoded[0], data)
    except RequestRefused as error:  # decoded at once, so refused at once
        noted.errors.append(error)
    wire.message(noted, 1, b"after it")
    await noted.wait(2)
    assert getattr(noted.errors[0], "code", None) == Code.CORRUPT_PAYLOAD
    assert noted.delivered == [(1, b"after it")]


async def test_a_codec_that_was_not_agreed_on_is_refused() -> None:
    wire, noted = Wire(), Noted()
    snappy = encode(Chain.parse("snappy"), counting(10_000), 1)
    assert snappy is not None
    with pytest.raises(RequestRefused) as caught:
        wire.frame(noted, 0, 10_000, *snappy)
    assert caught.value.code == Code.UNKNOWN_CODEC
    wire.begin(noted, 1, CHUNK_BYTES)
    wire.raw_chunk(1, 0, Encoding(CHUNK_BYTES, (Step(17, 1),)), bytes(CHUNK_BYTES))
    wire.end(1, 0)
    await noted.wait(1)
    assert getattr(noted.errors[0], "code", None) == Code.UNKNOWN_CODEC


async def test_limits_are_checked_before_anything_is_allocated() -> None:
    wire, noted = Wire(max_message_bytes=1 << 20, max_transfers=2), Noted()
    with pytest.raises(RequestRefused, match="exceeds 1048576"):
        wire.begin(noted, 1, 1 << 40)
    with pytest.raises(RequestRefused, match="exceeds 1048576"):
        wire.frame(noted, 0, 1 << 40, Encoding(1 << 40, (Step(2, 0),)), b"x")
    wire.begin(noted, 1, CHUNK_BYTES)
    wire.begin(noted, 2, CHUNK_BYTES)
    with pytest.raises(RequestRefused, match="more than 2"):
        wire.begin(noted, 3, CHUNK_BYTES)


async def test_too_much_that_waits_for_threads_stops_the_socket() -> None:
    wire, noted = Wire(), Noted()
    noise = np.random.default_rng(1).integers(0, 100, 4 << 20, dtype=np.uint8).tobytes()
    encoded = encode(Chain.parse("zstd:1"), noise, 1)
    assert encoded is not None
    count = WAITING_BYTES // len(encoded[1]) + 2
    for offset in range(count):
        wire.frame(noted, offset, len(noise), *encoded)
    assert wire.reading == [False]
    await noted.wait(count)
    assert [offset for offset, _ in noted.delivered] == list(range(count))
    await wire.resumed.wait()
    assert wire.reading == [False, True]


async def test_after_the_session_nothing_is_under_way() -> None:
    wire, noted = Wire(), Noted()
    wire.begin(noted, 1, CHUNK_BYTES)
    wire.decoding.close()
    wire.end(1, 0)
    assert (noted.delivered, noted.errors) == ([], [])


@pytest.mark.parametrize("size", [100, 3 * CHUNK_BYTES, 9 * 1024 * 1024])
@pytest.mark.parametrize("chain", ["none", "lz4"])
async def test_a_payload_with_another_checksum_than_its_sender_computed_is_corrupt(size: int, chain: str) -> None:
    wire, noted = Wire(), Noted()
    payload = counting(size)
    for transfer, checksum in ((1, zlib.crc32(payload)), (2, zlib.crc32(payload) ^ 1)):
        wire.begin(noted, transfer, size)
        wire.chunks(transfer, payload, chain)
        wire.end(transfer, transfer, checksum)
    await noted.wait(2)
    assert noted.delivered == [(1, payload)]
    (error,) = noted.errors
    assert isinstance(error, RequestRefused)
    assert error.code == Code.CORRUPT_PAYLOAD
