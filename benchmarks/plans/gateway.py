"""Gateway to measure, with plans or with settings that stay the same: ``python -m benchmarks.plans.gateway``."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import Mapping
from typing import Any, Final

import uvloop

from gateway.app import Gateway
from gateway.config.settings import Settings
from gateway.connections.core import Core
from gateway.connections.core_settings import CoreSettings
from gateway.connections.planning.adjust import SettingChange
from gateway.connections.planning.knob import Knob, Site
from gateway.connections.planning.settings import PlanMode, PlanSettings
from gateway.protocol.names import workflow_of
from gateway.security.settings import SecuritySettings

APPLIED_S: Final = 0.1
"""Interval at which fixed settings are applied to connections and streams that have come."""


async def hold(core: Core, fixed: Mapping[str, Any]) -> None:
    """Keep fixed settings in force everywhere."""
    actuator = core.planning.actuator
    done: set[Site] = set()
    while True:
        await asyncio.sleep(APPLIED_S)
        if fixed.get("window_s"):
            for stream in core.streams:
                site = Site(Knob.FLUSH_WINDOW, workflow_of(stream.name))
                if site not in done:
                    done.add(site)
                    actuator.set(SettingChange(site, fixed["window_s"], "fixed"))
            for _ in actuator.cover(list(core.streams)):
                pass
        if fixed.get("paced"):
            for session in core.pool:
                peer = session.peer
                site = Site(Knob.PACING, peer.client_id, peer.id)
                if site not in done and peer.client_id.startswith(("far", "third")):
                    done.add(site)
                    actuator.set(SettingChange(site, 1.0, "fixed"))
        if fixed.get("weight"):
            weights: dict[int, float] = {
                session.peer.id: fixed["weight"] if session.peer.client_id.startswith("far") else 1.0
                for session in core.pool
            }
            actuator.groups.weights["group:workers"] = weights


def report(core: Core) -> dict[str, Any]:
    """Return the adjustments of the plans."""
    snapshot = core.planning.snapshot()
    return {
        "adjustments": [
            f"{each.site} {each.before:g} -> {each.value:g} {each.verdict}: {each.words} ({each.reason})"
            for each in reversed(snapshot.adjustments)
        ],
        "settings": {str(site): value for site, value in snapshot.connections.settings.items()},
        "spent_ms": snapshot.spent_s * 1e3,
    }


async def main() -> None:
    """Serve until told to stop; then write what the plans have done."""
    task = json.loads(sys.argv[1])
    mode = PlanMode.ON if task["plans"] else PlanMode.OFF
    core = CoreSettings(planning=PlanSettings(mode))
    open_to_all = SecuritySettings(insecure=True)
    gateway = Gateway(
        Settings(host="0.0.0.0", port=0, admin_port=None, drain_deadline_s=1.0, core=core, security=open_to_all)
    )
    await gateway.start()
    print(f"listening on 127.0.0.1:{gateway.port}", flush=True)
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    holding = asyncio.create_task(hold(gateway.core, task["fixed"]))
    await stopped.wait()
    holding.cancel()
    print(json.dumps(report(gateway.core)), flush=True)
    await gateway.stop()


if __name__ == "__main__":
    uvloop.run(main())
