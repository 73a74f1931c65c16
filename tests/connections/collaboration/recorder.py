"""Recorder of traces: counts of a real gateway's sweeps while real clients work with each other.

``python -m tests.connections.collaboration.recorder`` runs the demo, the examples and small programs with the SDK, all
beside each other, for 80 seconds, and writes what the sweeps count of each workflow to a file of ``recorded/``: a line
with the pattern, then a line for each sweep, with its span in seconds and its flows.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import defaultdict
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, NamedTuple

import numpy as np

from gateway.client import Client, View, connect
from gateway.connections.collaboration.graph import FlowCounts
from gateway.connections.collaboration.pattern import GraphPattern
from gateway.demo.family import Family
from gateway.demo.streams import WORKFLOW
from gateway.testing import running_gateway
from tests.connections.collaboration.traces import RECORDED
from tests.layout import ROOT

SECONDS: Final = 80.0
WINDOWS: Final = 24
"""Windows of a trace."""
SILENT_WINDOWS: Final = 60
"""Windows of a trace that falls silent, until its edges are forgotten."""
PAUSE_S: Final = 4.0
"""Pause between two runs of an example."""


Play = Callable[[str], Coroutine[object, object, object]]
"""Clients that work with each other, at the gateway of a URL, until they are cancelled."""


class Scene(NamedTuple):
    """Play that shows a pattern in one workflow."""

    pattern: GraphPattern
    workflow: str
    play: Play


SCENES: Final[dict[str, Scene]] = {}


def scene(pattern: GraphPattern, workflow: str | None = None) -> Callable[[Play], None]:
    """Enter a function as a scene under its name; its workflow has the same name, unless another one is given."""

    def enter(play: Play) -> None:
        SCENES[play.__name__] = Scene(pattern, workflow or play.__name__, play)

    return enter


Role = Callable[[Client], Awaitable[object]]
"""Something that a client does until it is cancelled."""


async def all_of(*plays: Awaitable[object]) -> None:
    """Play beside each other."""
    await asyncio.gather(*plays)


async def cast(url: str, mark: str, **clients: Role | tuple[Role, ...]) -> None:
    """Play clients by their names, each with its roles.

    Args:
        url: URL of the gateway.
        mark: goes before the names, which must differ from those of other scenes.
        clients: roles of each client.
    """

    async def play(name: str, roles: tuple[Role, ...]) -> None:
        panel = "panel" in name
        async with connect(url, client_id=f"{mark}{name}", client_type="admin_panel" if panel else "agent") as client:
            await all_of(*(role(client) for role in roles))

    await all_of(*(play(name, roles if isinstance(roles, tuple) else (roles,)) for name, roles in clients.items()))


def sends(stream: str, rate_per_s: float, size: int = 16, kind: str = "event", seconds: float | None = None) -> Role:
    """Return the role of a publisher; for some seconds only, if these are given."""

    async def play(client: Client) -> None:
        array, left = np.zeros(size, np.float32), None if seconds is None else round(seconds * rate_per_s)
        while left is None or left > 0:
            client.publish_nowait(stream, array, kind=kind)
            left = None if left is None else left - 1
            await asyncio.sleep(1 / rate_per_s)

    return play


def receives(*patterns: str, view: View | None = None) -> Role:
    """Return the role of a receiver."""

    async def play(client: Client) -> None:
        await all_of(*(receive(client, pattern) for pattern in patterns))

    async def receive(client: Client, pattern: str) -> None:
        async with client.subscribe(pattern, view=view) as messages:
            async for _ in messages:
                pass

    return play


def passes_on(source: str, target: str, every: int = 1) -> Role:
    """Return the role of a stage, which publishes what it receives, or each of some messages."""

    async def play(client: Client) -> None:
        count = 0
        async with client.subscribe(source) as messages:
            async for message in messages:
                count += 1
                if not count % every:
                    client.publish_nowait(target, message.tensor, kind="event")

    return play


def replies(group: str | None = None) -> Role:
    """Return the role of a replier."""

    async def play(client: Client) -> None:
        async with client.inbox(group=group) as requests:
            async for request in requests:
                await request.reply(request.tensor)

    return play


def asks(address: str, rate_per_s: float) -> Role:
    """Return the role of an asker."""

    async def play(client: Client) -> None:
        await asyncio.sleep(1.0)  # the replier may come later
        while True:
            await client.request(address, np.zeros(64), timeout_s=10)
            await asyncio.sleep(1 / rate_per_s)

    return play


def many(count: int, name: str, roles: Callable[[int], Role | tuple[Role, ...]]) -> dict[str, Role | tuple[Role, ...]]:
    """Return numbered clients."""
    return {f"{name}{n}": roles(n) for n in range(count)}


async def example(url: str, file: str) -> None:
    """Run an example again and again."""
    while True:
        process = await asyncio.create_subprocess_exec(
            sys.executable, ROOT / "examples" / file, url, stdout=asyncio.subprocess.DEVNULL
        )
        try:
            await process.wait()
        except asyncio.CancelledError:
            process.kill()
            await process.wait()
            raise
        await asyncio.sleep(PAUSE_S)


# Broadcast.


@scene(GraphPattern.BROADCAST)
async def broadcast_weights(url: str) -> None:
    await cast(
        url,
        "bw-",
        trainer=(sends("broadcast_weights/loss", 20), sends("broadcast_weights/weights", 2, 16_384, "state")),
        phone=receives("broadcast_weights/weights", view=View(np.s_[::8], max_rate_hz=1.0)),
        **many(3, "dashboard", lambda n: receives("broadcast_weights/*")),
    )


@scene(GraphPattern.BROADCAST)
async def broadcast_of_two(url: str) -> None:
    await cast(
        url,
        "bt-",
        **many(2, "trainer", lambda n: sends(f"broadcast_of_two/t{n}", 3 + n)),
        **many(8, "dashboard", lambda n: receives("broadcast_of_two/*")),
    )


@scene(GraphPattern.BROADCAST)
async def broadcast_tasks(url: str) -> None:
    stream = "broadcast_tasks/tasks"
    await cast(
        url, "bk-", planner=sends(stream, 4, kind="collaboration"), **many(3, "worker", lambda n: receives(stream))
    )


@scene(GraphPattern.BROADCAST, "example")
async def broadcast_example(url: str) -> None:
    await example(url, "dashboard_view.py")


# Fan-in.


@scene(GraphPattern.FAN_IN)
async def fan_in_sensors(url: str) -> None:
    await cast(
        url,
        "fs-",
        collector=receives("fan_in_sensors/*"),
        **many(7, "sensor", lambda n: sends(f"fan_in_sensors/s{n}", 1 + n)),
    )


@scene(GraphPattern.FAN_IN)
async def fan_in_gradients(url: str) -> None:
    gradients, mean = "fan_in_gradients/gradients", "fan_in_gradients/mean"
    await cast(
        url,
        "fg-",
        server=passes_on(gradients, mean, every=5),
        board=receives(mean),
        **many(5, "worker", lambda n: sends(gradients, 2, 16_384)),
    )


@scene(GraphPattern.FAN_IN)
async def fan_in_short_lived(url: str) -> None:
    async def visitor(number: int) -> None:
        while True:
            async with connect(url, client_id=f"fl-visitor{number}") as client:
                await client.publish("fan_in_short_lived/visits", np.zeros(4), kind="event")
            await asyncio.sleep(0.4)

    await all_of(cast(url, "fl-", collector=receives("fan_in_short_lived/*")), *(visitor(n) for n in range(5)))


@scene(GraphPattern.FAN_IN)
async def fan_in_results(url: str) -> None:
    await cast(
        url,
        "fr-",
        collector=receives("fan_in_results/results"),
        panel=receives("fan_in_results/*"),
        **many(6, "worker", lambda n: sends("fan_in_results/results", 2, kind="collaboration")),
    )


# Pipelines.


@scene(GraphPattern.PIPELINE, WORKFLOW)
async def pipeline_demo(url: str) -> None:
    with Family() as family:
        children = [family.start("trainer", url=url, steps_per_s=5.0), family.start("evaluator", url=url)]
        for child in children:
            await asyncio.to_thread(child.hear)
        await cast(url, "demo-", panel=receives(f"{WORKFLOW}/**"))


@scene(GraphPattern.PIPELINE)
async def pipeline_watched(url: str) -> None:
    name = "pipeline_watched"
    await cast(
        url,
        "pw-",
        camera=sends(f"{name}/frames", 5, 4096),
        detector=passes_on(f"{name}/frames", f"{name}/boxes"),
        tracker=passes_on(f"{name}/boxes", f"{name}/tracks"),
        alarm=receives(f"{name}/tracks"),
        panel=receives(f"{name}/*"),
    )


@scene(GraphPattern.PIPELINE)
async def pipeline_thinned(url: str) -> None:
    name = "pipeline_thinned"
    await cast(
        url,
        "pt-",
        source=sends(f"{name}/raw", 20),
        filter=passes_on(f"{name}/raw", f"{name}/some", every=4),
        model=passes_on(f"{name}/some", f"{name}/result"),
        sink=receives(f"{name}/result"),
    )


@scene(GraphPattern.PIPELINE, "regression")
async def pipeline_example(url: str) -> None:
    await all_of(cast(url, "pe-", watcher=receives("regression/*")), example(url, "training_loop.py"))


# Requests and replies.


@scene(GraphPattern.REQUEST_REPLY, "agent:planner")
async def request_reply_example(url: str) -> None:
    await example(url, "request_reply.py")


@scene(GraphPattern.REQUEST_REPLY, "group:workers")
async def request_reply_group(url: str) -> None:
    await cast(
        url,
        "rg-",
        **many(3, "worker", lambda n: replies("workers")),
        **many(3, "client", lambda n: asks("group:workers", 2 + n)),
    )


@scene(GraphPattern.REQUEST_REPLY)
async def request_reply_beside_streams(url: str) -> None:
    name = "request_reply_beside_streams"
    await cast(
        url,
        "rb-",
        librarian=(replies(), receives(f"{name}/*")),
        **many(3, "agent", lambda n: (asks("agent:rb-librarian", 8), sends(f"{name}/status", 0.5))),
    )


@scene(GraphPattern.REQUEST_REPLY)
async def request_reply_by_streams(url: str) -> None:
    name = "request_reply_by_streams"
    await cast(
        url,
        "rs-",
        server=(sends(f"{name}/weights", 3, 4096), receives(f"{name}/updates")),
        **many(4, "worker", lambda n: passes_on(f"{name}/weights", f"{name}/updates")),
    )


# Meshes.


@scene(GraphPattern.MESH)
async def mesh_of_all(url: str) -> None:
    await cast(url, "ma-", **many(5, "peer", lambda n: (receives("mesh_of_all/*"), sends(f"mesh_of_all/p{n}", 2 + n))))


@scene(GraphPattern.MESH)
async def mesh_of_neighbours(url: str) -> None:
    def roles(number: int) -> tuple[Role, ...]:
        near = [f"mesh_of_neighbours/c{(number + step) % 8}" for step in (1, 2, 6, 7)]
        return receives(*near), sends(f"mesh_of_neighbours/c{number}", 3, kind="state")

    await cast(url, "mn-", **many(8, "cell", roles))


@scene(GraphPattern.MESH)
async def mesh_of_one_stream(url: str) -> None:
    stream = "mesh_of_one_stream/chat"
    await cast(
        url,
        "mo-",
        panel=receives("mesh_of_one_stream/*"),
        **many(4, "peer", lambda n: (receives(stream), sends(stream, 1.5))),
    )


# Silence.


@scene(GraphPattern.IDLE)
async def idle_after_a_broadcast(url: str) -> None:
    stream = "idle_after_a_broadcast/loss"
    await cast(url, "ib-", trainer=sends(stream, 50, seconds=5), **many(2, "dashboard", lambda n: receives(stream)))


@scene(GraphPattern.IDLE)
async def idle_after_fan_in(url: str) -> None:
    await cast(
        url,
        "if-",
        collector=receives("idle_after_fan_in/*"),
        **many(3, "sensor", lambda n: sends(f"idle_after_fan_in/s{n}", 20, seconds=8)),
    )


@scene(GraphPattern.IDLE)
async def idle_after_a_mesh(url: str) -> None:
    await cast(
        url,
        "im-",
        **many(3, "peer", lambda n: (receives("idle_after_a_mesh/*"), sends(f"idle_after_a_mesh/p{n}", 30, seconds=6))),
    )


async def record(names: list[str]) -> dict[str, list[dict[str, Any]]]:
    """Play scenes beside each other; return the lines of each trace."""
    lines: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)

    def keep(workflow: str, elapsed_s: float, counts: FlowCounts) -> None:
        flows = [[*flow[:2], flow.via, round(flow.messages, 2), round(flow.nbytes)] for flow in counts.flows]
        lines[workflow].append({"s": round(elapsed_s, 3), "flows": flows})

    async with running_gateway() as gateway:
        gateway.core.workflows.on_counts = keep
        tasks = [asyncio.create_task(SCENES[name].play(gateway.url)) for name in names]
        done, _ = await asyncio.wait(tasks, timeout=SECONDS, return_when=asyncio.FIRST_EXCEPTION)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for task in done:
            task.result()
    return lines


def main(names: list[str]) -> None:
    """Record scenes and write their traces."""
    RECORDED.mkdir(exist_ok=True)
    lines = asyncio.run(record(names))
    for name in names:
        pattern, workflow, _ = SCENES[name]
        windows = SILENT_WINDOWS if pattern is GraphPattern.IDLE else WINDOWS
        rows = [{"pattern": pattern}, *lines[workflow][:windows]]
        text = "".join(f"{json.dumps(row, separators=(',', ':'))}\n" for row in rows)
        (RECORDED / f"{name}.jsonl").write_text(text)
        print(f"{name}: {len(rows) - 1} windows, {len(text)} bytes")


if __name__ == "__main__":
    main(sys.argv[1:] or list(SCENES))
