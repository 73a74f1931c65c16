"""Read memory holds the rest of one read and the next."""

from __future__ import annotations

from gateway.websocket.read_memory import BUFFER_BYTES, DIRECT_BYTES, READ_BYTES, ReadMemory


def test_it_holds_what_is_left_of_a_read_and_the_next_one() -> None:
    memory = ReadMemory()
    assert len(memory.shared) == BUFFER_BYTES >= READ_BYTES + DIRECT_BYTES
    assert len(memory.spare.take(DIRECT_BYTES)) == DIRECT_BYTES
