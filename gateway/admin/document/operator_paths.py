"""Operator paths: the part of the OpenAPI document about what an operator reads and orders beside numbers and lists."""

from __future__ import annotations

from typing import Final

from gateway.admin.commands.dead_letters import MAX_SHOWN as MAX_LETTERS
from gateway.admin.commands.dead_letters import SHOWN as LETTERS
from gateway.admin.commands.log import MAX_CONTAINS_CHARS, SHOWN, Level
from gateway.admin.document.path_parts import NEXT, PAGING, PATTERN, failures_of, get, json_content, query
from gateway.admin.document.schema_parts import INTEGER, MEASURED, NUMBER, TEXT, Node, object_of, ref_to
from gateway.admin.log_ring import LINES
from gateway.admin.reports.tasks import MAX_SHOWN

_LEVEL: Final[Node] = {"type": "string", "enum": [level.value for level in Level]}
_LINE: Final = object_of(
    seq=INTEGER | {"description": "Number of the line: the first since the start is 1."},
    time_s=NUMBER | {"description": "Unix time."},
    level=_LEVEL,
    logger=TEXT,
    text=TEXT | {"description": "Its text, with a traceback if it has one; the middle of a long one is cut out."},
)

_CONSUMER: Final = object_of(
    client_id=TEXT,
    peer={"type": ["integer", "null"], "description": "Its connection; null: it is away, and waited for."},
    away_s=MEASURED | {"description": "Time since it was lost; null: it is connected."},
    in_flight=INTEGER | {"description": "Messages and record batches that were sent to it and not acknowledged."},
    waiting=INTEGER | {"description": "Those that are still to be sent to it, or sent again."},
    oldest_s=MEASURED | {"description": "Time since its publisher published the oldest of both; null: there is none."},
    delivered=INTEGER | {"description": "Messages delivered, each counted once."},
    redelivered=INTEGER | {"description": "Messages delivered once more."},
    expired=INTEGER | {"description": "Messages whose deadline passed before they were delivered."},
    dropped=INTEGER | {"description": "Messages that it did not process, and never will."},
    dead_lettered=INTEGER | {"description": "Those of them that became dead letters."},
)
_LETTERS: Final = object_of(
    stream=TEXT, messages=INTEGER | {"description": "Messages that are held: those of longer ago may be gone."}
)
_TASKS: Final = object_of(
    id=INTEGER,
    name=TEXT,
    kind=ref_to("Kind"),
    published=INTEGER | {"description": "Messages published so far."},
    pending=INTEGER | {"description": "Messages and record batches not acknowledged, counted for each consumer."},
    unacknowledged_bytes=INTEGER | {"description": "Memory that they take."},
    delivered=INTEGER | {"description": "Messages delivered for the first time, counted for each consumer."},
    redelivered=INTEGER,
    expired=INTEGER,
    dead_lettered=INTEGER,
    present=INTEGER | {"description": "Consumers that are connected."},
    absent=INTEGER | {"description": "Consumers that are away, and waited for."},
    dead_letters=_LETTERS | {"type": ["object", "null"], "description": "Its dead letters; null: there is none."},
    consumers={
        "type": "array",
        "items": _CONSUMER,
        "description": f"Consumers, the {MAX_SHOWN} with the most messages before them at the most.",
    },
)
_WORDS: Final[Node] = {"type": ["string", "null"]}
_DEAD_LETTER: Final = object_of(
    stream=TEXT | {"description": "Stream of the dead letter."},
    offset=INTEGER | {"description": "Its offset there."},
    time_s=NUMBER | {"description": "Unix time at which it was given up."},
    origin=_WORDS | {"description": "Stream from which it comes."},
    origin_offset=MEASURED | {"description": "Its offset there."},
    client_id=_WORDS | {"description": "Receiver that has not processed it."},
    tries=MEASURED | {"description": "Deliveries that were in vain."},
    reason=_WORDS,
    records=MEASURED | {"description": "Messages that it holds, in the first dimension; null: it is one."},
    undecodable=_WORDS | {"description": "Reason for which its payload cannot be decoded; null: it can be."},
    tensors={"type": "array", "items": ref_to("Tensor")},
    resent_s=MEASURED | {"description": "Unix time at which it was sent again; null: it was not, since the start."},
)

OPERATOR_PATHS: Final[Node] = {
    "/api/v1/tasks": get(
        "listTasks",
        "List of the streams whose messages are acknowledged, with their consumers",
        json_content(object_of(streams={"type": "array", "items": _TASKS}, next=NEXT)),
        PATTERN,
        *PAGING,
        failures=(400,),
    ),
    "/api/v1/dead-letters": get(
        "listDeadLetters",
        "List of the newest dead letters: messages that no consumer has processed",
        json_content(
            object_of(
                dead_letters={
                    "type": "array",
                    "items": _DEAD_LETTER,
                    "description": "Stream by stream, of each the newest first.",
                },
                streams={"type": "array", "items": _LETTERS, "description": "Streams of dead letters."},
            )
        ),
        PATTERN,
        query("limit", "Most letters.", {"type": "integer", "minimum": 1, "maximum": MAX_LETTERS, "default": LETTERS}),
        failures=(400,),
    ),
    "/api/v1/dead-letters/resend": {
        "post": {
            "operationId": "resendDeadLetter",
            "summary": "Publish the message of a dead letter again, to the stream from which it comes",
            "description": (
                "With the headers of the message; of a record batch all records, each as a message. The letter stays. "
                "Until the gateway stops it knows that the letter was sent again, and does not send it twice."
            ),
            "requestBody": {
                "required": True,
                "content": json_content(object_of(stream=TEXT, offset=INTEGER) | {"additionalProperties": False}),
            },
            "responses": {
                "200": {
                    "description": "Sent again.",
                    "content": json_content(
                        object_of(
                            stream=TEXT | {"description": "Stream from which it comes."},
                            messages=INTEGER | {"description": "Messages that were published."},
                            time_s=NUMBER | {"description": "Unix time at which they were."},
                            already={"type": "boolean", "description": "Whether an earlier request has done it."},
                        )
                    ),
                },
                **failures_of(400, 401, 403, 404, 408, 409, 415, 422, 429, 502, 503),
            },
        }
    },
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
                **failures_of(400, 408, 415),
            },
        },
    },
}
