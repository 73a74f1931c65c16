"""Tests that only a message which differs in nothing but offset, timestamp and payload has the head of another."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gateway.client.decoding.inbound_frame import InboundFrame
from gateway.client.decoding.repeated_head import MAX_META_BYTES, RepeatedHead
from gateway.protocol.data import parse_data
from gateway.protocol.frames import only_frame
from gateway.protocol.meta import write_meta
from gateway.protocol.tensors import TensorSpec, spec_of
from gateway.protocol.transfers import ChunkPlan
from gateway.protocol.wire import DATA_HEADER, OFFSET_AT, ROUTE_AT, Opcode
from tests.client.frames import data_frame

VALUE = np.arange(6, dtype="<f4")
META = write_meta([spec_of(VALUE)])


def inbound_of(message: bytes) -> InboundFrame:
    frame = only_frame(message)
    assert frame is not None
    inbound = InboundFrame(parse_data(memoryview(message), frame), 0)
    inbound.check()
    return inbound


def payload_of(head: RepeatedHead, message: bytes, at: int = 0) -> bytes | None:
    payload = head.payload_of(memoryview(message), at, DATA_HEADER.unpack_from(message, at))
    return None if payload is None else bytes(payload)


def test_a_message_that_differs_in_offset_timestamp_and_payload_has_the_same_head() -> None:
    message = bytearray(b"".join(data_frame(Opcode.MESSAGE, 3, VALUE)))
    head = RepeatedHead.of(inbound_of(bytes(message)))
    assert head is not None
    assert head.specs == (spec_of(VALUE),)
    for at in range(len(message)):
        other = message.copy()
        other[at] ^= 0xFF
        payload = payload_of(head, bytes(other))
        # The stream, before the publisher, has led to the head.
        if ROUTE_AT <= at < ROUTE_AT + 4 or OFFSET_AT <= at < DATA_HEADER.size or at >= DATA_HEADER.size + len(META):
            assert payload == bytes(other)[DATA_HEADER.size + len(META) :]
        else:
            assert payload is None


def test_the_payload_ends_before_the_padding_and_may_be_anywhere_in_a_message() -> None:
    first, second = (b"".join(data_frame(Opcode.MESSAGE, n, np.full(3, n, np.uint8))) for n in range(2))
    head = RepeatedHead.of(inbound_of(first))
    assert head is not None
    assert payload_of(head, first + second, len(first)) == bytes([1, 1, 1])


@pytest.mark.parametrize("what", ["batch", "headers", "chunks", "long meta"])
def test_other_messages_are_looked_at(what: str) -> None:
    inbound = inbound_of(b"".join(data_frame(Opcode.MESSAGE, 3, VALUE)))
    match what:
        case "batch":
            inbound.frame = inbound.frame._replace(opcode=Opcode.BATCH)
        case "headers":
            inbound.meta = replace(inbound.meta, headers={})
        case "chunks":
            inbound.frame = inbound.frame._replace(plan=ChunkPlan(1, 4096, 5000))
        case _:
            specs = [TensorSpec(f"{n:0{MAX_META_BYTES // 2}}", VALUE.dtype, (1,)) for n in range(2)]
            inbound.frame = inbound.frame._replace(meta=memoryview(write_meta(specs)))
    assert RepeatedHead.of(inbound) is None
