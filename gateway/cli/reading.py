"""Reading: all that ``frys top`` shows of a gateway at one time, as far as the gateway has it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from gateway.cli.admin_reader import AdminReader
from gateway.cli.exit_code import CommandFailed, ExitCode
from gateway.cli.fields import Fields

ORDERS: Final = ("messages_per_s", "bytes_per_s")
"""Numbers by which streams and workflows are sorted."""


@dataclass(frozen=True, slots=True)
class Reading:
    """Answers of the admin port; ``None`` for a list that this gateway does not have."""

    summary: Fields
    streams: list[Fields] | None
    behind: list[Fields] | None
    """Connections, those first for which most waits."""
    links: list[Fields] | None
    """Connections, those first whose links are worst."""
    workflows: list[Fields] | None
    adjustments: list[Fields] | None
    """Settings that plans have tried, the last one first."""


async def read_gateway(reader: AdminReader, order: str, rows: int) -> Reading:
    """Return a new reading.

    Args:
        reader: reads the admin port.
        order: number by which streams and workflows are sorted, one of :data:`ORDERS`.
        rows: length of each list.

    Raises:
        CommandFailed: ``CANNOT_CONNECT``, nobody answers; ``REFUSED``, there is no admin port of a gateway.
    """
    refusals: list[CommandFailed] = []

    async def read(path: str) -> Fields:
        try:
            return Fields(await reader.read(path))
        except CommandFailed as error:
            if error.code is not ExitCode.REFUSED:
                raise
            refusals.append(error)
            return Fields(None)

    async def listed(path: str, name: str) -> list[Fields] | None:
        found = await read(path)
        return found.list(name) if found else None

    def first_by(name: str, query: str) -> Awaitable[list[Fields] | None]:
        return listed(f"/api/v1/{name}?{query}&limit={rows}", name)

    reading = Reading(
        summary=await read("/api/v1/summary"),
        streams=await first_by("streams", f"sort={order}"),
        behind=await first_by("connections", "sort=waiting_bytes"),
        links=await first_by("connections", "sort=score"),
        workflows=await first_by("workflows", f"sort={order}&edges=0"),
        adjustments=await listed("/api/v1/plans", "adjustments"),
    )
    lists = (reading.streams, reading.behind, reading.workflows)
    if not reading.summary and all(each is None for each in lists):
        refusals.append(CommandFailed(ExitCode.REFUSED, f"{reader.url}: this is no admin port of a gateway"))
        raise refusals[0]
    return reading


def growth_per_s(now: Reading, before: Reading | None, count: Callable[[Fields], float]) -> float | None:
    """Return the rate at which a count of the summary grows; ``None`` if it is not known.

    Args:
        now: the newest reading.
        before: an earlier one; ``None``: there is none.
        count: returns the count of a summary.
    """
    if before is None:
        return None
    at_s, then_s = now.summary.number("time_s"), before.summary.number("time_s")
    if at_s is None or then_s is None or at_s <= then_s:
        return None  # another gateway, or one that was restarted
    grown = count(now.summary) - count(before.summary)
    return grown / (at_s - then_s) if grown >= 0 else None
