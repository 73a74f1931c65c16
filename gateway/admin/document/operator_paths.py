"""Operator paths: the part of the OpenAPI document about what an operator reads and orders beside numbers and lists."""

from __future__ import annotations

from typing import Final

from gateway.admin.commands.log import MAX_CONTAINS_CHARS, SHOWN, Level
from gateway.admin.document.path_parts import failures_of, get, json_content, query
from gateway.admin.document.schema_parts import INTEGER, NUMBER, TEXT, Node, object_of
from gateway.admin.log_ring import LINES

_LEVEL: Final[Node] = {"type": "string", "enum": [level.value for level in Level]}
_LINE: Final = object_of(
    seq=INTEGER | {"description": "Number of the line: the first since the start is 1."},
    time_s=NUMBER | {"description": "Unix time."},
    level=_LEVEL,
    logger=TEXT,
    text=TEXT | {"description": "Its text, with a traceback if it has one; the middle of a long one is cut out."},
)

OPERATOR_PATHS: Final[Node] = {
    "/api/v1/log": get(
        "getLog",
        f"The last lines of the gateway's log, {LINES} at most",
        json_content(
            object_of(
                lines={"type": "array", "items": _LINE, "description": "The oldest first."},
                next=INTEGER | {"description": "`after` for the lines behind these."},
                missed=INTEGER | {"description": "Lines behind `after` that are not kept any more."},
            )
        ),
        query("after", "`next` of an earlier answer, for the lines behind it; absent: the last lines.", INTEGER),
        query("level", "Lowest level.", _LEVEL | {"default": Level.DEBUG.value}),
        query(
            "contains",
            "Part of the text or of the logger's name, in small letters or capitals.",
            TEXT | {"maxLength": MAX_CONTAINS_CHARS},
        ),
        query("limit", "Most lines.", {"type": "integer", "minimum": 1, "maximum": LINES, "default": SHOWN}),
        failures=(400,),
    ),
    "/api/v1/log/level": {
        **get("getLogLevel", "Lowest level that the gateway logs", json_content(object_of(level=_LEVEL))),
        "put": {
            "operationId": "setLogLevel",
            "summary": "Set the lowest level that the gateway logs, on stderr as well, until it stops",
            "requestBody": {"required": True, "content": json_content(object_of(level=_LEVEL))},
            "responses": {
                "200": {"description": "Set.", "content": json_content(object_of(level=_LEVEL))},
                **failures_of(400, 415),
            },
        },
    },
}
