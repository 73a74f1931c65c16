"""Cursor: a large message leaves chunk by chunk, as far as it has come and the link takes it."""

from __future__ import annotations

from gateway.connections.lagging.cursor import Cursor
from gateway.protocol.messages import Kind
from tests.connections.outbound.test_outbox import Recorder, add_chunk, large, stream

SOURCE = stream(1, Kind.EVENT)


def test_the_head_goes_first_then_one_chunk_at_a_time_as_they_come() -> None:
    message = large(SOURCE, 9, chunks=1, planned=2)
    cursor, receiver = Cursor(message, message.chunks, 0, started=False), Recorder()
    advanced = [cursor.advance(receiver) for _ in range(3)]
    assert advanced == [True, True, False]
    caught_up = [cursor.caught_up]
    add_chunk(message)
    caught_up.append(cursor.caught_up)
    assert caught_up == [True, False]
    assert cursor.advance(receiver)
    assert receiver.steps == [("head", 1, 9), ("chunk", 9, 0), ("chunk", 9, 1)]


def test_nothing_is_sent_while_the_link_takes_nothing() -> None:
    message = large(SOURCE, 9, chunks=1)
    cursor, receiver = Cursor(message, message.chunks, 0, started=False), Recorder()
    receiver.bulk_open = False
    assert not cursor.advance(receiver)
    assert (cursor.started, receiver.steps) == (False, [])


def test_the_end_is_next_behind_the_head_and_every_chunk_even_if_no_chunk_is_left_to_send() -> None:
    message = large(SOURCE, 9, chunks=2)
    cursor, receiver = Cursor(message, message.chunks, 2, started=False), Recorder()
    ends = [cursor.lacks_only_end]
    assert cursor.advance(receiver)
    ends.append(cursor.lacks_only_end)
    message.offset = 0
    ends.append(cursor.lacks_only_end)
    assert ends == [False, False, True]
