"""Store clock: the time by which stored messages age, and by which their deadlines are judged after a restart."""

from __future__ import annotations

import sqlite3
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

STEP_NS: Final = 100_000_000
"""Difference between the Unix times of two gateways on one machine that is taken for a step of the machine's clock."""


@dataclass(frozen=True, slots=True)
class Machine:
    """Machine that a gateway runs on: a name for its last start, and its clocks."""

    boot_id: str
    """Text that is another after each start of the machine."""
    running_ns: Callable[[], int]
    """Function that returns the time for which it has run: since some moment at or after its start, not suspended."""
    elapsed_ns: Callable[[], int]
    """Function that returns the time since some moment at or after its start, suspended or not."""
    unix_ns: Callable[[], int]
    """Function that returns the gateway's Unix time."""


class StoreClock:
    """Clock of a store's file: begins as Unix time, runs while the machine runs, and never jumps.

    Gateways on one machine continue it exactly, whatever happened to the machine's wall clock meanwhile. After a start
    of the machine it goes on at the last time that the file knows, because the wall clock may be wrong: time in which
    the machine was down does not count.

    Args:
        connection: connection to the file, in a transaction.
        machine: the machine.
    """

    def __init__(self, connection: sqlite3.Connection, machine: Machine) -> None:
        self._running_ns = machine.running_ns
        rows = connection.execute(
            "SELECT since_ns, last_ns, store_offset_ns, unix_offset_ns FROM clocks WHERE boot_id = ? ORDER BY since_ns",
            (machine.boot_id,),
        ).fetchall()
        running_ns = machine.running_ns()
        known_ns = _last_known_ns(connection)
        store_ns = running_ns + rows[-1][2] if rows else (known_ns or machine.unix_ns())
        # The newest message may be from a gateway that did not know this clock.
        store_ns = max(store_ns, known_ns or 0)
        self._offset_ns = store_ns - running_ns
        self._unix_offset_ns = machine.unix_ns() - machine.elapsed_ns()
        self._starts = [since_ns for since_ns, *_ in rows]
        self._unix_offsets = [unix_offset_ns for *_, unix_offset_ns in rows]
        connection.execute("DELETE FROM clocks WHERE boot_id != ?", (machine.boot_id,))
        if not rows or self._offset_ns != rows[-1][2] or abs(self._unix_offset_ns - rows[-1][3]) >= STEP_NS:
            values = (machine.boot_id, store_ns, store_ns, self._offset_ns, self._unix_offset_ns)
            connection.execute("INSERT INTO clocks VALUES (?, ?, ?, ?, ?)", values)
            self._starts.append(store_ns)
            self._unix_offsets.append(self._unix_offset_ns)

    def now_ns(self) -> int:
        """Return the store's time."""
        return self._running_ns() + self._offset_ns

    def stamp(self, connection: sqlite3.Connection) -> None:
        """Note the time: the machine may be started again before the next gateway opens the file."""
        connection.execute("UPDATE clocks SET last_ns = ?", (self.now_ns(),))

    @property
    def stepped(self) -> bool:
        """True if a message may have a deadline by another clock than the gateway's present one."""
        return any(abs(self._unix_offset_ns - offset_ns) >= STEP_NS for offset_ns in self._unix_offsets)

    def shift_ns(self, stored_ns: int) -> int:
        """Return how much later than its publisher wrote a deadline is by the gateway's present clock.

        A gateway's Unix time does not jump, but the one after it may begin at another: the machine's clock was set.
        Deadlines from before the machine's last start are taken as they are, because its clocks cannot be compared.

        Args:
            stored_ns: store time at which the message was stored.
        """
        at = bisect_right(self._starts, stored_ns) - 1
        return 0 if at < 0 else self._unix_offset_ns - self._unix_offsets[at]


def _last_known_ns(connection: sqlite3.Connection) -> int | None:
    """Return the latest time that the file has noted; ``None`` for a new file."""
    newest = "SELECT (SELECT stored_ns FROM messages WHERE stream = id ORDER BY first DESC LIMIT 1) FROM streams"
    times = [row[0] for row in connection.execute(f"{newest} UNION ALL SELECT last_ns FROM clocks")]
    return max((time_ns for time_ns in times if time_ns is not None), default=None)
