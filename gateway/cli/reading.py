"""Reading: all that ``frys top`` shows of a gateway at one time, as far as the gateway has it."""

from __future__ import annotations

from collections.abc import Callable
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
    connections: list[Fields] | None
    workflows: list[Fields] | None


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

    async def listed(name: str, query: str) -> list[Fields] | None:
        found = await read(f"/api/v1/{name}?{query}&limit={rows}")
        return found.list(name) if found else None

    reading = Reading(
        summary=await read("/api/v1/summary"),
        streams=await listed("streams", f"sort={order}"),
        connections=await listed("connections", "sort=waiting_bytes"),
        workflows=await listed("workflows", f"sort={order}&edges=0"),
    )
    lists = (reading.streams, reading.connections, reading.workflows)
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
