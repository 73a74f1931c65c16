"""OpenAPI 3.1 document of the admin port, written by hand: the promises of a route are decided, not derived."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse

from gateway import __version__
from gateway.admin.commands.connections import MAX_REASON_BYTES
from gateway.admin.document.operator_paths import OPERATOR_PATHS
from gateway.admin.document.path_parts import NEXT, PAGING, PATTERN, SINCE, failures_of, get, json_content, query
from gateway.admin.document.schema_parts import INTEGER, NUMBER, TEXT, Node, object_of, ref_to
from gateway.admin.document.schemas import SCHEMAS
from gateway.admin.http.request_limit import PROBES
from gateway.admin.http.upgrade import WEBSOCKET_PATH
from gateway.admin.reports.catalogue import (
    CONNECTION_ORDERS,
    MAX_EDGES,
    STREAM_ORDERS,
    WORKFLOW_ORDERS,
)
from gateway.admin.reports.optimizer import MAX_SHOWN, SHOWN
from gateway.admin.reports.rings import RESOLUTIONS

_NPY: Final[Node] = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}


def _order(orders: Collection[str], first: str) -> Node:
    description = f"List of the first by this number, in one page: the largest, but the lowest `score`; {first}."
    return query("sort", description, {"type": "string", "enum": list(orders)})


_STREAM_NAME: Final[Node] = {
    "name": "name",
    "in": "path",
    "required": True,
    "description": "Name of a stream: two or more segments joined by `/`, which needs no escaping in the path.",
    "schema": {
        "type": "string",
        "maxLength": 255,
        "pattern": r"^(?!(.*/)?\.\.?(/|$))[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)+$",
    },
    "example": "wf-42/weights",
}

_FILE_NAME: Final[Node] = {
    "name": "name",
    "in": "path",
    "required": True,
    "description": "Name of the file; `frys.js` is the module that a page imports, and loads the others.",
    "schema": TEXT,
    "example": "frys.js",
}

_ASSET_NAME: Final[Node] = _FILE_NAME | {
    "description": "Name of the file, with the hash of its content.",
    "example": "dashboard-DRU5TBwU.js",
}

_SCOPE: Final[Node] = {
    "name": "scope",
    "in": "path",
    "required": True,
    "description": "Name of a workflow or of a stream.",
    "schema": TEXT,
    "example": "wf-42",
}

_BFLOAT16: Final = (
    "bfloat16, for which `.npy` has no name, is `<V2`, as `np.save` writes it: "
    "`np.load(path).view(ml_dtypes.bfloat16)` reads it."
)

_GET_STREAM: Final[Node] = {
    "operationId": "getState",
    "summary": "The newest message of a state stream as a .npy file",
    "description": f"The body is sent in the pieces in which the gateway holds it. {_BFLOAT16}",
    "parameters": [
        query("tensor", "Name of the tensor; required if the message has several.", TEXT),
        {"name": "If-None-Match", "in": "header", "description": "An `etag` of an earlier answer.", "schema": TEXT},
    ],
    "responses": {
        "200": {
            "description": "The tensor.",
            "headers": {
                "etag": {"description": "Changes with every message.", "schema": TEXT},
                "x-frys-offset": {"description": "Offset of the message.", "schema": INTEGER},
                "x-frys-epoch": {"description": "Epoch of the stream.", "schema": INTEGER},
                "x-frys-dtype": {"description": "dtype by its name in the protocol.", "schema": TEXT},
            },
            "content": _NPY,
        },
        "304": {"description": "The newest message is the one of the etag."},
        **failures_of(400, 404, 409, 422, 502),
    },
}

_PUT_STREAM: Final[Node] = {
    "operationId": "publish",
    "summary": "Publish a .npy file as one message",
    "description": (
        "The file is passed on while it is being uploaded. C order and little-endian only: an array of another layout "
        f"could not be converted before its end. Versions 1 to 3; never pickled objects. {_BFLOAT16}"
    ),
    "parameters": [
        query(
            "kind",
            "Kind of the stream; absent: the kind that the stream has, `state` for a new one.",
            ref_to("Kind"),
        ),
        query(
            "durability",
            "Failure that the message survives once it is answered: `memory` none, `os` of the gateway, `fsync` of the "
            "machine. Absent: the durability that the stream has, `memory` for a new one.",
            ref_to("Durability"),
        ),
        query(
            "header.NAME",
            "Header NAME of the message; a value that is not JSON is a string. There may be several. With headers "
            "the body may be empty: a message without a tensor, such as a command.",
            TEXT,
        ),
    ],
    "requestBody": {"content": _NPY},
    "responses": {
        "200": {
            "description": "Published.",
            "content": json_content(
                object_of(
                    stream=TEXT,
                    epoch=INTEGER,
                    offset=INTEGER,
                    kind=ref_to("Kind"),
                    durability=ref_to("Durability"),
                )
            ),
        },
        **failures_of(400, 401, 403, 408, 409, 413, 422, 429, 503),
    },
}

_DRAIN: Final[Node] = {
    "type": "object",
    "properties": {
        "address": TEXT | {"description": "URL of the gateway to which clients go; absent: they come back to this one."}
    },
    "additionalProperties": False,
}

_DELETE_STREAM: Final[Node] = {
    "operationId": "deleteStream",
    "summary": "Delete a stream, whoever uses it",
    "description": (
        "Everything that is kept of the stream is given up, also in the store. Receivers are told, and the next "
        "publish to the name begins a new stream, with another epoch. The answer comes when the deletion is stored."
    ),
    "responses": {
        "200": {
            "description": "Deleted.",
            "content": json_content(object_of(deleted={"type": "array", "items": TEXT})),
        },
        **failures_of(400, 401, 403, 404, 429, 503),
    },
}

_PEER: Final[Node] = {
    "name": "peer",
    "in": "path",
    "required": True,
    "description": "`peer` of a connection in the list.",
    "schema": INTEGER,
    "example": 7,
}
_REASON: Final = TEXT | {"description": f"Reason that the client is told, of at most {MAX_REASON_BYTES} bytes."}


def _connection_command(operation: str, summary: str, body: dict[str, Node], answer: Node, *failures: int) -> Node:
    status = "200" if operation == "ping" else "202"
    return {
        "operationId": operation,
        "summary": summary,
        "requestBody": {
            "required": True,
            "content": json_content({"type": "object", "properties": body, "additionalProperties": False}),
        },
        "responses": {
            status: {"description": "Done.", "content": json_content(answer)},
            **failures_of(400, 404, 408, 415, *failures),
        },
    }


_TOLD: Final = object_of(
    peer=INTEGER, left_s=NUMBER | {"description": "Time within which the connection is closed, in seconds."}
)
_CONNECTION_COMMANDS: Final[dict[str, Node]] = {
    "ping": _connection_command("ping", "Ping a client, and measure the round trip", {}, object_of(rtt_s=NUMBER), 504),
    "move": _connection_command(
        "move",
        "Tell a client to finish its work and to connect again, here or at another gateway",
        {"address": _DRAIN["properties"]["address"], "reason": _REASON},
        _TOLD,
    ),
    "disconnect": _connection_command(
        "disconnect",
        "Close a connection at once; a client that reconnects by itself comes back",
        {"reason": _REASON},
        _TOLD,
    ),
}

DOCUMENT: Final[Node] = {
    "openapi": "3.1.0",
    "info": {"title": "Frys Gateway, admin port", "version": __version__, "license": {"name": "Apache-2.0"}},
    "paths": {
        "/": get(
            "showPage", "Dashboard; links to the other paths where it was not built", {"text/html": {"schema": TEXT}}
        ),
        "/assets/{name}": {
            "parameters": [_ASSET_NAME],
            **get("getAsset", "File of the dashboard", {"text/javascript": {"schema": TEXT}}, failures=(404,)),
        },
        "/ws": {
            "get": {
                "operationId": "openWebSocket",
                "summary": "WebSocket of the gateway, as on its other port",
                "responses": {"101": {"description": "The WebSocket is open."}, **failures_of(426)},
            }
        },
        "/healthz": get("isAlive", "Liveness of the gateway", json_content(object_of(status=TEXT))),
        "/readyz": get(
            "isReady", "Readiness for connections; 503 while clients cannot work", json_content(object_of(status=TEXT))
        ),
        "/metrics": get("getMetrics", "Metrics for Prometheus", {"text/plain": {"schema": TEXT}}),
        "/client/{name}": {
            "parameters": [_FILE_NAME],
            **get(
                "getClientFile",
                "File of the JavaScript client, where it was built",
                {"text/javascript": {"schema": TEXT}},
                failures=(404,),
            ),
        },
        "/api/v1/openapi.json": get("getDocument", "This document", json_content({"type": "object"})),
        "/api/v1/summary": get(
            "getSummary", "Numbers of the whole gateway", json_content(ref_to("Summary")), failures=(400,)
        ),
        "/api/v1/connections": get(
            "listConnections",
            "List of the connections",
            json_content(object_of(connections={"type": "array", "items": ref_to("Connection")}, next=NEXT)),
            _order(CONNECTION_ORDERS, "absent: in the order of their numbers"),
            *PAGING,
            failures=(400,),
        ),
        **{
            f"/api/v1/connections/{{peer}}/{name}": {"parameters": [_PEER], "post": operation}
            for name, operation in _CONNECTION_COMMANDS.items()
        },
        "/api/v1/presence": get(
            "listScopes",
            "List of the workflows and streams that have members",
            json_content(object_of(scopes={"type": "array", "items": ref_to("Scope")}, next=NEXT)),
            *PAGING,
            failures=(400,),
        ),
        "/api/v1/presence/{scope}": {
            "parameters": [_SCOPE],
            **get(
                "listMembers",
                "List of the members of a workflow or stream; empty if it has none",
                json_content(object_of(members={"type": "array", "items": ref_to("Member")}, next=NEXT)),
                *PAGING,
                failures=(400,),
            ),
        },
        "/api/v1/plans": get("getPlans", "Settings that plans try and keep, and why", json_content(ref_to("Plans"))),
        "/api/v1/drain": {
            **get("getDrain", "Progress of stopping", json_content(ref_to("Drain"))),
            "post": {
                "operationId": "drain",
                "summary": "Stop the gateway, as SIGTERM does",
                "requestBody": {"content": json_content(_DRAIN)},
                "responses": {
                    "202": {"description": "Stopping.", "content": json_content(ref_to("Drain"))},
                    **failures_of(400, 408, 415),
                },
            },
        },
        "/api/v1/optimizer": get(
            "getOptimizer",
            "Counts of the traffic history, with trials and decisions of the busiest streams",
            json_content(ref_to("Optimizer")),
            PATTERN,
            query(
                "limit",
                "Most streams, those of most bytes to their receivers.",
                {"type": "integer", "minimum": 1, "maximum": MAX_SHOWN, "default": SHOWN},
            ),
            failures=(400,),
        ),
        "/api/v1/optimizer/timeline": get(
            "getRegret",
            "Cost of encodings over time, beside the best that are known and the baseline: a day at most",
            json_content(ref_to("RegretTimeline")),
            SINCE,
            query(
                "interval_s",
                "Time of a sample: of 10 s two hours are kept, of 60 s a day.",
                {"type": "integer", "enum": [10, 60], "default": 10},
            ),
            failures=(400,),
        ),
        **OPERATOR_PATHS,
        "/api/v1/overload": get(
            "getOverload", "Stage of the measures against overload", json_content(ref_to("Overload"))
        ),
        "/api/v1/streams": get(
            "listStreams",
            "List of the streams",
            json_content(object_of(streams={"type": "array", "items": ref_to("Stream")}, next=NEXT)),
            PATTERN,
            _order(STREAM_ORDERS, "while rates are not known, by the totals"),
            *PAGING,
            failures=(400,),
        ),
        "/api/v1/timeline": get(
            "getTimeline",
            "Numbers of the gateway over time since its start: a day at most",
            json_content(ref_to("Timeline")),
            SINCE,
            query(
                "interval_s",
                "Time of a sample: of 1 s the last ten minutes are kept, of 10 s two hours, of 60 s a day. A gateway "
                "of very many connections is sampled less often.",
                {"type": "integer", "enum": [interval_s for interval_s, _ in RESOLUTIONS], "default": 1},
            ),
            failures=(400,),
        ),
        "/api/v1/workflows": get(
            "listWorkflows",
            "List of the workflows with their collaboration graphs",
            json_content(object_of(workflows={"type": "array", "items": ref_to("Workflow")}, next=NEXT)),
            query("name", "Name of the only workflow that is wanted.", TEXT),
            query(
                "edges",
                "Most edges of each workflow, the heaviest.",
                {"type": "integer", "minimum": 0, "maximum": MAX_EDGES, "default": MAX_EDGES},
            ),
            _order(WORKFLOW_ORDERS, "absent: in the order of their numbers"),
            *PAGING,
            failures=(400,),
        ),
        "/api/v1/streams/{name}": {
            "parameters": [_STREAM_NAME],
            "get": _GET_STREAM,
            "put": _PUT_STREAM,
            "delete": _DELETE_STREAM,
        },
    },
    "components": {
        "schemas": SCHEMAS,
        "responses": {
            "Failure": {
                "description": "The reason of the failure.",
                "content": {"application/problem+json": {"schema": ref_to("Failure")}},
            }
        },
    },
}
DOCUMENT["paths"]["/readyz"]["get"]["responses"]["503"] = {
    "description": "The gateway is stopping, its store fails, or no client can work with its configuration.",
    "content": json_content(object_of(status=TEXT, reason=TEXT)),
}


def _add_refusals(paths: Node) -> None:
    """Add the failures that any request may have: of another name, of a page from elsewhere, or one too many."""
    for path in paths.keys() - set(PROBES):
        for method in paths[path].keys() & {"get", "put", "post", "delete"}:
            changes = method != "get" or path == WEBSOCKET_PATH
            paths[path][method]["responses"] |= failures_of(*([403] if changes else []), 421, 503)


_add_refusals(DOCUMENT["paths"])


async def show_document(request: Request) -> JSONResponse:
    """Answer with the document."""
    return JSONResponse(DOCUMENT)
