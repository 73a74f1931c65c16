"""The OpenAPI document: it is one, it says what the routes are, and answers keep to it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest
from starlette.routing import Route

from gateway.admin.application import make_application
from gateway.admin.document.openapi import DOCUMENT
from gateway.admin.http.failures import STATUSES
from gateway.admin.http.request_limit import PROBES
from gateway.admin.http.upgrade import WEBSOCKET_PATH
from gateway.admin.reports.metrics import Metrics
from gateway.app import Gateway
from gateway.client import connect
from gateway.errors import Code
from gateway.protocol.messages import Kind
from tests.admin.files import failure_of, publish, saved
from tests.connections.memory import World

METHODS = {"get", "put", "post", "delete", "options", "head", "patch", "trace"}
TYPES: dict[str, type | tuple[type, ...]] = {
    "object": dict,
    "array": list,
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "null": type(None),
}


def operations() -> Iterator[tuple[str, str, dict[str, Any], list[dict[str, Any]]]]:
    """Path, method, operation, and all its parameters."""
    for path, item in DOCUMENT["paths"].items():
        for method in item.keys() & METHODS:
            yield path, method, item[method], [*item.get("parameters", []), *item[method].get("parameters", [])]


def references(node: object) -> Iterator[str]:
    if isinstance(node, dict):
        if "$ref" in node:
            yield node["$ref"]
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def resolve(reference: str) -> dict[str, Any]:
    node: Any = DOCUMENT
    for step in reference.removeprefix("#/").split("/"):
        node = node[step]
    assert isinstance(node, dict)
    return node


def check(value: object, schema: dict[str, Any]) -> None:
    """Hold a value to the part of JSON Schema that the document uses."""
    if "$ref" in schema:
        check(value, resolve(schema["$ref"]))
        return
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    assert any(isinstance(value, TYPES[kind]) for kind in kinds), f"{value!r} is none of {kinds}"
    assert isinstance(value, bool) <= ("boolean" in kinds)
    if "enum" in schema:
        assert value in schema["enum"]
    if isinstance(value, dict) and "properties" in schema:
        assert value.keys() == schema["properties"].keys() == set(schema["required"])
        for name, item in value.items():
            check(item, schema["properties"][name])
    if isinstance(value, list):
        for item in value:
            check(item, schema["items"])


def check_answer(response: httpx.Response, path: str, method: str = "get") -> None:
    answer = DOCUMENT["paths"][path][method]["responses"][str(response.status_code)]
    if "$ref" in answer:
        answer = resolve(answer["$ref"])
    check(response.json(), answer["content"][response.headers["content-type"].partition(";")[0]]["schema"])


def test_the_document_is_well_formed() -> None:
    assert DOCUMENT["openapi"].startswith("3.1.")
    assert DOCUMENT["info"].keys() >= {"title", "version"}
    for reference in references(DOCUMENT):
        assert resolve(reference)
    ids = [operation["operationId"] for _, _, operation, _ in operations()]
    assert len(ids) == len(set(ids))
    for path, _, operation, parameters in operations():
        assert path.startswith("/")
        in_path = {parameter["name"] for parameter in parameters if parameter["in"] == "path"}
        assert in_path == set(re.findall(r"{(\w+)}", path))
        assert all(parameter["required"] for parameter in parameters if parameter["in"] == "path")
        assert all(parameter.keys() >= {"name", "in", "schema", "description"} for parameter in parameters)
        assert operation["responses"]
        for status, response in operation["responses"].items():
            assert re.fullmatch(r"[1-5]\d\d", status)
            assert "$ref" in response or response["description"]


@pytest.mark.parametrize("name", ["Adjustment", "Drain", "Overload", "Plans", "Summary", "Timeline"])
def test_fields_that_their_names_do_not_explain_are_described(name: str) -> None:
    schema = DOCUMENT["components"]["schemas"][name]
    evident = {"interval_s", "series", "knob", "mode", "draining", "prefetch", "plan", "stages"}
    assert not [
        field for field, node in schema["properties"].items() if "description" not in node and field not in evident
    ]


def test_it_says_what_the_routes_are() -> None:
    world = World()
    routed = {
        (re.sub(r":(path|int)}", "}", route.path), method.lower())
        for route in make_application(world.core, Metrics(world.core)).routes
        if isinstance(route, Route)
        for method in route.methods or ()
        if method != "HEAD"
    }
    assert routed == {(path, method) for path, method, _, _ in operations()}


def test_a_status_that_it_promises_can_happen() -> None:
    promised = {int(status) for _, _, operation, _ in operations() for status in operation["responses"]}
    assert promised <= {101, 200, 202, 304, 408, 415, 421, 426, 504, *STATUSES.values()}


@pytest.mark.parametrize(
    "operation",
    [
        "getState",
        "publish",
        "deleteStream",
        "getSummary",
        "listStreams",
        "listConnections",
        "listWorkflows",
        "listScopes",
        "listMembers",
    ],
)
async def test_it_has_all_parameters_that_an_operation_takes(http: httpx.AsyncClient, operation: str) -> None:
    """Another one is refused, by a message that names those of the document."""
    ((path, method, parameters),) = [
        (path, method, parameters)
        for path, method, node, parameters in operations()
        if node["operationId"] == operation
    ]
    query = [parameter["name"] for parameter in parameters if parameter["in"] == "query"]
    where = path.replace("{name}", "wf/a").replace("{scope}", "wf")
    response = await http.request(method.upper(), where, params={"tensr": "a"})
    rule = f"known are {', '.join(query)}" if query else "it has none"
    problem = f"{method.upper()} of this path has no query parameter 'tensr': {rule}"
    assert failure_of(response, Code.INVALID_REQUEST, 400) == problem


async def test_refusals_of_any_request_keep_to_it(http: httpx.AsyncClient) -> None:
    for path, method, operation, _ in operations():
        where = path.replace("{peer}", "7").replace("{name}", "wf/a").replace("{scope}", "wf")
        if path in PROBES or path == WEBSOCKET_PATH:
            continue
        other = await http.request(method.upper(), where, headers={"host": "elsewhere.example"})
        assert other.status_code == 421
        check_answer(other, path, method)
        assert operation["responses"].keys() >= {"503"}, "one request too many"
        if method != "get":
            foreign = await http.request(method.upper(), where, headers={"origin": "http://elsewhere.example"})
            assert foreign.status_code == 403
            check_answer(foreign, path, method)


async def test_it_is_served(http: httpx.AsyncClient) -> None:
    assert (await http.get("/api/v1/openapi.json")).json() == DOCUMENT


async def test_answers_keep_to_it(gateway: Gateway, http: httpx.AsyncClient) -> None:
    publish(gateway, "wf/a", {"": np.zeros(3)})
    lists = ("/api/v1/streams", "/api/v1/connections", "/api/v1/workflows")
    async with connect(gateway.url, client_type="agent") as client, client.subscribe("wf/b"):
        await client.publish("wf/b", np.zeros(3), kind="event")
        publish(gateway, "wf/b", {"": np.zeros(3)}, Kind.EVENT)
        while not len(gateway.core.workflows):
            gateway.core.workflows.begin_sweep()
            await asyncio.sleep(0)
        for path in ("/healthz", "/readyz", *lists, "/api/v1/summary", "/api/v1/openapi.json"):
            check_answer(await http.get(path), path)
        assert (await http.get("/api/v1/workflows")).json()["workflows"][0]["edges"]
        async with client.presence("wf", metadata={"a": 1}) as presence:
            presence.set_awareness({"cursor": 1})
            check_answer(await http.get("/api/v1/presence"), "/api/v1/presence")
            for scope in ("wf", "none", "wf/**"):
                check_answer(await http.get(f"/api/v1/presence/{scope}"), "/api/v1/presence/{scope}")
        for path in lists:
            check_answer(await http.get(f"{path}?limit=x"), path)
        for path, order in zip(lists, ("bytes_per_s", "waiting_bytes", "messages_per_s"), strict=True):
            answer = await http.get(f"{path}?sort={order}")
            assert answer.status_code == 200
            check_answer(answer, path)
    one = "/api/v1/streams/{name}"
    for name in ("none", "wf/none", "wf/b"):
        check_answer(await http.get(f"/api/v1/streams/{name}"), one)
    for name, body in (("wf/c", saved(np.zeros(3))), ("wf/c", b""), ("wf/b?kind=state", saved(np.zeros(3)))):
        check_answer(await http.put(f"/api/v1/streams/{name}", content=body), one, "put")
    gateway.core.go_away("stopping", 1.0)
    check_answer(await http.get("/readyz"), "/readyz")
    check_answer(await http.put("/api/v1/streams/wf/c", content=saved(np.zeros(3))), one, "put")
