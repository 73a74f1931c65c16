"""View context: parts of the gateway that all views share."""

from __future__ import annotations

from dataclasses import dataclass, field

from gateway.connections.fanout.patch_merger import PatchMerger
from gateway.connections.lagging.lag_changes import LagChanges
from gateway.connections.outbound.connection import Connection
from gateway.connections.ports import Clock, DeliveryPolicy, Workers
from gateway.connections.viewing.view_pace import ViewPace
from gateway.connections.viewing.view_queue import QueuedBytes
from gateway.connections.viewing.view_turns import ViewTurns
from gateway.protocol.limits import Limits
from gateway.streams.large import TransferNumbers


@dataclass(frozen=True, slots=True)
class ViewContext:
    """Parts of the gateway that all views share."""

    clock: Clock
    """Time, for rates."""
    workers: Workers
    """Threads for computing."""
    limits: Limits
    """Bounds on results."""
    transfers: TransferNumbers
    """Numbers for large results."""
    policy: DeliveryPolicy
    """Choice of encodings, for views as for streams; it has to forget a view that ends."""
    merger: PatchMerger
    """Keyframes of versions that came as patches."""
    lag_changes: LagChanges[Connection]
    """Connections that have fallen behind or caught up."""
    max_event_hold_s: float = 0.0
    """Time for which publishers of ``event`` streams wait for a receiver that is behind; 0: they do not wait."""
    turns: ViewTurns = field(default_factory=ViewTurns)
    """Order in which views are computed, a few at a time."""
    pace: ViewPace = field(default_factory=ViewPace)
    """Lowest interval between two versions of a view."""
    queued: QueuedBytes = field(default_factory=QueuedBytes)
    """Events that wait to be computed, of all views."""
