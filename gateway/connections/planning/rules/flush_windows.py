"""Rule of flush windows: small messages are collected where writing them one by one keeps the loop busy.

If all streams of a workflow have a latency objective, that takes no busy loop: messages may wait for half of it at no
cost.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Final

from gateway.connections.planning.context import Context, StreamFacts
from gateway.connections.planning.knob import Knob, Measure, Site

WRITE_S: Final = 8e-6
"""Time of the loop for one write to one receiver: a system call over loopback (November 2026)."""

BUSY: Final = 0.5
CALM: Final = 0.3
"""Shares of the loop's time, as they would be without windows, from which windows pay, and below which they end."""

LEAST_SHARE: Final = 0.1
"""Share of the loop's time that the writes of a workflow take, at least, if a window is to pay."""

LEAST_KEPT: Final = LEAST_SHARE * CALM / BUSY
"""The same if it is to stay."""

COLLECTED: Final = 4
"""Number of writes of which a window is to make one."""

COLLECTED_WITHIN: Final = 2
"""The same where waiting costs nothing, within a latency objective."""

WINDOWS_S: Final = (0.001, 0.002, 0.005)
"""Windows that are tried: the longest one delays less than a frame of a screen takes."""

OBJECTIVE_SHARE: Final = 0.5
"""Part of a latency objective for which messages are collected at most: the rest is for turns of the loop that take
long."""

CPU_PRICE_S: Final = 0.01
"""Price of all of the loop's time, as seconds that messages wait: a tenth of a core is worth a millisecond."""


def flush_windows(context: Context, knobs: Mapping[str, tuple[Knob, ...]]) -> list[Measure]:
    """Return the flush windows of the workflows whose writes keep the loop busy.

    Args:
        context: the facts.
        knobs: knobs that are tried for each workflow whose pattern is clear.
    """
    by_workflow = _streams_by_workflow(context)
    sites = {name: Site(Knob.FLUSH_WINDOW, name) for name in by_workflow}
    saved = {
        name: sum([writing(each) - writing(each, context.setting(sites[name])) for each in streams])
        for name, streams in by_workflow.items()
    }
    unbatched = context.busy + sum(saved.values())
    measures = []
    for name, streams in by_workflow.items():
        site, in_force, objective_s = sites[name], context.setting(sites[name]), _objective_of(streams)
        # Frames cost receivers time too, and within an objective fewer of them cost nothing.
        share = sum([writing(stream) if objective_s is None else one_by_one(stream) for stream in streams])
        if share < (LEAST_KEPT if in_force else LEAST_SHARE):
            continue
        if objective_s is None:
            if Knob.FLUSH_WINDOW not in knobs.get(name, (Knob.FLUSH_WINDOW,) if in_force else ()):
                continue
            if unbatched < (CALM if in_force else BUSY):
                continue
        busiest = max(streams, key=writing)
        fits = 0 < in_force <= _longest_of(objective_s)
        window_s = in_force if fits else _window_of(busiest, objective_s)
        if not window_s:
            continue
        measures.append(
            Measure(
                site,
                window_s,
                name,
                f"the loop would be busy for {min(unbatched, 1.0):.0%} of its time, {min(share, 1.0):.0%} to write"
                f" {sum([each.messages_per_s for each in streams]):.0f} messages/s of {name} to up to"
                f" {busiest.receivers} receivers without a window",
                precaution=objective_s is not None,
                objective_s=objective_s,
            )
        )
    return measures


def windows_of(context: Context) -> list[tuple[Site, float | None]]:
    """Return the sites of windows, each with the latency objective of its workflow."""
    by_workflow = _streams_by_workflow(context)
    return [(Site(Knob.FLUSH_WINDOW, name), _objective_of(streams)) for name, streams in by_workflow.items()]


def window_cost_s(lag_s: float, window_s: float, busy: float, objective_s: float | None) -> float:
    """Return the cost of a window: the time that messages wait, with an objective that beyond it, and a price.

    Args:
        lag_s: mean lag of the loop.
        window_s: the window.
        busy: share of the loop's time that it works.
        objective_s: latency objective of the workflow.
    """
    wait_s = lag_s + window_s
    return wait_s if objective_s is None else max(0.0, wait_s - objective_s) + CPU_PRICE_S * busy


def _streams_by_workflow(context: Context) -> dict[str, list[StreamFacts]]:
    by_workflow = defaultdict[str, list[StreamFacts]](list)
    for stream in context.streams:
        by_workflow[stream.workflow].append(stream)
    return by_workflow


def _objective_of(streams: Iterable[StreamFacts]) -> float | None:
    """Return the shortest latency objective of the streams with receivers; ``None``: one of these has none."""
    objectives = [each.latency_objective_s for each in streams if each.receivers and each.messages_per_s]
    known = [objective for objective in objectives if objective is not None]
    return min(known) if known and len(known) == len(objectives) else None


def writing(stream: StreamFacts, window_s: float = 0.0) -> float:
    """Return the share of the loop's time that writing takes with a flush window; 0: with none."""
    return _writes_per_s(stream, window_s) * stream.receivers * WRITE_S


def one_by_one(stream: StreamFacts) -> float:
    """Return the share of the loop's time that a write of each message would take, also of those of one turn."""
    return stream.messages_per_s * stream.receivers * WRITE_S


def _writes_per_s(stream: StreamFacts, window_s: float) -> float:
    """Return the number of writes to each receiver, by the arrivals if they are known, else as messages come evenly."""
    messages_per_s, arrivals = stream.messages_per_s, stream.arrivals
    if arrivals is None:
        return min(messages_per_s, 1 / window_s) if window_s else messages_per_s
    # The sample may be one of a burst of seconds, which the rate over a look is not.
    return min(messages_per_s, arrivals.rate_per_s) * arrivals.writes_per_s(window_s) / arrivals.rate_per_s


def _longest_of(objective_s: float | None) -> float:
    """Return the longest window that an objective leaves time for."""
    return WINDOWS_S[-1] if objective_s is None else OBJECTIVE_SHARE * objective_s


def _window_of(stream: StreamFacts, objective_s: float | None) -> float:
    """Return the shortest window that makes one write of some; the longest, if it does of two; 0: none does.

    With an objective it is the longest that this leaves time for: what it saves grows with it, and costs nothing.
    """
    if objective_s is not None:
        for window_s in reversed(WINDOWS_S):
            if window_s <= _longest_of(objective_s) and _collected(stream, window_s) >= COLLECTED_WITHIN:
                return window_s
        return 0.0
    for window_s in WINDOWS_S:
        if _collected(stream, window_s) >= COLLECTED:
            return window_s
    return WINDOWS_S[-1] if _collected(stream, WINDOWS_S[-1]) >= 2 else 0.0


def _collected(stream: StreamFacts, window_s: float) -> float:
    """Return the number of writes of which a window makes one."""
    writes_per_s = _writes_per_s(stream, window_s)
    return _writes_per_s(stream, 0.0) / writes_per_s if writes_per_s else 0.0
