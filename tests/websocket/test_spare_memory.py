"""A buffer is used again when nobody can see it any more, and only then."""

from __future__ import annotations

import numpy as np
import pytest

from gateway.websocket.spare_memory import MAX_SPARE_BYTES, SPARE_BUFFERS, SpareMemory


def address(view: memoryview) -> int:
    return int(np.frombuffer(view, np.uint8).ctypes.data)


def test_what_nobody_refers_to_is_used_again() -> None:
    spare = SpareMemory()
    first = address(spare.take(100_000))
    assert address(spare.take(100_000)) == first
    assert address(spare.take(90_000)) == first


@pytest.mark.parametrize(
    "keep",
    [
        lambda view: view,
        lambda view: view[10:20].toreadonly(),
        lambda view: memoryview(view).cast("i"),
        lambda view: np.frombuffer(view, np.float32)[7:],
    ],
    ids=["the buffer", "a part of it", "a cast", "an array"],
)
def test_what_is_seen_is_not_changed(keep: object) -> None:
    assert callable(keep)
    spare = SpareMemory()
    taken = spare.take(4000)
    taken[:] = b"y" * 4000
    kept = keep(taken)
    del taken
    for _ in range(2 * SPARE_BUFFERS):
        spare.take(4000)[:] = b"x" * 4000
    assert set(bytes(kept)) == {ord("y")}


def test_each_has_its_own_as_long_as_several_are_in_use() -> None:
    spare = SpareMemory()
    views = [spare.take(5000) for _ in range(3 * SPARE_BUFFERS)]
    assert len({address(view) for view in views}) == len(views)


def test_few_and_no_large_buffers_are_kept() -> None:
    spare = SpareMemory()
    for size in range(10_000, 200_000, 10_000):
        spare.take(size)
    assert len(spare._buffers) == SPARE_BUFFERS
    spare.take(MAX_SPARE_BYTES + 1)
    assert max(map(len, spare._buffers)) <= MAX_SPARE_BYTES


def test_a_small_payload_does_not_hold_a_large_buffer() -> None:
    spare = SpareMemory()
    large = address(spare.take(100_000))
    assert address(spare.take(88_000)) != large
