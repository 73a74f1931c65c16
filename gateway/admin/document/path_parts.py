"""Path parts: pieces of which the operations of the OpenAPI document are made."""

from __future__ import annotations

from typing import Final

from gateway.admin.document.schema_parts import INTEGER, TEXT, Node
from gateway.admin.http.query import EVERY_STREAM
from gateway.admin.reports.catalogue import MAX_PAGE, PAGE

NEXT: Final[Node] = {"type": ["integer", "null"], "description": "`after` for the next page; null: no page follows."}


def json_content(schema: Node) -> Node:
    """Return the content of a JSON body of this schema."""
    return {"application/json": {"schema": schema}}


def failures_of(*statuses: int) -> Node:
    """Return the responses of an operation that fails with these statuses."""
    return {str(status): {"$ref": "#/components/responses/Failure"} for status in statuses}


def query(name: str, description: str, schema: Node) -> Node:
    """Return a query parameter."""
    return {"name": name, "in": "query", "description": description, "schema": schema}


def get(operation: str, summary: str, content: Node, *parameters: Node, failures: tuple[int, ...] = ()) -> Node:
    """Return a path with a GET.

    Args:
        operation: its id.
        summary: the resource, in a line.
        content: of the answer.
        parameters: of the query.
        failures: statuses of its failures.
    """
    responses = {"200": {"description": "OK", "content": content}, **failures_of(*failures)}
    found: Node = {"operationId": operation, "summary": summary, "responses": responses}
    return {"get": found | ({"parameters": list(parameters)} if parameters else {})}


PAGING: Final = (
    query("after", "`next` of the previous page.", INTEGER | {"default": 0}),
    query("limit", "Length of the page.", {"type": "integer", "minimum": 1, "maximum": MAX_PAGE, "default": PAGE}),
)
PATTERN: Final = query(
    "pattern", "Pattern of stream names, as in SUBSCRIBE; absent: all streams.", TEXT | {"default": EVERY_STREAM}
)
SINCE: Final = query(
    "since", "Unix time in seconds; samples of this time and before are left out.", INTEGER | {"default": 0}
)
