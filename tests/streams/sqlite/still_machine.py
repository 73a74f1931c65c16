"""A machine whose clocks stand still."""

from __future__ import annotations

from gateway.streams.sqlite.store_clock import Machine


def still_machine(boot_id: str, now_ns: int, ahead_ns: int = 0) -> Machine:
    """A machine on which it is always the same time, by every clock; ``ahead_ns``: but for the wall clock."""
    return Machine(boot_id, lambda: now_ns, lambda: now_ns, lambda: now_ns + ahead_ns)
