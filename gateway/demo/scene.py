"""Scene of the demo: starts its processes, shows their streams, and leaves no process behind."""

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
    """Settings of a demo."""

    port: int
    """Port for WebSockets; 0 picks a free one."""
    admin_port: int | None
    """Port for the admin HTTP API; None leaves it out."""
    replaceable: frozenset[str]
    """Settings, ``port`` and ``admin_port``, in whose place a free port is taken if theirs is in use."""
    seconds: float | None
    """Duration; None: until a signal comes."""
    steps_per_s: float
    """Training steps a second."""


@dataclass(frozen=True, slots=True)
class GatewayUrls:
    """URLs of the demo's gateway."""

    url: str
    admin_url: str | None
    dashboard_url: str | None
    """URL of the page; None: it was not built, or there is no admin port."""


def play(plan: Plan, open_display: Callable[[GatewayUrls], Display]) -> Board:
    """Run the demo.

    Args:
        plan: its settings.
        open_display: called when all processes run.

    Returns:
        The board, with the totals of the demo.

    Raises:
        ChildFailed: a process failed.
        FrysError: the gateway refuses.
    """
    board = Board()
    with Family() as family:
        gateway, urls = _start_gateway(family, plan)
        trainer = family.start("trainer", url=urls.url, steps_per_s=plan.steps_per_s)
        evaluator = family.start("evaluator", url=urls.url)
        trainer.hear()
        evaluator.hear()
        display = open_display(urls)
        try:
            uvloop.run(watch(urls.url, board, display, (gateway, trainer, evaluator), plan.seconds))
        finally:
            display.close()
    return board


def _start_gateway(family: Family, plan: Plan) -> tuple[Child, GatewayUrls]:
    ports = {"port": plan.port, "admin_port": plan.admin_port}
    while True:
        gateway = family.start("gateway", **ports)
        try:
            return gateway, GatewayUrls(**gateway.hear())
        except ChildFailed as error:
            taken = {name for name in error.details.get("in_use", ()) if name in plan.replaceable and ports[name]}
            if not taken:
                raise
            ports |= dict.fromkeys(taken, 0)
