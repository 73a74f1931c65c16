"""The demo from beginning to end: starts its processes, watches them, and leaves none behind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import uvloop

from gateway.demo.board import Board
from gateway.demo.display import Display
from gateway.demo.family import Child, ChildFailed, Family
from gateway.demo.watch import watch


@dataclass(frozen=True, slots=True)
class Plan:
    """What the demo is told."""

    port: int
    """For WebSockets; 0 picks a free one."""
    admin_port: int | None
    """For the admin HTTP API; None leaves it out."""
    other_ports: bool
    """Take free ports where these are in use."""
    seconds: float | None
    """How long it runs; None: until a signal comes."""
    steps_per_s: float
    """Training steps a second."""


@dataclass(frozen=True, slots=True)
class GatewayUrls:
    """Where the demo's gateway is."""

    url: str
    admin_url: str | None


def play(plan: Plan, open_display: Callable[[GatewayUrls], Display]) -> Board:
    """Run the demo.

    Args:
        plan: what it is told.
        open_display: called when everything runs.

    Returns:
        What was seen.

    Raises:
        ChildFailed: a process cannot start or go on.
        FrysError: the gateway refuses.
    """
    board = Board()
    with Family() as family:
        gateway, place = _start_gateway(family, plan)
        trainer = family.start("trainer", url=place.url, steps_per_s=plan.steps_per_s)
        evaluator = family.start("evaluator", url=place.url)
        trainer.hear()
        evaluator.hear()
        display = open_display(place)
        try:
            uvloop.run(watch(place.url, board, display, (gateway, trainer, evaluator), plan.seconds))
        finally:
            display.close()
    return board


def _start_gateway(family: Family, plan: Plan) -> tuple[Child, GatewayUrls]:
    gateway = family.start("gateway", port=plan.port, admin_port=plan.admin_port)
    try:
        found = gateway.hear()
    except ChildFailed as error:
        if not (plan.other_ports and error.details.get("in_use")):
            raise
        gateway = family.start("gateway", port=0, admin_port=None if plan.admin_port is None else 0)
        found = gateway.hear()
    return gateway, GatewayUrls(**found)
