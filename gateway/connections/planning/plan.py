"""Plan: the settings that the facts call for, each with its reason in words. A pure function of frozen values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from gateway.connections.overload.measures import SHED_FIRST, ShedGroup
from gateway.connections.planning.context import Context
from gateway.connections.planning.knob import Measure
from gateway.connections.planning.rules.chunk_sizes import chunk_sizes
from gateway.connections.planning.rules.flush_windows import flush_windows
from gateway.connections.planning.rules.heartbeats import heartbeats
from gateway.connections.planning.rules.keyframes_ahead import keyframes_ahead
from gateway.connections.planning.rules.lower_views import lower_views
from gateway.connections.planning.rules.moves import Move, moves
from gateway.connections.planning.rules.paces import paces
from gateway.connections.planning.rules.prefetches import prefetches
from gateway.connections.planning.rules.priorities import priorities
from gateway.connections.planning.rules.routings import Route, routes, routings
from gateway.connections.planning.rules.sender_credits import sender_credits
from gateway.connections.planning.rules.strategies import Strategy, strategies


class PoolPlan(NamedTuple):
    """Order in which connections are given up under pressure."""

    shed_first: tuple[ShedGroup, ...] = SHED_FIRST


@dataclass(frozen=True, slots=True)
class ConnectionManagementPlan:
    """Settings that the facts call for."""

    routes: tuple[Route, ...] = ()
    moves: tuple[Move, ...] = ()
    pool: PoolPlan = field(default_factory=PoolPlan)
    quality: tuple[Measure, ...] = ()
    """Settings that are wanted, each at a site of its own; elsewhere the defaults are."""
    adaptation: tuple[Strategy, ...] = ()
    """Strategy of each workflow whose pattern is clear; other workflows get only what helps in every pattern."""


def plan(context: Context) -> ConnectionManagementPlan:
    """Return the plan for what is known now."""
    adaptation = strategies(context)
    knobs = {strategy.workflow: strategy.knobs for strategy in adaptation}
    measures = (
        *flush_windows(context, knobs),
        *paces(context),
        *lower_views(context),
        *routings(context),
        *heartbeats(context, knobs),
        *priorities(context),
        *sender_credits(context, knobs),
        *prefetches(context),
        *keyframes_ahead(context),
        *chunk_sizes(context),
    )
    return ConnectionManagementPlan(routes(context), tuple(moves(context)), PoolPlan(), measures, adaptation)
