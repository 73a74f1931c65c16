"""Invariant: what arrives is delivered complete, in the order of arrival, however long its decoding takes."""

import zlib

import numpy as np
import pytest

from gateway.client.decoding.decoding import WAITING_BYTES
from gateway.errors import Code, RequestRefused
from gateway.protocol.dtypes import BYTE
from gateway.protocol.encoding import Chain, CodecStep, Encoding, encode
from gateway.protocol.transfers import write_chunk
from tests.client.decoding_wire import CHUNK_BYTES, Noted, Wire, counting


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


async def test_plain_chunks_are_read_into_their_array_and_others_come_between() -> None:
    wire, noted = Wire(), Noted()
    payload = counting(4 * CHUNK_BYTES)
    parts = [payload[at : at + CHUNK_BYTES] for at in range(0, len(payload), CHUNK_BYTES)]
    wire.begin(noted, 7, len(payload))
    assert wire.placed(7, 0, parts[0])
    wire.chunk(7, 1, parts[1])
    wire.chunk(7, 2, parts[2], "zstd")
    assert not wire.placed(7, 3, parts[3])  # a thread still decodes the chunk before it
    await noted.received(3 * CHUNK_BYTES)
    assert wire.placed(7, 3, parts[3], came=100)
    wire.end(7, 5, zlib.crc32(payload))
    await noted.wait(1)
    assert noted.delivered == [(5, payload)]
    assert [received for received, _ in noted.progress] == [(n + 1) * CHUNK_BYTES for n in range(4)]


async def test_only_the_next_whole_plain_chunk_of_an_open_transfer_has_a_place() -> None:
    wire, noted = Wire(), Noted()
    wire.begin(noted, 7, 3 * CHUNK_BYTES + 8)
    whole = bytes(CHUNK_BYTES)
    assert not wire.placed(8, 0, whole)
    assert not wire.placed(7, 1, whole)
    assert not wire.placed(7, 0, whole, came=15)
    assert not wire.placed(7, 0, bytes(CHUNK_BYTES + 8))
    assert not wire.placed(7, 0, bytes(CHUNK_BYTES - 8))
    encoded = memoryview(b"".join(write_chunk(7, 0, [whole], Encoding(CHUNK_BYTES, (CodecStep(1, 0),)))))
    assert wire.decoding.place(encoded[:16], len(encoded)) is None
    message = memoryview(b"".join(write_chunk(7, 0, [whole])))
    assert wire.decoding.place(message[:16], len(message) + 8) is None  # another frame follows in the message
    assert wire.placed(7, 0, whole)
    assert not wire.placed(7, 0, whole)
    assert noted.progress == [(CHUNK_BYTES, 3 * CHUNK_BYTES + 8)]


async def test_a_chunk_whose_transfer_ends_while_it_is_read_counts_nowhere() -> None:
    wire, noted = Wire(), Noted()
    wire.begin(noted, 7, 2 * CHUNK_BYTES)
    frame = memoryview(b"".join(write_chunk(7, 0, [bytes(CHUNK_BYTES)])))
    placement = wire.decoding.place(frame[:16], len(frame))
    assert placement is not None
    (partial,) = wire.decoding.close()
    placement.filled()
    assert partial.next_index == partial.assembler.received_bytes == 0
    assert noted.progress == []


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
    assert "its sender has ended" in error.message


async def test_an_aborted_transfer_that_its_sender_has_not_ended_says_why() -> None:
    wire, noted = Wire(), Noted()
    wire.begin(noted, 1, 2 * CHUNK_BYTES)
    wire.abort(1, Code.TRANSFER_TIMEOUT)
    (error,) = noted.errors
    assert isinstance(error, RequestRefused)
    assert error.code == Code.TRANSFER_TIMEOUT
    assert "not gone on in time" in error.message
    assert "sender has ended" not in error.message


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
    encoded = encode(Chain.parse("zstd"), counting(size), BYTE)
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
    snappy = encode(Chain.parse("snappy"), counting(10_000), BYTE)
    assert snappy is not None
    with pytest.raises(RequestRefused) as caught:
        wire.frame(noted, 0, 10_000, *snappy)
    assert caught.value.code == Code.UNKNOWN_CODEC
    wire.begin(noted, 1, CHUNK_BYTES)
    wire.raw_chunk(1, 0, Encoding(CHUNK_BYTES, (CodecStep(18, 1),)), bytes(CHUNK_BYTES))
    wire.end(1, 0)
    await noted.wait(1)
    assert getattr(noted.errors[0], "code", None) == Code.UNKNOWN_CODEC


async def test_limits_are_checked_before_anything_is_allocated() -> None:
    wire, noted = Wire(max_message_bytes=1 << 20, max_transfers=2), Noted()
    with pytest.raises(RequestRefused, match="exceeds max_message_bytes=1048576"):
        wire.begin(noted, 1, 1 << 40)
    with pytest.raises(RequestRefused, match="exceeds max_message_bytes=1048576 of this client"):
        wire.frame(noted, 0, 1 << 40, Encoding(1 << 40, (CodecStep(2, 0),)), b"x")
    wire.begin(noted, 1, CHUNK_BYTES)
    wire.begin(noted, 2, CHUNK_BYTES)
    with pytest.raises(RequestRefused, match="more than 2"):
        wire.begin(noted, 3, CHUNK_BYTES)


async def test_too_much_that_waits_for_threads_stops_the_socket() -> None:
    wire, noted = Wire(), Noted()
    noise = np.random.default_rng(1).integers(0, 100, 4 << 20, dtype=np.uint8).tobytes()
    encoded = encode(Chain.parse("zstd:1"), noise, BYTE)
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
