"""Some cells of ``make slow-readers``, for the gateway's memory alone: nothing depends on how busy the machine is."""

from __future__ import annotations

from typing import Final

import pytest

from benchmarks.slow_readers.measure import FLOOD_S, measure
from benchmarks.slow_readers.plan import KIB, MIB, Group, Size

SMALL = Size("64 KB", 64 * KIB, 300)
LARGE = Size("8 MB", 8 * MIB, 6)

STOPPED_FLOOD_S: Final = 4.0
"""Time of a flood of ``control``, whose publisher slow readers stop. Floods of the other kinds end by their bytes."""


@pytest.mark.parametrize(
    ("kind", "size"),
    [("state", LARGE), ("event", SMALL), ("collaboration", SMALL), ("control", LARGE)],
    ids=lambda value: value if isinstance(value, str) else value.name,
)
def test_memory_stays_within_its_bound_whatever_readers_do(kind: str, size: Size) -> None:
    measured = measure(
        Group(kind, size), speeds=(0.0, 0.5), rounds=0, flood_s=STOPPED_FLOOD_S if kind == "control" else FLOOD_S
    )
    assert measured.broken(timed=False) == []
    _, stuck, slow = measured.cells
    assert stuck.read_bytes == 0
    assert slow.read_bytes > 0
