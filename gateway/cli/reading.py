"""Reading: all that ``frys top`` shows of a gateway at one time, as far as the gateway has it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

from gateway.cli.admin_reader import AdminReader
from gateway.cli.exit_code import CommandFailed, ExitCode
from gateway.cli.fields import Fields

RANKED_DIGITS: Final = 2
"""Digits of a number by which rows are sorted: one message more in a reading is no reason to change places."""

ORDERS: Final = ("messages_per_s", "bytes_per_s")
"""Numbers by which streams and workflows are sorted."""

Rank: TypeAlias = tuple[float, str]
"""Place of a row: its number, and its name among rows of equal numbers."""


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

    async def first_by(name: str, query: str, rank_of: Callable[[Fields], Rank]) -> list[Fields] | None:
        found = await listed(f"/api/v1/{name}?{query}&limit={rows}", name)
        return None if found is None else sorted(found, key=rank_of)

    def largest(number: str, name: str) -> Callable[[Fields], Rank]:
        return lambda row: rank(row.number(number), row.text(name), -1)

    def by_score(row: Fields) -> Rank:
        return rank(row.fields("link").number("score"), row.text("client_id"))

    reading = Reading(
        summary=await read("/api/v1/summary"),
        streams=await first_by("streams", f"sort={order}", largest(order, "name")),
        behind=await first_by("connections", "sort=waiting_bytes", largest("waiting_bytes", "client_id")),
        links=await first_by("connections", "sort=score", by_score),
        workflows=await first_by("workflows", f"sort={order}&edges=0", largest(order, "name")),
        adjustments=await listed("/api/v1/plans", "adjustments"),
    )
    lists = (reading.streams, reading.behind, reading.workflows)
    if not reading.summary and all(each is None for each in lists):
        refusals.append(CommandFailed(ExitCode.REFUSED, f"{reader.url}: this is no admin port of a gateway"))
        raise refusals[0]
    return reading


def rank(number: float | None, name: str, sign: int = 1) -> Rank:
    """Return the place of a row among others: numbers that hardly differ make no order, names do.

    Args:
        number: number that the gateway has sorted by; ``None``: it is not known, and rows stay in their order.
        name: name of the row.
        sign: -1: the largest number comes first.
    """
    return (0.0, "") if number is None else (sign * float(f"{number:.{RANKED_DIGITS}g}"), name)


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
