"""Measurement of one scene with one choice of settings."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Final

from benchmarks.plans.links import shaped
from benchmarks.plans.scene import Publish, Scene, programs_to_json
from benchmarks.processes import VerificationFailed

START_S: Final = 6.0
"""Time in which all processes start."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """Measurements of one run."""

    age_ms: float
    """Mean age of states, over receivers and streams; not a number if there are none."""
    late_ms: float
    """Part of it by which states are older than the newest version at its publisher: nothing makes the rest smaller."""
    worst_age_ms: float
    """Age at the receiver that has the oldest states."""
    p50_ms: float
    p99_ms: float
    """Latency of events, or of requests."""
    report: Mapping[str, Any]
    """Adjustments that the gateway made."""


def measure(scene: Scene, fixed: Mapping[str, Any], *, plans: bool, warm_s: float, seconds: float) -> Outcome:
    """Run a scene once.

    Args:
        scene: the scene.
        fixed: settings that stay.
        plans: whether plans are made.
        warm_s: time before the measurement, in which plans settle.
        seconds: time that is measured.

    Raises:
        VerificationFailed: an event was lost or came out of order, or a receiver did not get the last version.
    """
    with ExitStack() as stack:
        links = [stack.enter_context(shaped(place.shape)) for place in scene.places]
        command = [sys.executable, "-m", "benchmarks.plans.gateway", json.dumps({"plans": plans, "fixed": fixed})]
        server = stack.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        stack.callback(server.kill)
        assert server.stdout is not None
        port = server.stdout.readline().strip().rpartition(":")[2]
        begin_s = time.time() + START_S
        measured_from_s = begin_s + warm_s
        times = {"begin_s": begin_s, "measured_from_s": measured_from_s, "until_s": measured_from_s + seconds}
        children = []
        for place, link in zip(scene.places, links, strict=True):
            child = subprocess.Popen(
                [*link.command, sys.executable, "-m", "benchmarks.plans.program"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            stack.callback(child.kill)
            task = {"url": f"ws://{link.host}:{port}", "programs": programs_to_json(place.programs), **times}
            assert child.stdin is not None
            child.stdin.write(json.dumps(task))
            child.stdin.close()
            child.stdin = None
            children.append(child)
        results = []
        for place, child in zip(scene.places, children, strict=True):
            output, _ = child.communicate(timeout=warm_s + seconds + 60)
            if child.returncode:
                raise VerificationFailed(f"{scene.name}: {place.name} ended with {child.returncode}")
            results.append(json.loads(output))
        server.terminate()
        report = json.loads(server.stdout.readline())
    return outcome_of(scene, results, report)


def outcome_of(scene: Scene, results: list[dict[str, Any]], report: Mapping[str, Any]) -> Outcome:
    """Check the counts, and return the means."""
    faults = [fault for result in results for fault in result["faults"]]
    published = {stream: count for result in results for stream, count in result["published"].items()}
    kinds = {each.stream: each.kind for place in scene.places for each in place.programs if isinstance(each, Publish)}
    for result in results:
        for name, number in (result["received"] | result["last_versions"]).items():
            count = published[name.partition(" ")[2]]
            if number != count - 1:
                faults.append(f"{name}: {number} is the last of {count}")
    if faults or not published.keys() <= kinds.keys():
        raise VerificationFailed(f"{scene.name}: {len(faults)} faults, such as {'; '.join(faults[:5])}")
    ages = [age for result in results for age in result["ages_s"].values()]
    own = {stream: age for result in results for stream, age in result["own_ages_s"].items()}
    late = [age - own[name.partition(" ")[2]] for result in results for name, age in result["ages_s"].items()]
    latencies = sorted([latency for result in results for latency in result["latencies_ms"]])
    return Outcome(
        1e3 * sum(ages) / len(ages) if ages else math.nan,
        1e3 * sum(late) / len(late) if late else math.nan,
        1e3 * max(ages, default=math.nan),
        latencies[len(latencies) // 2],
        latencies[min(len(latencies) - 1, math.ceil(0.99 * len(latencies)) - 1)],
        report,
    )
