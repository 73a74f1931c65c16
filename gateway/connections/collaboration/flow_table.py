"""Flow table: the traffic of one workflow since the last sweep, in bounded memory."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final, NamedTuple

from gateway.connections.collaboration.graph import PLACES, Flow, FlowCounts, Via
from gateway.ids import ClientId

ROWS: Final = PLACES + PLACES // 2
"""Senders whose flows are counted: of more the heaviest."""

ROW_FLOWS: Final = 3 * PLACES
"""Flows of one sender."""

MAX_FLOWS: Final = 65_536
"""Flows of all workflows together; further ones count only in the sums of their workflow. Some 20 MB."""


class Room:
    """Number of the flows in all tables, and its bound.

    Attributes:
        taken: number of flows.
    """

    __slots__ = ("taken",)

    def __init__(self) -> None:
        self.taken = 0


class _Amount(NamedTuple):
    messages: float
    nbytes: float


class _Row:
    """Flows of one sender."""

    __slots__ = ("amounts", "weight")

    def __init__(self) -> None:
        self.weight = 0.0
        self.amounts: dict[tuple[ClientId, Via], _Amount] = {}


class FlowTable:
    """Traffic of one workflow.

    Args:
        room: room for the flows of all workflows.
    """

    __slots__ = ("_least", "_messages", "_nbytes", "_room", "_rows")

    def __init__(self, room: Room) -> None:
        self._room = room
        self._rows: dict[ClientId, _Row] = {}
        self._messages = 0.0
        self._nbytes = 0.0
        self._least = 0.0
        """At most the weight of the lightest row, once there are as many as there may be."""

    def add(
        self,
        source: ClientId,
        targets: Collection[ClientId],
        via: Via,
        messages: float,
        nbytes: float,
        receivers: int | None = None,
    ) -> None:
        """Count messages.

        Args:
            source: their sender.
            targets: receivers, or some of them.
            via: the way in which they went.
            messages: their number, to each receiver.
            nbytes: their bytes, to each receiver.
            receivers: number of all receivers; ``None``: the targets are all.
        """
        count = len(targets) if receivers is None else receivers
        self._messages += messages * count
        self._nbytes += nbytes * count
        row = self._row_of(source, messages * len(targets))
        if row is None:
            return
        amounts = row.amounts
        for target in targets:
            amount = amounts.get((target, via))
            if amount is not None:
                amounts[target, via] = _Amount(amount.messages + messages, amount.nbytes + nbytes)
            elif len(amounts) < ROW_FLOWS and self._room.taken < MAX_FLOWS:
                self._room.taken += 1
                amounts[target, via] = _Amount(messages, nbytes)

    def take(self) -> FlowCounts:
        """Return what has been counted, and give the room back; the table is not used any more."""
        flows = tuple(
            [
                Flow(source, target, via, *amount)
                for source, row in self._rows.items()
                for (target, via), amount in row.amounts.items()
            ]
        )
        self._room.taken -= len(flows)
        return FlowCounts(flows, self._messages, self._nbytes)

    def _row_of(self, source: ClientId, weight: float) -> _Row | None:
        """Return the row of a sender, in the place of the lightest one if there are too many; ``None``: it is that."""
        row = self._rows.get(source)
        if row is None:
            if len(self._rows) >= ROWS and not self._drop_lighter(weight):
                return None
            row = self._rows[source] = _Row()
        row.weight += weight
        return row

    def _drop_lighter(self, weight: float) -> bool:
        if weight <= self._least:
            return False
        lightest = min(self._rows, key=lambda source: self._rows[source].weight)
        self._least = self._rows[lightest].weight
        if weight <= self._least:
            return False
        self._room.taken -= len(self._rows.pop(lightest).amounts)
        return True
