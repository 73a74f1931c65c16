"""Deltas: decoded against the newest version that was received before their data frame, or refused for want of it."""

from __future__ import annotations

import numpy as np
import pytest

from gateway.client.decoding.decoding import INLINE_DECODE_BYTES
from gateway.client.decoding.delta_bases import MIN_BASE_BYTES, DeltaBaseMissing, DeltaBases, base_of
from gateway.errors import Code
from gateway.protocol.dtypes import BYTE
from gateway.protocol.encoding import Chain, encode
from tests.client.decoding_wire import CHUNK_BYTES, Noted, Wire

XOR = "xor:1+zstd:1"
every_size = pytest.mark.parametrize("size", [MIN_BASE_BYTES, INLINE_DECODE_BYTES + 8])


def versions(count: int, size: int) -> list[bytes]:
    """States that differ from each other by a few bytes, and do not compress."""
    old = bytearray(np.random.default_rng(size).bytes(size))
    made = []
    for number in range(count):
        old[number * 10 : number * 10 + 4] = number.to_bytes(4, "big")
        made.append(bytes(old))
    return made


def state() -> Noted:
    return Noted(bases=DeltaBases())


@every_size
async def test_a_chain_of_deltas(size: int) -> None:
    wire, noted = Wire(), state()
    sent = versions(5, size)
    wire.message(noted, 0, sent[0])
    for offset in range(1, 5):
        wire.message(noted, offset, sent[offset], XOR, sent[offset - 1])
    await noted.wait(5)
    assert noted.delivered == list(enumerate(sent))


@every_size
@pytest.mark.parametrize("chain", ["none", "zstd"])
async def test_the_base_may_still_be_on_its_way_through_a_thread(size: int, chain: str) -> None:
    wire, noted = Wire(), state()
    first, second, third = (bytes(8) * (size // 8 - 2) + version[:16] for version in versions(3, size))
    wire.message(noted, 7, first, chain)
    wire.message(noted, 8, second, "xor:1+lz4", first)
    wire.message(noted, 9, third, "zstd")
    await noted.wait(3)
    assert noted.delivered == [(7, first), (8, second), (9, third)]


async def test_chunks_refer_to_the_newest_version_before_their_head() -> None:
    wire, noted = Wire(), state()
    first, second, third = versions(3, 3 * CHUNK_BYTES - 8)
    wire.begin(noted, 1, len(first))
    wire.chunks(1, first)
    wire.end(1, 4)
    wire.begin(noted, 2, len(second), offset=5)
    wire.message(noted, 5, third)  # passes it; its own offset will be 6
    wire.chunks(2, second, XOR, first)
    wire.end(2, 6)
    await noted.wait(3)
    assert noted.delivered == [(4, first), (5, third), (6, second)]


async def test_chunks_wait_for_a_base_that_is_being_decoded() -> None:
    wire, noted = Wire(), state()
    first, second, third = (bytes(3 * CHUNK_BYTES) + version[:40] for version in versions(3, MIN_BASE_BYTES))
    wire.begin(noted, 1, len(first))
    wire.chunks(1, first, "zstd")
    wire.end(1, 4)
    for transfer, offset, old, new in ((2, 5, first, second), (3, 6, second, third)):
        wire.begin(noted, transfer, len(new), offset=offset)
        wire.chunks(transfer, new, "xor:1+lz4", old)
        wire.end(transfer, offset)
    await noted.wait(3)
    assert noted.delivered == [(4, first), (5, second), (6, third)]
    assert not noted.errors


async def test_a_message_in_one_piece_may_refer_to_one_in_chunks_and_the_other_way_round() -> None:
    wire, noted = Wire(), state()
    first, second, third = versions(3, 2 * CHUNK_BYTES)
    wire.begin(noted, 1, len(first))
    wire.chunks(1, first)
    wire.end(1, 0)
    wire.message(noted, 1, second, XOR, first)
    wire.begin(noted, 2, len(third), offset=2)
    wire.chunks(2, third, XOR, second)
    wire.end(2, 2)
    await noted.wait(3)
    assert noted.delivered == list(enumerate([first, second, third]))


@every_size
@pytest.mark.parametrize("held", ["nothing", "another", "smaller"])
async def test_without_its_base_a_delta_is_refused_and_what_refers_to_nothing_comes(size: int, held: str) -> None:
    wire, noted = Wire(), state()
    first, second, third = versions(3, size)
    if held == "another":
        wire.message(noted, 3, first)
    elif held == "smaller":
        wire.message(noted, 4, first[:-8])
    with pytest.raises(DeltaBaseMissing) as missing:
        wire.message(noted, 5, second, XOR, first)
    assert missing.value.code == Code.CORRUPT_PAYLOAD
    wire.message(noted, 6, third)
    wire.message(noted, 7, first, XOR, third)
    await noted.wait(2 if held == "nothing" else 3)
    assert noted.delivered[-2:] == [(6, third), (7, first)]


async def test_a_delta_in_chunks_without_its_base_fails() -> None:
    wire, noted = Wire(), state()
    first, second = versions(2, 2 * CHUNK_BYTES)
    wire.begin(noted, 1, len(second), offset=9)
    wire.chunks(1, second, XOR, first)
    wire.end(1, 9)
    await noted.wait(1)
    assert isinstance(noted.errors[0], DeltaBaseMissing)


async def test_what_refers_to_something_broken_fails_as_well() -> None:
    wire, noted = Wire(), state()
    size = INLINE_DECODE_BYTES + 8
    first, second = (bytes(size - 16) + version[:16] for version in versions(2, size))
    encoded = encode(Chain.parse("lz4"), first, BYTE)
    assert encoded is not None
    encoding, data = encoded
    wire.frame(noted, 1, size, encoding, bytes(data[:-9]))
    wire.message(noted, 2, second, "xor:1+zstd", first)
    wire.message(noted, 3, first, "xor:1+zstd", second)
    await noted.wait(3)
    assert not noted.delivered
    assert [isinstance(error, DeltaBaseMissing) for error in noted.errors] == [False, True, True]


async def test_of_a_stream_that_is_no_state_nothing_is_held() -> None:
    wire, noted = Wire(), Noted()
    first, second = versions(2, MIN_BASE_BYTES)
    wire.message(noted, 0, first)
    with pytest.raises(DeltaBaseMissing):
        wire.message(noted, 1, second, XOR, first)


async def test_one_version_is_held_and_only_if_it_is_large_enough() -> None:
    wire, noted = Wire(), state()
    assert noted.bases is not None
    wire.message(noted, 0, bytes(MIN_BASE_BYTES))
    held = noted.bases.newest
    assert held is not None
    assert (held.offset, held.size) == (0, MIN_BASE_BYTES)
    wire.message(noted, 1, bytes(MIN_BASE_BYTES - 1))
    assert noted.bases.newest is None


async def test_of_a_batch_the_last_record_is_held() -> None:
    held = DeltaBases()
    records = [bytes([number]) * MIN_BASE_BYTES for number in range(3)]
    held.set_newest(10, 3, 3 * MIN_BASE_BYTES, b"".join(records))
    version = base_of(held.newest, 12, MIN_BASE_BYTES)
    assert version.payload() == records[2]
