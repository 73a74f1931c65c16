"""Knob: a setting that plans may turn at runtime, at one site."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple


class Knob(enum.StrEnum):
    """Setting that plans may turn."""

    FLUSH_WINDOW = "flush_window"
    """Seconds for which delivery classes of a workflow's streams collect small messages; 0: until the end of a turn."""
    PACING = "pacing"
    """1: versions of states leave for a receiver only as it reads those before; 0: as fast as its socket takes them."""
    VIEW = "view"
    """1: a receiver gets the lower views that it has named, in place of those that it asked for; 0: the latter."""
    ROUTING = "routing"
    """1: requests to a group go to the member that is likely to answer first, by measured times; 0: by their number."""
    HEARTBEAT = "heartbeat"
    """1: clients of a workflow that others wait for are asked for signs of life as often as the settings allow, and
    given up as soon as their systems acknowledge nothing; 0: by their type and link."""
    SENDER_CREDIT = "sender_credit"
    """Bytes of events that may wait for a receiver of many senders before publishes of these wait; 0: half of the bound
    of its queue."""
    PRIORITY = "priority"
    """1: small messages of a stream go before those of others to receivers that lag, every other turn; 0: in turn."""
    PREFETCH = "prefetch"
    """1: the tail of a durable stream is in memory for those that join; 0: they read it from the store."""
    CHUNK_SIZE = "chunk_size"
    """Bytes of the chunks of large messages of a stream, as its publisher is advised; 0: those of WELCOME."""
    KEYFRAME_AHEAD = "keyframe_ahead"
    """1: the newest version of a state is encoded before those come that are expected to join; 0: they get it as it was
    published."""


STANDING: Final = frozenset({Knob.HEARTBEAT, Knob.PREFETCH, Knob.KEYFRAME_AHEAD})
"""Knobs that are turned without a trial, because no cost shows their effect: as long as something calls for it."""

OF_WORKFLOWS: Final = frozenset({Knob.FLUSH_WINDOW, Knob.HEARTBEAT})
"""Knobs whose sites are workflows."""

DEFAULTS: Final[Mapping[Knob, float]] = MappingProxyType(dict.fromkeys(Knob, 0.0))
"""Values without a plan."""


class Site(NamedTuple):
    """One knob at one site."""

    knob: Knob
    name: str
    """Workflow of the streams or clients, ``client_id`` of the receiver, address of the group, or a stream."""
    peer: int = 0
    """Connection of the receiver, or of the publisher whose chunks they are; 0 for other knobs."""

    def __str__(self) -> str:
        return f"{self.knob} of {self.name}"


class Measure(NamedTuple):
    """Setting that a plan wants."""

    site: Site
    value: float
    scope: str
    """Workflow whose deliveries it changes: the effects of two changes there could not be told apart."""
    reason: str
    """Values that call for it, in words."""
    precaution: bool = False
    """Whether it is kept unless messages wait longer with it: it is for what is to come, or saves more than waits."""
    objective_s: float | None = None
    """Time for which messages may wait at no cost, which has the price of the CPU time with it; ``None``: none."""
    known_cost_s: float | None = None
    """Cost that is known without measuring it for a while; ``None``: it is measured before the setting is tried."""
