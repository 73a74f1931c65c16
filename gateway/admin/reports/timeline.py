"""Timeline of the admin port: the numbers of the gateway since its start, for charts."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Collection, Generator
from typing import Any, Final, NamedTuple

import numpy as np
from starlette.requests import Request
from starlette.responses import JSONResponse

from gateway.admin.http.query import check_names, integer_of
from gateway.admin.http.steps import in_steps
from gateway.admin.reports.rings import RESOLUTIONS, Rings
from gateway.connections.core import Core
from gateway.connections.latency.latencies import quantiles
from gateway.connections.overload.stage import Stage
from gateway.connections.snapshots import STEP, CoreSnapshot, core_snapshot
from gateway.errors import Code, RequestRefused
from gateway.protocol.messages import ClientType

INTERVAL_S: Final = 1.0
"""Time from one sample to the next, as long as the gateway is small enough for that."""

MAX_SHARE: Final = 0.01
"""Largest share of the loop's time that samples take: a gateway of very many connections is sampled less often."""

_MAX_TIME_S: Final = 2**40

SERIES_TEXTS: Final[dict[str, str]] = {
    "messages_in_per_s": "Messages published.",
    "bytes_in_per_s": "Bytes published, as they were received.",
    "messages_out_per_s": "Messages written to receivers or queued for them, each receiver counted.",
    "bytes_out_per_s": "Bytes of the messages that clients get from each other, as published, each receiver counted.",
    "round_trip_p50_s": "Median of the smoothed round trips of all connections.",
    "round_trip_p99_s": "99th percentile of the same.",
    "latency_p50_s": "Median of the time from the publish of a message until it left for a receiver, by samples.",
    "latency_p99_s": "99th percentile of the same.",
    "loop_lag_max_s": "Largest lag of the event loop.",
    "cpu_share": "CPU time of the process, all threads, in cores.",
    "memory_bytes": "Resident memory of the process.",
    "queued_bytes": "Bytes that wait in outboxes and transports.",
    "overload_stage": "Stage of the measures against overload: 0 normal, 4 connections are closed.",
    **{f"connections_{each.name.lower()}": f"Connections of type `{each.name.lower()}`." for each in ClientType},
}
"""Descriptions of the series."""

_PEAKS: Final = frozenset({"latency_p99_s", "loop_lag_max_s", "round_trip_p99_s", "overload_stage"})


class _Counters(NamedTuple):
    """Counters at the time of a sample, whose growth up to the next one is a rate."""

    at_s: float
    messages_in: int
    bytes_in: int
    messages_out: int
    cpu_s: float


class Timeline:
    """Recorder of the timeline, and handler of requests for it.

    Args:
        core: the gateway.
        in_turn: held while the connections are counted, as by all long answers of the admin port.
        unix_s: the time of the samples.
    """

    def __init__(self, core: Core, in_turn: asyncio.Lock, unix_s: Callable[[], float] = time.time) -> None:
        self._core = core
        self._in_turn = in_turn
        self._unix_s = unix_s
        self._rings = Rings([name in _PEAKS for name in SERIES_TEXTS])
        self._start_s = unix_s()
        self._last: _Counters | None = None
        self._lag_s = 0.0

    def observe_lag(self, lag_s: float) -> None:
        """Take a measurement of the loop's lag."""
        self._lag_s = max(self._lag_s, lag_s)

    async def record(self) -> None:
        """Take samples until the task is cancelled."""
        while True:
            taken_s = await self.sample()
            await asyncio.sleep(max(INTERVAL_S, taken_s / MAX_SHARE))

    async def sample(self) -> float:
        """Take one sample; return the CPU time that it took."""
        async with self._in_turn:
            begun_s = time.thread_time()
            round_trips = await in_steps(_round_trips_s(self._core))
            snapshot = await in_steps(core_snapshot(self._core))
        self._rings.add(self._unix_s(), self._values(snapshot, round_trips))
        return time.thread_time() - begun_s

    async def show(self, request: Request) -> JSONResponse:
        """Answer with the series behind ``since``, in samples of ``interval_s``.

        Raises:
            RequestRefused: ``INVALID_REQUEST``.
        """
        return series_answer(request, self._rings, SERIES_TEXTS, self._start_s, self._unix_s())

    def _values(self, snapshot: CoreSnapshot, round_trips: np.ndarray) -> list[float]:
        core, pressure = self._core, snapshot.overload.pressure
        kinds = snapshot.kinds.values()
        now = _Counters(
            core.clock.monotonic_s(),
            sum([kind.published_messages for kind in kinds]),
            sum([kind.published_bytes for kind in kinds]),
            sum([kind.delivered_messages for kind in kinds]),
            time.process_time(),
        )
        last, self._last = self._last, now
        lag_s, self._lag_s = self._lag_s, 0.0
        round_trip_s = quantiles(round_trips, (0.5, 0.99))
        since_s = now.at_s - INTERVAL_S if last is None else last.at_s
        latency_s = quantiles(core.latency.latencies.since(since_s), (0.5, 0.99))
        values = {
            "messages_in_per_s": _rate(last, now, 1),
            "bytes_in_per_s": _rate(last, now, 2),
            "messages_out_per_s": _rate(last, now, 3),
            "bytes_out_per_s": sum([workflow.graph.bytes_per_s for workflow in core.workflows]),
            "round_trip_p50_s": round_trip_s[0],
            "round_trip_p99_s": round_trip_s[1],
            "latency_p50_s": latency_s[0],
            "latency_p99_s": latency_s[1],
            "loop_lag_max_s": lag_s,
            "cpu_share": _rate(last, now, 4),
            "memory_bytes": pressure.resident_bytes,
            "queued_bytes": snapshot.outbox_bytes + snapshot.transport_bytes,
            "overload_stage": list(Stage).index(snapshot.overload.stage),
            **{f"connections_{each.name.lower()}": snapshot.connections[each] for each in ClientType},
        }
        return [float(values[name]) for name in SERIES_TEXTS]


def series_answer(
    request: Request, rings: Rings, names: Collection[str], start_s: float, now_s: float, least_s: int = 1
) -> JSONResponse:
    """Return the samples behind the parameter ``since``, of the parameter ``interval_s``.

    Args:
        request: the request.
        rings: the samples.
        names: of their columns.
        start_s: Unix time at which they begin.
        now_s: the Unix time.
        least_s: shortest interval that they have.

    Raises:
        RequestRefused: ``INVALID_REQUEST``.
    """
    check_names(request, "since", "interval_s")
    since_s = integer_of(request, "since", 0, most=_MAX_TIME_S)
    known = [interval_s for interval_s, _ in RESOLUTIONS if interval_s >= least_s]
    interval_s = integer_of(request, "interval_s", known[0], most=known[-1])
    if interval_s not in known:
        problem = f"interval_s={interval_s} is not kept: use one of {', '.join(map(str, known))}"
        raise RequestRefused(Code.INVALID_REQUEST, problem)
    sampled = rings.since(since_s, interval_s)
    fields: dict[str, Any] = {
        "start_s": round(start_s, 3),
        "now_s": round(now_s, 3),
        "interval_s": interval_s,
        "times_s": [round(each, 3) for each in sampled.times_s.tolist()],
        "series": {
            name: [_number(each) for each in sampled.values[:, index].tolist()] for index, name in enumerate(names)
        },
    }
    return JSONResponse(fields)


def _round_trips_s(core: Core) -> Generator[None, None, np.ndarray]:
    """Return the smoothed round trips of all connections that have one."""
    found: list[float] = []
    for index, session in enumerate(core.pool, start=1):
        if (round_trip := session.connection.round_trip) is not None:
            found.append(round_trip.smoothed_s)
        if not index % STEP:
            yield
    return np.array(found)


def _rate(last: _Counters | None, now: _Counters, field: int) -> float:
    """Return the growth of a counter a second; NaN: there is nothing before."""
    if last is None or now.at_s <= last.at_s:
        return math.nan
    return (now[field] - last[field]) / (now.at_s - last.at_s)


def _number(value: float) -> float | None:
    """Return a number with as many digits as say something; ``None``: there is none."""
    return None if math.isnan(value) else float(f"{value:.6g}")
