"""Traces of workflows: counts of one window after the other, with the pattern that they show.

Generated ones have every pattern with noise; recorded ones come from real clients
(:mod:`tests.connections.collaboration.recorder`). A third of both is kept out of tuning: whoever changes a threshold of
:mod:`gateway.connections.collaboration.pattern` looks at the others.
"""

from __future__ import annotations

import json
import random
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Final, NamedTuple

from gateway.connections.collaboration.graph import Flow, FlowCounts, Graph, Via, advance
from gateway.connections.collaboration.pattern import IDLE_AFTER_S, GraphPattern
from gateway.connections.collaboration.recognition import Recognition, recognize
from gateway.ids import ClientId

RECORDED: Final = Path(__file__).parent / "recorded"
SEEDS: Final = 24
"""Traces of each pattern."""
WINDOWS: Final = 40
"""Windows of a generated trace."""


class Window(NamedTuple):
    """FlowCounts of one look at a workflow."""

    elapsed_s: float
    counts: FlowCounts
    expected: GraphPattern | None
    """GraphPattern that the workflow has; ``None``: it is just changing."""


@dataclass(frozen=True)
class Trace:
    """Windows of one workflow, in their order."""

    name: str
    windows: tuple[Window, ...]


def recognitions(trace: Trace) -> Iterator[tuple[Window, Recognition]]:
    """Yield each window with what is recognized at its end."""
    graph, recognition, now_s = Graph(), Recognition(), 100.0
    for window in trace.windows:
        now_s += window.elapsed_s
        graph = advance(graph, window.counts, window.elapsed_s)
        recognition = recognize(recognition, graph, now_s)
        yield window, recognition


@dataclass
class Cast:
    """Clients of a workflow and what they send each other: rates in messages a second."""

    rng: random.Random
    streams: list[tuple[str, set[str], float]] = field(default_factory=list)
    requests: list[tuple[str, str, float, int]] = field(default_factory=list)
    """Asker, replier, requests a second and replies to each."""

    def rate(self) -> float:
        """Return a usual rate, about the same for all streams of a cast."""
        return self.rng.uniform(0.7, 1.4)

    @property
    def clients(self) -> list[str]:
        """All clients so far, in the order in which they came."""
        return list(dict.fromkeys(each for source, targets, _ in self.streams for each in (source, *sorted(targets))))


def broadcast(cast: Cast) -> None:
    """Few send to many."""
    rng = cast.rng
    receivers = {f"dashboard-{n}" for n in range(rng.choice((2, 3, 5, 12, 50, 200)))}
    for n in range(rng.choice((1, 1, 1, 2)) if len(receivers) > 6 else 1):
        for _ in range(rng.choice((1, 1, 4))):
            cast.streams.append((f"trainer-{n}", receivers, cast.rate()))


def fan_in(cast: Cast) -> None:
    """Many send to few; what is made of it may be passed on, less often."""
    rng = cast.rng
    sensors = rng.choice((3, 4, 6, 12, 40, 150))
    sinks = {f"sink-{n}" for n in range(rng.choice((1, 1, 1, 2)) if sensors >= 6 else 1)}
    for n in range(sensors):
        cast.streams.append((f"sensor-{n}", sinks, cast.rate()))
    if rng.random() < 0.4:
        cast.streams.append(("sink-0", {"archive"}, cast.rate() * rng.uniform(0.1, 1.0)))


def pipeline(cast: Cast) -> None:
    """Stages pass messages on; some stages have several workers, or pass on less than they get."""
    rng = cast.rng
    stages = [[f"stage-{depth}"] for depth in range(rng.choice((2, 3, 3, 4, 6)))]
    if len(stages) > 3 and rng.random() < 0.3:
        depth = rng.randrange(1, len(stages) - 1)
        stages[depth] = [f"stage-{depth}-{n}" for n in range(2)]
    kept = rng.choice((1.0, 1.0, 0.7, 0.3))
    for depth, (senders, receivers) in enumerate(pairwise(stages)):
        for sender in senders:
            cast.streams.append((sender, set(receivers), cast.rate() * kept**depth))


def request_reply(cast: Cast) -> None:
    """Clients ask one or some others, beside a stream that says how they are."""
    rng = cast.rng
    askers, repliers = rng.choice(((1, 1), (1, 4), (5, 1), (8, 3), (30, 6)))
    for asker in range(askers):
        for replier in range(repliers):
            cast.requests.append((f"asker-{asker}", f"replier-{replier}", cast.rate(), rng.choice((1, 1, 1, 3))))
    if rng.random() < 0.5:
        cast.streams.append(("replier-0", {"asker-0", "board"}, cast.rate() * 0.2))


def request_reply_by_streams(cast: Cast) -> None:
    """One in the middle and its workers answer each other by streams."""
    rng = cast.rng
    for n in range(rng.choice((1, 2, 4, 10))):
        rate = cast.rate()
        cast.streams.append(("middle", {f"worker-{n}"}, rate))
        cast.streams.append((f"worker-{n}", {"middle"}, rate))


def mesh(cast: Cast) -> None:
    """Every one sends to all others, or each to many."""
    rng = cast.rng
    names = [f"peer-{n}" for n in range(rng.choice((3, 4, 6, 10, 40)))]
    degree = len(names) - 1 if rng.random() < 0.6 else max(2, round(0.6 * len(names)))
    for name in names:
        others = [each for each in names if each != name]
        cast.streams.append((name, set(rng.sample(others, degree)), cast.rate() * rng.uniform(0.6, 1.6)))


def idle(cast: Cast) -> None:
    """Hardly a message: one in many minutes, if at all."""
    cast.streams.append(("trainer", {"dashboard-0", "dashboard-1"}, cast.rng.choice((0.0, 0.0, 0.0002))))


MAKERS: Final[tuple[tuple[GraphPattern, Callable[[Cast], None]], ...]] = (
    (GraphPattern.BROADCAST, broadcast),
    (GraphPattern.FAN_IN, fan_in),
    (GraphPattern.PIPELINE, pipeline),
    (GraphPattern.REQUEST_REPLY, request_reply),
    (GraphPattern.REQUEST_REPLY, request_reply_by_streams),
    (GraphPattern.MESH, mesh),
    (GraphPattern.IDLE, idle),
)


def generated(*, held_out: bool) -> Iterator[Trace]:
    """Yield generated traces: of each pattern alone, and of workflows that change from one to another."""
    seeds = [seed for seed in range(SEEDS) if is_held_out(seed) is held_out]
    for pattern, make in MAKERS:
        for seed in seeds:
            rng = random.Random(f"{make.__name__} {seed}")
            cast = _cast(make, rng)
            yield Trace(f"{make.__name__}-{seed}", tuple(_window(cast, rng, pattern) for _ in range(WINDOWS)))
    for seed in seeds:
        rng = random.Random(f"changes {seed}")
        windows: list[Window] = []
        for pattern, make in rng.sample(MAKERS, 3):
            cast = _cast(make, rng, scale=1.0)
            windows += [_window(cast, rng, pattern if n >= SETTLING else None) for n in range(2 * WINDOWS)]
        yield Trace(f"changes-{seed}", tuple(windows))


def is_held_out(number: int) -> bool:
    """Return whether the trace with this number is kept out of tuning: a third of them is."""
    return number % 3 == 2


SETTLING: Final = 36
"""Windows for which a trace is changing: traffic of before decays, and silence has to last."""


def _cast(make: Callable[[Cast], None], rng: random.Random, scale: float | None = None) -> Cast:
    cast = Cast(rng)
    make(cast)
    factor = rng.choice((0.5, 2.0, 20.0, 300.0)) if scale is None else scale
    if make is not idle:
        cast.streams = [(source, targets, rate * factor) for source, targets, rate in cast.streams]
        cast.requests = [(asker, replier, rate * factor, n) for asker, replier, rate, n in cast.requests]
        _add_noise(cast, factor)
    return cast


def _add_noise(cast: Cast, factor: float) -> None:
    """Add clients that watch all streams, and signs of life that are rare beside the messages."""
    rng = cast.rng
    clients = cast.clients
    watched = len({source for source, _, _ in cast.streams}) > 1  # or else the watcher is one of two receivers
    if watched and rng.random() < 0.4:
        cast.streams = [(source, targets | {"watcher"}, rate) for source, targets, rate in cast.streams]
    for _ in range(rng.randrange(3) if len(clients) > 1 else 0):
        source, target = rng.sample(clients, 2)
        cast.streams.append((source, {target}, 0.02 * factor))
    if cast.streams and rng.random() < 0.3:
        cast.requests.append((clients[0], clients[-1], 0.02 * factor, 1))


def _window(cast: Cast, rng: random.Random, expected: GraphPattern | None) -> Window:
    """Return a window with as many messages as chance has it; now and then a client makes a pause."""
    elapsed_s = rng.uniform(0.8, 1.6)
    paused = {each for each in cast.clients if rng.random() < 0.03} if len(cast.clients) > 3 else set()
    flows: defaultdict[tuple[str, str, Via], float] = defaultdict(float)
    for source, targets, rate in cast.streams:
        messages = 0 if source in paused else _poisson(rng, rate * elapsed_s)
        for target in sorted(targets - {source}) if messages else ():
            flows[source, target, Via.STREAM] += messages
    for asker, replier, rate, replies in cast.requests:
        if messages := _poisson(rng, rate * elapsed_s):
            flows[asker, replier, Via.REQUEST] += messages
            flows[replier, asker, Via.REPLY] += messages * replies
    return Window(elapsed_s, _counts((*between, each, each * 400.0) for between, each in flows.items()), expected)


def _counts(rows: Iterator[tuple[str, str, Via | str, float, float]]) -> FlowCounts:
    flows = tuple(
        Flow(ClientId(source), ClientId(target), Via(via), messages, nbytes)
        for source, target, via, messages, nbytes in rows
    )
    return FlowCounts(flows, sum(flow.messages for flow in flows), sum(flow.nbytes for flow in flows))


def _poisson(rng: random.Random, mean: float) -> int:
    """Return a number of messages that come by chance, on average ``mean``."""
    if mean > 50:
        return max(0, round(rng.gauss(mean, mean**0.5)))
    number, left = 0, rng.expovariate(1.0)
    while left < mean:
        number += 1
        left += rng.expovariate(1.0)
    return number


def recorded(*, held_out: bool) -> Iterator[Trace]:
    """Yield the recorded traces; of one that falls silent, windows count once that has lasted."""
    for number, path in enumerate(sorted(RECORDED.glob("*.jsonl"))):
        if is_held_out(number) is not held_out:
            continue
        head, *lines = [json.loads(line) for line in path.read_text().splitlines()]
        pattern = GraphPattern(head["pattern"])
        windows, silent_s = [], 0.0
        for line in lines:
            counts = _counts(iter(line["flows"]))
            silent_s = 0.0 if counts.flows else silent_s + line["s"]
            falling_silent = pattern is GraphPattern.IDLE and silent_s < IDLE_AFTER_S[0]
            windows.append(Window(line["s"], counts, None if falling_silent else pattern))
        yield Trace(path.stem, tuple(windows))
