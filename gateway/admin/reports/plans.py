"""Plans as the admin port shows them: settings that are wanted, in force and tried, each with its reason and effect."""

from __future__ import annotations

from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse

from gateway.connections.core import Core
from gateway.connections.planning.knob import Site
from gateway.connections.planning.ledger import Adjustment
from gateway.connections.planning.plan import ConnectionManagementPlan

MAX_SHOWN: Final = 256
"""Settings, members and workflows of one kind that are listed."""


class PlanReport:
    """Handler of requests for the plans.

    Args:
        core: the gateway.
    """

    def __init__(self, core: Core) -> None:
        self._core = core

    async def show(self, request: Request) -> JSONResponse:
        """Answer with the present plan, the settings in force, and the last adjustments."""
        found = self._core.planning.snapshot()
        on_trial = {trial.measure.site for trial in found.connections.trials}
        settings = list(found.connections.settings.items())[:MAX_SHOWN]
        fields: dict[str, Any] = {
            "mode": found.mode,
            "look_s": round(found.spent_s, 6),
            "failures": found.failures,
            "recess_s": round(found.recess_s, 3),
            "prefetch": found.past._asdict(),
            "sent_ahead": found.sent_ahead,
            "plan": _plan(found.plan),
            "settings": [_at(site) | {"value": value, "on_trial": site in on_trial} for site, value in settings],
            "adjustments": [_adjustment(each, found.now_s) for each in found.adjustments],
        }
        return JSONResponse(fields)


def _at(site: Site) -> dict[str, Any]:
    return {"knob": site.knob, "name": site.name}


def _plan(plan: ConnectionManagementPlan) -> dict[str, Any]:
    return {
        "wanted": [
            _at(each.site) | {"value": each.value, "workflow": each.scope, "reason": each.reason}
            for each in plan.quality[:MAX_SHOWN]
        ],
        "routes": [
            {
                "group": route.address,
                "weights": [
                    {"client_id": each.client_id, "weight": round(each.weight, 3)} for each in route.weights[:MAX_SHOWN]
                ],
            }
            for route in plan.routes[:MAX_SHOWN]
        ],
        "moves": [each._asdict() for each in plan.moves[:MAX_SHOWN]],
        "shed_first": plan.pool.shed_first,
        "strategies": [each._asdict() for each in plan.adaptation[:MAX_SHOWN]],
    }


def _adjustment(adjustment: Adjustment, now_s: float) -> dict[str, Any]:
    return _at(adjustment.site) | {
        "number": adjustment.number,
        "workflow": adjustment.scope,
        "before": adjustment.before,
        "value": adjustment.value,
        "reason": adjustment.reason,
        "verdict": adjustment.verdict,
        "effect": adjustment.words,
        "cost_before_s": round(adjustment.cost_before.mean_s, 6),
        "cost_after_s": round(adjustment.cost_after.mean_s, 6),
        "age_s": round(now_s - adjustment.judged_s, 3),
    }
