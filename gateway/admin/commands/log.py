"""Log over HTTP: ``GET /api/v1/log`` has the last lines, ``PUT /api/v1/log/level`` sets the lowest level."""

from __future__ import annotations

import asyncio
import enum
import logging
from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse

from gateway.admin.commands.command_body import command_body
from gateway.admin.http.query import check_names, choice_of, integer_of
from gateway.admin.log_ring import LINES, LogLine, LogRing
from gateway.errors import Code, RequestRefused

SHOWN: Final = 200
"""Lines of an answer, unless another number is asked for."""

MAX_SEQ: Final = 2**53
MAX_CONTAINS_CHARS: Final = 200

LINES_A_STEP: Final = 100
"""Lines that are searched before the loop turns: 1.3 ms if they are as long as may be (2,000 took 25 ms)."""


class Level(enum.StrEnum):
    """Level of a log line."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"

    @property
    def number(self) -> int:
        """The level by its number in ``logging``."""
        return logging.getLevelNamesMapping()[self.upper()]

    @classmethod
    def of(cls, number: int) -> Level:
        """Return the level of a number, of one between two levels the lower one."""
        return next((level for level in reversed(cls) if level.number <= number), cls.DEBUG)


class LogView:
    """Handler of requests for the log.

    Args:
        ring: has the last lines.
    """

    def __init__(self, ring: LogRing) -> None:
        self._ring = ring

    async def lines(self, request: Request) -> JSONResponse:
        """Answer with the lines behind ``after``, the oldest first; without it, with the last ones.

        Past the newest line there is nothing to go on from, as when the gateway has begun anew: the last ones again.

        Raises:
            RequestRefused: ``INVALID_REQUEST``.
        """
        check_names(request, "after", "level", "contains", "limit")
        after = integer_of(request, "after", 0, most=MAX_SEQ)
        limit = integer_of(request, "limit", SHOWN, least=1, most=LINES)
        least = (choice_of(request, "level", Level) or Level.DEBUG).number
        part = request.query_params.get("contains", "").casefold()
        if len(part) > MAX_CONTAINS_CHARS:
            problem = f"contains has {len(part)} characters: {MAX_CONTAINS_CHARS} are allowed"
            raise RequestRefused(Code.INVALID_REQUEST, problem)
        is_continued = "after" in request.query_params and after <= self._ring.last
        kept = self._ring.since(after if is_continued else 0)
        found = await _with(part, [line for line in kept if line.level >= least])
        shown = found[:limit] if is_continued else found[-limit:]
        following = kept[-1].seq if kept else self._ring.last
        if is_continued and len(found) > limit:
            following = shown[-1].seq
        missed = kept[0].seq - after - 1 if is_continued and kept else 0
        return JSONResponse({"lines": [_fields(line) for line in shown], "next": following, "missed": missed})

    async def level(self, request: Request) -> JSONResponse:
        """Set the lowest level if the method is PUT, and answer with it.

        Raises:
            HTTPException: the content type is not JSON, which no page of another site can send.
            RequestRefused: ``INVALID_REQUEST``.
        """
        check_names(request)
        if request.method == "PUT":
            level = (await command_body(request, "level", ("level",))).text_or_none("level")
            if level is None or level not in list(Level):
                problem = f"level={level!r}: it is one of {', '.join(Level)}"
                raise RequestRefused(Code.INVALID_REQUEST, problem)
            self._ring.log_level = Level(level).number
        return JSONResponse({"level": Level.of(self._ring.log_level).value})


async def _with(part: str, lines: list[LogLine]) -> list[LogLine]:
    """Return the lines that have a text, given in small letters, in theirs or in the name of their logger."""
    if not part:
        return lines
    found: list[LogLine] = []
    for index, line in enumerate(lines, start=1):
        if part in f"{line.logger} {line.text}".casefold():
            found.append(line)
        if not index % LINES_A_STEP:
            await asyncio.sleep(0)
    return found


def _fields(line: LogLine) -> dict[str, object]:
    return {**line._asdict(), "time_s": round(line.time_s, 3), "level": Level.of(line.level).value}
