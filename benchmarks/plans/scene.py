"""Scenes: six workloads, one for each pattern of collaboration, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

MBIT: Final = 1_000_000 / 8


@dataclass(frozen=True, slots=True)
class Publish:
    """Client that publishes at a rate."""

    name: str
    stream: str
    kind: str
    size_bytes: int
    rate_hz: float
    burst_hz: float = 0.0
    """Rate in a tenth of the time."""
    offset_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Receive:
    """Client that subscribes."""

    name: str
    patterns: tuple[str, ...]
    work_s: float = 0.0
    """Time that it takes for each event."""


@dataclass(frozen=True, slots=True)
class Ask:
    """Client that sends requests."""

    name: str
    address: str
    size_bytes: int
    rate_hz: float
    burst_hz: float = 0.0


@dataclass(frozen=True, slots=True)
class Work:
    """Client that answers the requests of a group, one after the other."""

    name: str
    group: str
    service_s: float
    reply_bytes: int


Program = Publish | Receive | Ask | Work


@dataclass(frozen=True, slots=True)
class Shape:
    """Link of a place."""

    bytes_per_s: float
    """Rate to the clients; 0: loopback."""


LOCAL: Final = Shape(0.0)


@dataclass(frozen=True, slots=True)
class Place:
    """Process of clients behind one link."""

    name: str
    shape: Shape
    programs: tuple[Program, ...]


@dataclass(frozen=True, slots=True)
class Scene:
    """Workload."""

    name: str
    places: tuple[Place, ...]
    knobs: tuple[str, ...]
    """Fixed settings that are tried: names of :data:`FIXED`."""


def programs_to_json(programs: tuple[Program, ...]) -> list[dict[str, Any]]:
    """Return programs as values of JSON."""
    return [{"type": type(program).__name__, **asdict(program)} for program in programs]


def programs_from_json(values: list[dict[str, Any]]) -> list[Program]:
    """Return the programs of values of JSON."""
    types = {"Publish": Publish, "Receive": Receive, "Ask": Ask, "Work": Work}
    return [
        types[value["type"]](
            **{key: tuple(v) if isinstance(v, list) else v for key, v in value.items() if key != "type"}
        )
        for value in values
    ]


FIXED: Final[Mapping[str, Mapping[str, Any]]] = {
    "defaults": {},
    "window 1 ms": {"window_s": 0.001},
    "window 5 ms": {"window_s": 0.005},
    "paced": {"paced": True},
    "paced, 5 ms": {"paced": True, "window_s": 0.005},
    "weights 4": {"weight": 4.0},
    "weights 16": {"weight": 16.0},
}
"""Settings that stay the same for all of a run. A weight is that of members whose names begin with ``far``."""


def _viewers(prefix: str, count: int, *patterns: str) -> tuple[Receive, ...]:
    return tuple([Receive(f"{prefix}-{number}", patterns) for number in range(count)])


BROADCAST: Final = Scene(
    "broadcast",
    (
        Place(
            "trainer",
            LOCAL,
            (
                Publish("trainer", "b/weights", "state", 20_000, 30, 60),
                Publish("logger", "b/loss", "event", 200, 20, 100),
            ),
        ),
        Place("near", LOCAL, _viewers("near", 8, "b/*")),
        Place("far2", Shape(2 * MBIT), _viewers("far2", 1, "b/*")),
        Place("far4", Shape(4 * MBIT), _viewers("far4", 1, "b/*")),
    ),
    ("defaults", "window 5 ms", "paced", "paced, 5 ms"),
)

FAN_IN: Final = Scene(
    "fan_in",
    (
        Place(
            "agents",
            LOCAL,
            tuple(
                [Publish(f"agent-{n}", f"f/state-{n}", "state", 4_000, 20, 40, offset_s=n / 160) for n in range(8)]
                + [Publish(f"logger-{n}", f"f/log-{n}", "event", 200, 10, 50, offset_s=n / 80) for n in range(8)]
            ),
        ),
        Place("near", LOCAL, _viewers("near", 1, "f/*")),
        Place("far2", Shape(2 * MBIT), _viewers("far2", 1, "f/*")),
    ),
    ("defaults", "window 5 ms", "paced"),
)

PIPELINE: Final = Scene(
    "pipeline",
    (
        Place(
            "stages",
            LOCAL,
            (
                Publish("first", "p/raw", "event", 2_000, 100, 200),
                Receive("second", ("p/raw",)),
                Publish("second-out", "p/frames", "state", 30_000, 20, 40),
            ),
        ),
        Place("far4", Shape(4 * MBIT), (Receive("third", ("p/frames", "p/marks")),)),
        Place("marks", LOCAL, (Publish("marker", "p/marks", "event", 300, 20, 60),)),
    ),
    ("defaults", "window 5 ms", "paced"),
)

REQUEST_REPLY: Final = Scene(
    "request_reply",
    (
        Place("asker", LOCAL, (Ask("asker", "group:workers", 1_000, 80, 140),)),
        Place(
            "workers",
            LOCAL,
            (Work("near-0", "workers", 0.01, 1_000), Work("near-1", "workers", 0.01, 1_000)),
        ),
        Place("far", Shape(2 * MBIT), (Work("far-0", "workers", 0.04, 1_000),)),
    ),
    ("defaults", "weights 4", "weights 16"),
)

MESH: Final = Scene(
    "mesh",
    (
        Place(
            "peers",
            LOCAL,
            tuple(
                [Publish(f"peer-{n}", f"m/at-{n}", "state", 3_000, 20, 40, offset_s=n / 120) for n in range(6)]
                + [Publish(f"talker-{n}", f"m/say-{n}", "event", 200, 10, 40, offset_s=n / 60) for n in range(6)]
                + list(_viewers("near", 4, "m/*"))
            ),
        ),
        Place("far2", Shape(2 * MBIT), _viewers("far2", 2, "m/*")),
    ),
    ("defaults", "window 5 ms", "paced"),
)

BURSTS: Final = Scene(
    "idle with bursts",
    (
        Place(
            "source",
            LOCAL,
            (
                # Not on the second: the bursts begin there, and one that begins a moment later would be missed.
                Publish("source", "i/frame", "state", 20_000, 1, 60, offset_s=0.3),
                Publish("alarm", "i/alarm", "event", 200, 2, 60, offset_s=0.2),
            ),
        ),
        Place("near", LOCAL, _viewers("near", 2, "i/*")),
        Place("far2", Shape(2 * MBIT), _viewers("far2", 1, "i/*")),
    ),
    ("defaults", "window 5 ms", "paced"),
)

SCENES: Final = (BROADCAST, FAN_IN, PIPELINE, REQUEST_REPLY, MESH, BURSTS)
