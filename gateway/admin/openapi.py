"""OpenAPI 3.1 document of the admin port, written by hand: the promises of a route are decided, not derived.

But for the summary, which promises the fields of its snapshot.
"""

from __future__ import annotations

import enum
import types
from collections.abc import Collection, Mapping
from typing import Any, Final, get_args, get_origin, get_type_hints

from starlette.requests import Request
from starlette.responses import JSONResponse

from gateway import __version__
from gateway.admin.catalogue import (
    CONNECTION_ORDERS,
    MAX_EDGES,
    MAX_PAGE,
    PAGE,
    STREAM_ORDERS,
    WORKFLOW_ORDERS,
)
from gateway.admin.summary import json_of
from gateway.connections.collaboration.graph import Via
from gateway.connections.collaboration.pattern import GraphPattern
from gateway.connections.links.bottleneck import Bottleneck
from gateway.connections.overload.stage import Stage
from gateway.connections.snapshots import CoreSnapshot
from gateway.connections.socket_counts import TcpInfo
from gateway.protocol.durability import Durability
from gateway.protocol.messages import ClientType, Kind
from gateway.protocol.state import State

Node = dict[str, Any]

_INTEGER: Final[Node] = {"type": "integer", "minimum": 0}
_NUMBER: Final[Node] = {"type": "number", "minimum": 0}
_MEASURED: Final[Node] = {"type": ["number", "null"]}
"""A value that is null as long as it is not known."""
_TEXT: Final[Node] = {"type": "string"}
_STAGE: Final[Node] = {"type": "string", "enum": [stage.label for stage in Stage]}
_SCALARS: Final[Mapping[Any, Node]] = {
    int: {"type": "integer"},
    float: _MEASURED,
    bool: {"type": "boolean"},
    str: _TEXT,
}
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


def _schema_of(kind: Any) -> Node:
    """Return the schema of a snapshot, or of a field of one, by its type."""
    if get_origin(kind) is Mapping:
        return {"type": "object", "additionalProperties": _schema_of(get_args(kind)[1])}
    if isinstance(kind, types.UnionType):
        first, _ = get_args(kind)  # the other one is None
        schema = _schema_of(first)
        return schema | {"type": [schema["type"], "null"]}
    if isinstance(kind, enum.EnumType):
        members: Mapping[str, enum.Enum] = kind.__members__
        return {"type": "string", "enum": [json_of(member) for member in members.values()]}
    if kind in _SCALARS:
        return _SCALARS[kind]
    return _object(**{name: _schema_of(each) for name, each in get_type_hints(kind).items()})


def _order(orders: Collection[str], first: str) -> Node:
    description = f"List of the largest by this number, the largest first, without further pages; {first}."
    return _query("sort", description, {"type": "string", "enum": list(orders)})


_PAGING: Final = (
    _query("after", "`next` of the previous page.", _INTEGER | {"default": 0}),
    _query("limit", "Length of the page.", {"type": "integer", "minimum": 1, "maximum": MAX_PAGE, "default": PAGE}),
)
_NEXT: Final[Node] = {"type": ["integer", "null"], "description": "`after` for the next page; null: no page follows."}

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

_BFLOAT16: Final = (
    "bfloat16, for which `.npy` has no name, is `<V2`, as `np.save` writes it: "
    "`np.load(path).view(ml_dtypes.bfloat16)` reads it."
)

_GET_STREAM: Final[Node] = {
    "operationId": "getState",
    "summary": "The newest message of a state stream as a .npy file",
    "description": f"The body is sent in the pieces in which the gateway holds it. {_BFLOAT16}",
    "parameters": [
        _query("tensor", "Name of the tensor; required if the message has several.", _TEXT),
        {"name": "If-None-Match", "in": "header", "description": "An `etag` of an earlier answer.", "schema": _TEXT},
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
        "304": {"description": "The newest message is the one of the etag."},
        **_failures(400, 404, 409, 422, 502),
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
        _query(
            "kind", "Kind of the stream; absent: the kind that the stream has, `state` for a new one.", _ref("Kind")
        ),
        _query(
            "durability",
            "Failure that the message survives once it is answered: `memory` none, `os` of the gateway, `fsync` of the "
            "machine. Absent: the durability that the stream has, `memory` for a new one.",
            _ref("Durability"),
        ),
    ],
    "requestBody": {"required": True, "content": _NPY},
    "responses": {
        "200": {
            "description": "Published.",
            "content": _json(
                _object(stream=_TEXT, epoch=_INTEGER, offset=_INTEGER, kind=_ref("Kind"), durability=_ref("Durability"))
            ),
        },
        **_failures(400, 401, 403, 408, 409, 413, 422, 429, 503),
    },
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
            "content": _json(_object(deleted={"type": "array", "items": _TEXT})),
        },
        **_failures(400, 401, 403, 404, 429, 503),
    },
}

_RATE: Final[Node] = {
    "type": ["number", "null"],
    "description": "Rate since an earlier list that was sorted by a rate, 0.5 to 60 s ago, whoever has asked for that; "
    "null: there was none, or this list is not sorted by a rate.",
}

_SCHEMAS: Final[Node] = {
    "Kind": {"type": "string", "enum": [kind.value for kind in Kind]},
    "Durability": {"type": "string", "enum": [durability.value for durability in Durability]},
    "Tensor": _object(name=_TEXT, dtype=_TEXT, shape={"type": "array", "items": _INTEGER}),
    "Stream": _object(
        id=_INTEGER,
        name=_TEXT,
        kind=_ref("Kind"),
        epoch=_INTEGER,
        durability=_ref("Durability"),
        first_offset={**_INTEGER, "description": "Offset of the oldest message that can be read again."},
        next_offset=_INTEGER,
        subscribers={
            **_INTEGER,
            "description": "Connections that receive the stream itself; connected consumers, if it is acknowledged.",
        },
        viewers={**_INTEGER, "description": "Receivers of views of the stream, counted for each view."},
        observers={**_INTEGER, "description": "Connections that take an acknowledged stream without acknowledging."},
        consumers={
            **_INTEGER,
            "description": "Clients, connected or not, for which messages are kept until they acknowledge them.",
        },
        pending={
            **_INTEGER,
            "description": "Messages and record batches not yet acknowledged, counted for each consumer.",
        },
        published_bytes=_INTEGER,
        newest={
            "type": ["array", "null"],
            "items": _ref("Tensor"),
            "description": "Tensors of the newest message; null: the stream is empty, or not of kind `state`.",
        },
        messages_per_s=_RATE,
        bytes_per_s=_RATE,
    ),
    "Connection": _object(
        peer=_INTEGER,
        client_id=_TEXT,
        client_type={"type": "string", "enum": [client_type.value for client_type in ClientType]},
        generation=_INTEGER | {"description": "Grows with the time at which the program connected first."},
        agent=_TEXT,
        subprotocol=_TEXT,
        state={"type": "string", "enum": [state.value for state in State]},
        subscriptions=_INTEGER,
        aliases=_INTEGER,
        transfers=_INTEGER,
        asked=_INTEGER | {"description": "Requests of this client that wait for a reply."},
        owed=_INTEGER | {"description": "Requests that wait for a reply of this client."},
        groups={"type": "array", "items": _TEXT},
        lagging={"type": "boolean"},
        waiting_bytes=_INTEGER,
        conflated=_INTEGER,
        client_conflated=_INTEGER | {"description": "States that were delivered and not read: its program is slow."},
        dropped=_INTEGER,
        link=_ref("Link"),
    ),
    "Link": _object(
        score=_NUMBER | {"description": "Quality of the link, 0 to 1, by the formula of the protocol."},
        bottleneck={"type": "string", "enum": [bottleneck.value for bottleneck in Bottleneck]},
        rtt_s=_MEASURED,
        smallest_rtt_s=_MEASURED,
        jitter_s=_MEASURED,
        goodput_bytes_per_s=_MEASURED,
        queue_delay_s=_MEASURED,
        gap_share=_MEASURED,
        conflated_share=_MEASURED,
        decode_s_per_byte=_MEASURED | {"description": "As the client has reported; null: it has not."},
        unread_s=_MEASURED | {"description": "Age of the oldest message that its program has not taken."},
        unread_bytes=_INTEGER,
        tcp={
            "type": ["object", "null"],
            "properties": dict.fromkeys(TcpInfo._fields, _NUMBER) | {"application_limited": {"type": "boolean"}},
            "description": "Counters of the operating system; null: the connection has kept up, or there are none.",
        },
    ),
    "Edge": _object(
        source=_TEXT | {"description": "`client_id` of the sender."},
        target=_TEXT | {"description": "`client_id` of the receiver."},
        via={"type": "string", "enum": [via.value for via in Via]},
        messages_per_s=_NUMBER,
        bytes_per_s=_NUMBER,
    ),
    "Workflow": _object(
        id=_INTEGER,
        name=_TEXT
        | {
            "description": "First segment of the names of its streams; of requests between clients that share no "
            "workflow, their address."
        },
        pattern={
            "type": "string",
            "enum": [pattern.value for pattern in GraphPattern],
            "description": "Shape in which messages go between its clients.",
        },
        confidence={
            "type": "number",
            "minimum": 0,
            "maximum": 1,
            "description": "How clear the pattern is; below 0.5 while another one is ahead that has not stayed so.",
        },
        pattern_s=_NUMBER | {"description": "Seconds for which it has had the pattern."},
        messages_per_s=_NUMBER | {"description": "Rate of all messages, counted for each receiver; halves in 5 s."},
        bytes_per_s=_NUMBER,
        clients=_INTEGER | {"description": "Clients that have an edge."},
        edges={"type": "array", "items": _ref("Edge"), "description": "The heaviest edges, the heaviest first."},
    ),
    "Overload": _object(
        stage=_STAGE | {"description": "Measures that are taken against overload; `normal`: none."},
        stage_s=_NUMBER | {"description": "Seconds for which the gateway has been in the stage."},
        reason=_TEXT | {"description": "What has led to the stage, in words; empty if there was no other before."},
        loop_lag_s=_NUMBER | {"description": "Lag of the event loop that all of its last measurements show."},
        resident_bytes=_INTEGER | {"description": "Memory of the process; 0: the system does not tell it."},
        queued_bytes=_INTEGER | {"description": "Bytes that wait, counted for each receiver."},
        memory_limit_bytes={"type": ["integer", "null"], "description": "Limit of the memory; null: there is none."},
        stages={
            "type": "array",
            "items": _object(
                stage=_STAGE,
                transitions=_INTEGER | {"description": "Number of times that the stage was entered."},
                seconds=_NUMBER | {"description": "Time spent in the stage."},
            ),
        },
    ),
    "Summary": _object(
        version=_TEXT,
        time_s=_NUMBER | {"description": "Time of the gateway's clock, for the rates at which counters grow."},
        **_schema_of(CoreSnapshot)["properties"],
    ),
    "Failure": _object(
        code=_INTEGER | {"description": "Code of section 12.1 of the protocol; below 1000: an HTTP status."},
        error=_TEXT | {"description": "Name of the code."},
        message=_TEXT | {"description": "Reason, with the values that caused it."},
    ),
}

DOCUMENT: Final[Node] = {
    "openapi": "3.1.0",
    "info": {"title": "Frys Gateway, admin port", "version": __version__, "license": {"name": "Apache-2.0"}},
    "paths": {
        "/": _get("showPage", "Page with links to the other paths", {"text/html": {"schema": _TEXT}}),
        "/healthz": _get("isAlive", "Liveness of the gateway", _json(_object(status=_TEXT))),
        "/readyz": _get(
            "isReady", "Readiness for connections; 503 while clients cannot work", _json(_object(status=_TEXT))
        ),
        "/metrics": _get("getMetrics", "Metrics for Prometheus", {"text/plain": {"schema": _TEXT}}),
        "/api/v1/openapi.json": _get("getDocument", "This document", _json({"type": "object"})),
        "/api/v1/summary": _get("getSummary", "Numbers of the whole gateway", _json(_ref("Summary")), failures=(400,)),
        "/api/v1/connections": _get(
            "listConnections",
            "List of the connections",
            _json(_object(connections={"type": "array", "items": _ref("Connection")}, next=_NEXT)),
            _order(CONNECTION_ORDERS, "absent: in the order of their numbers"),
            *_PAGING,
            failures=(400,),
        ),
        "/api/v1/overload": _get("getOverload", "Stage of the measures against overload", _json(_ref("Overload"))),
        "/api/v1/streams": _get(
            "listStreams",
            "List of the streams",
            _json(_object(streams={"type": "array", "items": _ref("Stream")}, next=_NEXT)),
            _query(
                "pattern", "Pattern of stream names, as in SUBSCRIBE; absent: all streams.", _TEXT | {"default": "**"}
            ),
            _order(STREAM_ORDERS, "while rates are not known, by the totals"),
            *_PAGING,
            failures=(400,),
        ),
        "/api/v1/workflows": _get(
            "listWorkflows",
            "List of the workflows with their collaboration graphs",
            _json(_object(workflows={"type": "array", "items": _ref("Workflow")}, next=_NEXT)),
            _query("name", "Name of the only workflow that is wanted.", _TEXT),
            _query(
                "edges",
                "Most edges of each workflow, the heaviest.",
                {"type": "integer", "minimum": 0, "maximum": MAX_EDGES, "default": MAX_EDGES},
            ),
            _order(WORKFLOW_ORDERS, "absent: in the order of their numbers"),
            *_PAGING,
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
        "schemas": _SCHEMAS,
        "responses": {"Failure": {"description": "The reason of the failure.", "content": _json(_ref("Failure"))}},
    },
}
DOCUMENT["paths"]["/readyz"]["get"]["responses"]["503"] = {
    "description": "The gateway is stopping, its store fails, or no client can work with its configuration.",
    "content": _json(_object(status=_TEXT, reason=_TEXT)),
}


async def show_document(request: Request) -> JSONResponse:
    """Answer with the document."""
    return JSONResponse(DOCUMENT)
