"""DeadLetter: what a message says once it is dead, whatever state it is in."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from gateway.connections.consumers.dead_letter import HEADER, HEADERS_TENSOR, DeadLetter, OpenedUnit, labelled, opened
from gateway.protocol.encoding import Chain
from gateway.protocol.meta import write_meta
from gateway.protocol.tensors import TensorSpec, view_tensors
from gateway.protocol.wire import MAX_HEADERS_BYTES, MAX_TENSORS
from tests.connections.consumers.test_ack_unit import frame, run_of
from tests.connections.frames import BYTE, encoded
from tests.streams.frames import large_of

LETTER = DeadLetter("wf/tasks", 3, "worker", 5, "not processed")
ORIGIN = {"stream": "wf/tasks", "offset": 3, "client_id": "worker", "tries": 5, "reason": "not processed"}
LONG = {"note": "x" * (MAX_HEADERS_BYTES - 50)}


def unit(headers: dict[str, Any] | None = None, tensors: int = 1, undecodable: str | None = None) -> OpenedUnit:
    specs = [TensorSpec(str(number), BYTE, (1,)) for number in range(tensors)]
    return OpenedUnit(specs, headers or {}, [bytes(8 * tensors - 7)], undecodable)


def test_a_record_batch_is_one_tensor() -> None:
    found = opened(run_of(frame(b"abcd", count=4), first=2, counts=(4,)))
    assert [spec.shape for spec in found.specs] == [(4, 1)]
    assert bytes(b"".join(found.payload)) == b"abcd"
    assert found.undecodable is None
    assert labelled(found, LETTER).headers == {HEADER: {**ORIGIN, "records": 4}}


def test_a_large_message_keeps_its_tensors_and_headers() -> None:
    message = large_of(3)
    message.meta = write_meta([TensorSpec("x", BYTE, (5000,))], {"step": 7})
    found = opened(message)
    assert (list(found.specs), found.headers) == ([TensorSpec("x", BYTE, (5000,))], {"step": 7})
    assert b"".join(found.payload) == bytes(5000)


@pytest.mark.parametrize("headers", [{}, {"step": 7}])
def test_the_origin_stands_beside_the_headers(headers: dict[str, Any]) -> None:
    found = labelled(unit(headers), LETTER)
    assert found.headers == {**headers, HEADER: ORIGIN}
    assert found.specs == unit().specs


def test_long_headers_become_a_tensor() -> None:
    found = labelled(unit(LONG, tensors=3), LETTER)
    assert found.headers == {HEADER: ORIGIN}
    assert [spec.name for spec in found.specs] == ["0", "1", "2", HEADERS_TENSOR]
    *_, headers = view_tensors(found.specs, b"".join(found.payload))
    assert json.loads(headers.tobytes()) == LONG


def test_beside_as_many_tensors_as_there_may_be_long_headers_are_left_out() -> None:
    found = labelled(unit(LONG, tensors=MAX_TENSORS), LETTER)
    assert found.headers == {HEADER: ORIGIN}
    assert len(found.specs) == MAX_TENSORS


def test_damaged_bytes_are_kept_with_the_reason() -> None:
    encoding, payload = encoded(Chain(codec="lz4"), bytes(1000))
    found = opened(run_of(frame(bytes(payload)[:-8] + b"\xff" * 8, encoding=encoding, headers={"step": 7})))
    (array,) = view_tensors(found.specs, b"".join(found.payload))
    assert array.dtype == np.uint8
    assert array.tobytes().endswith(b"\xff" * 8)
    assert found.undecodable
    assert labelled(found, LETTER).headers == {"step": 7, HEADER: {**ORIGIN, "undecodable": found.undecodable}}
