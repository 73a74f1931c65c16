"""Spans of runs and large messages."""

from __future__ import annotations

from gateway.streams.span import held_bytes_of, offsets_of
from tests.streams.frames import large_of, run_of


def test_a_run_spans_its_messages() -> None:
    run = run_of(7, [None, 3])
    assert offsets_of(run) == (7, 10)
    assert held_bytes_of(run) == sum(map(len, run.buffers))


def test_a_large_message_is_one_message_of_all_its_chunks() -> None:
    message = large_of(7, 9000)
    assert offsets_of(message) == (7, 7)
    assert held_bytes_of(message) == 9000
