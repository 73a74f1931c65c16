"""The OpenAPI 3.1 document of the admin port, written by hand: what a route promises is decided, not derived."""

from __future__ import annotations

from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse

from gateway import __version__
from gateway.admin.catalogue import MAX_PAGE, PAGE
from gateway.protocol.durability import Durability
from gateway.protocol.messages import ClientType, Kind
from gateway.protocol.state import State

Node = dict[str, Any]

_INTEGER: Final[Node] = {"type": "integer", "minimum": 0}
_TEXT: Final[Node] = {"type": "string"}
_NPY: Final[Node] = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}


def _object(**properties: Node) -> Node:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _ref(name: str) -> Node:
    return {"$ref": f"#/components/schemas/{name}"}


def _json(schema: Node) -> Node:
    return {"application/json": {"schema": schema}}


def _failures(*statuses: int) -> Node:
    return {str(status): {"$ref": "#/components/responses/Failure"} for status in statuses}


def _query(name: str, description: str, schema: Node) -> Node:
    return {"name": name, "in": "query", "description": description, "schema": schema}


def _get(operation: str, summary: str, content: Node, *parameters: Node, failures: tuple[int, ...] = ()) -> Node:
    responses = {"200": {"description": "OK", "content": content}, **_failures(*failures)}
    found: Node = {"operationId": operation, "summary": summary, "responses": responses}
    return {"get": found | ({"parameters": list(parameters)} if parameters else {})}


_PAGING: Final = (
    _query("after", "`next` of the page before.", _INTEGER | {"default": 0}),
    _query("limit", "Length of the page.", {"type": "integer", "minimum": 1, "maximum": MAX_PAGE, "default": PAGE}),
)
_NEXT: Final[Node] = {"type": ["integer", "null"], "description": "`after` of the next page; null: this is the last."}

_STREAM_NAME: Final[Node] = {
    "name": "name",
    "in": "path",
    "required": True,
    "description": "A stream's name: two or more segments joined by `/`, which may stand in the path as it is.",
    "schema": {"type": "string", "maxLength": 255, "pattern": r"^[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)+$"},
    "example": "wf-42/weights",
}

_BFLOAT16: Final = (
    "bfloat16, which `.npy` has no name for, is `<V2`, as `np.save` writes it: "
    "`np.load(path).view(ml_dtypes.bfloat16)` reads it."
)

_GET_STREAM: Final[Node] = {
    "operationId": "getState",
    "summary": "The newest message of a state stream as a .npy file",
    "description": f"The body comes in pieces, as the gateway holds it. {_BFLOAT16}",
    "parameters": [
        _query("tensor", "Which tensor, if the message has several.", _TEXT),
        {"name": "If-None-Match", "in": "header", "description": "An `etag` from before.", "schema": _TEXT},
    ],
    "responses": {
        "200": {
            "description": "The tensor.",
            "headers": {
                "etag": {"description": "Changes with every message.", "schema": _TEXT},
                "x-frys-offset": {"description": "Offset of the message.", "schema": _INTEGER},
                "x-frys-epoch": {"description": "Epoch of the stream.", "schema": _INTEGER},
                "x-frys-dtype": {"description": "dtype by its name in the protocol.", "schema": _TEXT},
            },
            "content": _NPY,
        },
        "304": {"description": "Nothing newer than the etag."},
        **_failures(400, 404, 409, 422, 502),
    },
}

_PUT_STREAM: Final[Node] = {
    "operationId": "publish",
    "summary": "Publish a .npy file as one message",
    "description": (
        "The file is passed on while it comes. C order and little-endian only: an array of another layout could not be "
        f"converted before its end. Versions 1 to 3; never pickled objects. {_BFLOAT16}"
    ),
    "parameters": [
        _query("kind", "Kind of the stream; absent: whatever it is, `state` if it is new.", _ref("Kind")),
    ],
    "requestBody": {"required": True, "content": _NPY},
    "responses": {
        "200": {
            "description": "Published.",
            "content": _json(_object(stream=_TEXT, epoch=_INTEGER, offset=_INTEGER, kind=_ref("Kind"))),
        },
        **_failures(400, 401, 403, 408, 409, 413, 422, 429, 503),
    },
}

_SCHEMAS: Final[Node] = {
    "Kind": {"type": "string", "enum": [kind.value for kind in Kind]},
    "Tensor": _object(name=_TEXT, dtype=_TEXT, shape={"type": "array", "items": _INTEGER}),
    "Stream": _object(
        id=_INTEGER,
        name=_TEXT,
        kind=_ref("Kind"),
        epoch=_INTEGER,
        durability={"type": "string", "enum": [durability.value for durability in Durability]},
        first_offset={**_INTEGER, "description": "Of the oldest message that can be read again."},
        next_offset=_INTEGER,
        subscribers={
            **_INTEGER,
            "description": "Connections that receive it as it is; clients that are there, if its kind is acknowledged.",
        },
        viewers={**_INTEGER, "description": "Connections that receive views of it, each view counted."},
        consumers={
            **_INTEGER,
            "description": "Clients that it is kept for until they acknowledge, there or waited for.",
        },
        pending={
            **_INTEGER,
            "description": "Messages and record batches that these have not acknowledged, each consumer counted.",
        },
        published_bytes=_INTEGER,
        newest={
            "type": ["array", "null"],
            "items": _ref("Tensor"),
            "description": "Tensors of the newest message; null: there is none, or its kind keeps none.",
        },
    ),
    "Connection": _object(
        peer=_INTEGER,
        client_id=_TEXT,
        client_type={"type": "string", "enum": [client_type.value for client_type in ClientType]},
        agent=_TEXT,
        subprotocol=_TEXT,
        state={"type": "string", "enum": [state.value for state in State]},
        subscriptions=_INTEGER,
        aliases=_INTEGER,
        transfers=_INTEGER,
        asked=_INTEGER | {"description": "Requests of its own that wait for a reply."},
        owed=_INTEGER | {"description": "Requests that it has to reply to."},
        groups={"type": "array", "items": _TEXT},
        lagging={"type": "boolean"},
        waiting_bytes=_INTEGER,
        conflated=_INTEGER,
        dropped=_INTEGER,
    ),
    "Failure": _object(
        code=_INTEGER | {"description": "Of section 12.1 of the protocol; below 1000: HTTP's own."},
        error=_TEXT | {"description": "The name of the code."},
        message=_TEXT | {"description": "What happened, with the values that caused it."},
    ),
}

DOCUMENT: Final[Node] = {
    "openapi": "3.1.0",
    "info": {"title": "Frys Gateway, admin port", "version": __version__, "license": {"name": "Apache-2.0"}},
    "paths": {
        "/": _get("showPage", "A page with links", {"text/html": {"schema": _TEXT}}),
        "/healthz": _get("isAlive", "Whether the gateway is alive", _json(_object(status=_TEXT))),
        "/readyz": _get(
            "isReady", "Whether it takes connections; 503 while it is stopping", _json(_object(status=_TEXT))
        ),
        "/metrics": _get("getMetrics", "Metrics for Prometheus", {"text/plain": {"schema": _TEXT}}),
        "/api/v1/openapi.json": _get("getDocument", "This document", _json({"type": "object"})),
        "/api/v1/connections": _get(
            "listConnections",
            "Who is connected",
            _json(_object(connections={"type": "array", "items": _ref("Connection")}, next=_NEXT)),
            *_PAGING,
            failures=(400,),
        ),
        "/api/v1/streams": _get(
            "listStreams",
            "What streams there are",
            _json(_object(streams={"type": "array", "items": _ref("Stream")}, next=_NEXT)),
            _query("pattern", "As in SUBSCRIBE; absent: all.", _TEXT | {"default": "**"}),
            *_PAGING,
            failures=(400,),
        ),
        "/api/v1/streams/{name}": {"parameters": [_STREAM_NAME], "get": _GET_STREAM, "put": _PUT_STREAM},
    },
    "components": {
        "schemas": _SCHEMAS,
        "responses": {"Failure": {"description": "What went wrong.", "content": _json(_ref("Failure"))}},
    },
}
DOCUMENT["paths"]["/readyz"]["get"]["responses"]["503"] = {
    "description": "Stopping.",
    "content": _json(_object(status=_TEXT)),
}


async def show_document(request: Request) -> JSONResponse:
    """The document."""
    return JSONResponse(DOCUMENT)
