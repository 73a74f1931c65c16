"""Layout of traffic records: what is packed is unpacked, and bounds are kept."""

from __future__ import annotations

import math
import struct
import zlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.optimizer.history.layout import (
    HEADER,
    MARK,
    MAX_BODY_BYTES,
    TRAFFIC_KIND,
    BadRecord,
    checked_size,
    kind_at,
    pack_record,
    unpack_record,
)
from gateway.optimizer.history.record import PayloadFeatures, TrafficRecord
from tests.optimizer.history.records import ANY_RECORD, record


def framed(body: bytes, kind: int = TRAFFIC_KIND) -> bytes:
    checked = struct.pack("<BH", kind, len(body))
    return HEADER.pack(MARK, kind, len(body), zlib.crc32(checked + body)) + body


@given(ANY_RECORD)
def test_what_is_packed_is_unpacked(original: TrafficRecord) -> None:
    data = pack_record(original)
    assert checked_size(data, 0) == len(data) <= HEADER.size + MAX_BODY_BYTES
    assert kind_at(data, 0) == TRAFFIC_KIND
    assert unpack_record(data, 0, len(data)) == original


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e300, None])
def test_a_figure_that_is_no_number_is_not_known(value: float | None) -> None:
    original = record(encode_s=value, features=PayloadFeatures(zero_share=value, plane_entropy_bits=(math.nan,)))
    data = pack_record(original)
    unknown = replace(original, encode_s=None, features=PayloadFeatures())
    assert unpack_record(data, 0, len(data)) == unknown


def test_values_without_room_are_cut() -> None:
    data = pack_record(record(client="ä" * 1000, messages=-1, receivers=2**40, payload_bytes=2**70, shape=(2**80,)))
    found = unpack_record(data, 0, len(data))
    assert (found.client, found.messages, found.receivers) == ("ä" * 256, 0, 2**32 - 1)
    assert (found.payload_bytes, found.shape) == (2**64 - 2, (2**64 - 2,))


@pytest.mark.parametrize("missing_bytes", [8, 12])
def test_records_of_gateways_that_told_no_load_or_no_tiers_are_read(missing_bytes: int) -> None:
    data = pack_record(record(tier="", sdk="", burstiness=2.0, cpu_headroom=0.5))
    earlier = framed(data[HEADER.size : -missing_bytes])
    found = unpack_record(earlier, 0, checked_size(earlier, 0))
    assert found == record(tier="", sdk="", burstiness=None, cpu_headroom=None)


def test_a_later_gateway_may_add_fields() -> None:
    data = pack_record(record())
    longer = framed(data[HEADER.size :] + b"more")
    assert unpack_record(longer, 0, checked_size(longer, 0)) == record()


@given(st.binary(max_size=300), st.integers(0, 310))
def test_a_body_of_any_bytes_is_a_record_or_a_bad_one(body: bytes, cut: int) -> None:
    for content in (body, pack_record(record())[HEADER.size :][:cut]):
        data = framed(content)
        assert checked_size(data, 0) == len(data)
        try:
            found = unpack_record(data, 0, len(data))
        except BadRecord:
            continue
        assert isinstance(found, TrafficRecord)


def test_a_compact_record() -> None:
    assert len(pack_record(record())) < 200


def test_records_of_one_history_share_their_texts() -> None:
    """Of 200,000 records that are read a text of each takes 12 MB."""
    data = pack_record(record())
    first, second = unpack_record(data, 0, len(data)), unpack_record(data, 0, len(data))
    assert first.stream is second.stream
    assert first.chain is second.chain
