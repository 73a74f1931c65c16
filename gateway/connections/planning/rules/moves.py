"""Rule of moves: clients of a workflow belong to the gateway that has most of it, or that has room."""

from __future__ import annotations

from typing import Final, NamedTuple

from gateway.connections.planning.context import Context

MOVE_BUSY: Final = 0.8
MOVE_ROOM: Final = 0.5
"""Shares of the time of a loop from which a gateway gives workflows away, and up to which another one takes them."""


class Move(NamedTuple):
    """Advice that the clients of a workflow connect to another gateway."""

    workflow: str
    address: str
    reason: str


def moves(context: Context) -> list[Move]:
    """Return the workflows whose clients are better served by another gateway."""
    if len(context.gateways) < 2:
        return []
    here, *others = context.gateways
    free = min(others, key=lambda gateway: gateway.busy)
    found = []
    for name, messages_per_s in sorted(here.messages_per_s.items(), key=lambda item: item[1]):
        home = max(others, key=lambda gateway: gateway.messages_per_s.get(name, 0.0))
        there = home.messages_per_s.get(name, 0.0)
        if there > 2 * messages_per_s and home.busy < MOVE_BUSY:
            share = there / (there + messages_per_s)
            found.append(Move(name, home.address, f"{share:.0%} of the messages of {name} are delivered there"))
        elif here.busy >= MOVE_BUSY and free.busy <= MOVE_ROOM and not found:
            found.append(Move(name, free.address, f"busy for {here.busy:.0%} of the time here, {free.busy:.0%} there"))
    return found
