"""Ended streams: their deletion from a store's tables, in transactions of a bounded size."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Final, NamedTuple

from gateway.streams.sqlite.changes import Change, Forget

SWEEP_ROWS: Final = 128
"""Rows of messages that are deleted at a time, in milliseconds."""

SWEEP_BYTES: Final = 8 * 1024 * 1024
"""Bytes of these rows, past which no further one is deleted at a time."""

_NOTE: Final = (
    "INSERT INTO ended VALUES (1, ?, ?) ON CONFLICT (one) DO UPDATE SET "
    "last_id = max(last_id, excluded.last_id), last_epoch = max(last_epoch, excluded.last_epoch)"
)


class LastEnded(NamedTuple):
    """Highest number and highest epoch of the streams that have ended; neither is used again."""

    id: int = 0
    epoch: int = 0


class EndedStreams:
    """Deletion of streams.

    A stream is gone when its row is: its messages cannot be read any more, and are deleted later, some at a time.

    Args:
        connection: connection to the file.
        left: ids of streams whose messages were not all deleted when the file was closed.
    """

    def __init__(self, connection: sqlite3.Connection, left: Iterable[int]) -> None:
        self._connection = connection
        self._waiting: dict[int, int] = {}
        """Epochs of the streams that are to be deleted by the next transaction that succeeds, by id."""
        self._left = list(left)

    def __bool__(self) -> bool:
        """Return whether streams are to be deleted by the next transaction."""
        return bool(self._waiting)

    def __contains__(self, stream_id: int) -> bool:
        """Return whether a stream is to be deleted by the next transaction."""
        return stream_id in self._waiting

    def note(self, changes: Iterable[Change]) -> set[int]:
        """Note the streams that have ended by these changes, and return their ids."""
        ended = [change.stream for change in changes if isinstance(change, Forget)]
        for stream in ended:
            self._waiting[stream.id] = stream.epoch
        return {stream.id for stream in ended}

    def delete(self) -> list[int]:
        """Delete the rows of these streams, and return the ids; to be called within a transaction."""
        ids = list(self._waiting)
        if ids:
            self._connection.executemany("DELETE FROM streams WHERE id = ?", [(stream_id,) for stream_id in ids])
            self._connection.execute(_NOTE, (max(ids), max(self._waiting.values())))
        return ids

    def settle(self) -> None:
        """Note that the transaction has succeeded: the messages are to be deleted."""
        self._left += self._waiting
        self._waiting = {}

    def next_cut(self) -> tuple[int, int] | None:
        """Return a stream, and the offset before which its messages are to be deleted now.

        ``None``: there is none. The caller deletes the messages before it calls this method again.
        """
        while self._left:
            stream_id = self._left[-1]
            rows = self._connection.execute(
                "SELECT first + count, size FROM messages WHERE stream = ? ORDER BY first LIMIT ?",
                (stream_id, SWEEP_ROWS),
            ).fetchall()
            cut = size = 0
            for following, row_bytes in rows:
                cut, size = following, size + row_bytes
                if size >= SWEEP_BYTES:
                    break
            if cut:
                return stream_id, cut
            self._left.pop()
        return None


def read_last_ended(connection: sqlite3.Connection) -> LastEnded:
    """Return the numbers that must not be used again."""
    row = connection.execute("SELECT last_id, last_epoch FROM ended").fetchone()
    return LastEnded() if row is None else LastEnded(*row)
