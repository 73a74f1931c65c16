"""Schema parts: pieces of which the schemas of the admin port are made."""

from __future__ import annotations

import enum
import types
from collections.abc import Mapping
from typing import Any, Final, get_args, get_origin, get_type_hints

from gateway.admin.reports.summary import json_of
from gateway.connections.overload.stage import Stage
from gateway.connections.planning.knob import Knob

Node = dict[str, Any]

INTEGER: Final[Node] = {"type": "integer", "minimum": 0}
NUMBER: Final[Node] = {"type": "number", "minimum": 0}
MEASURED: Final[Node] = {"type": ["number", "null"]}
"""A value that is null as long as it is not known."""
TEXT: Final[Node] = {"type": "string"}
KNOB: Final[Node] = {"type": "string", "enum": [knob.value for knob in Knob]}
STAGE: Final[Node] = {"type": "string", "enum": [stage.label for stage in Stage]}
_SCALARS: Final[Mapping[Any, Node]] = {
    int: {"type": "integer"},
    float: MEASURED,
    bool: {"type": "boolean"},
    str: TEXT,
}


def object_of(**properties: Node) -> Node:
    """Return the schema of an object that has all of these properties."""
    return {"type": "object", "properties": properties, "required": list(properties)}


def ref_to(name: str) -> Node:
    """Return a reference to one of :data:`~gateway.admin.document.schemas.SCHEMAS`."""
    return {"$ref": f"#/components/schemas/{name}"}


def schema_of(kind: Any) -> Node:
    """Return the schema of a snapshot, or of a field of one, by its type."""
    if get_origin(kind) is Mapping:
        return {"type": "object", "additionalProperties": schema_of(get_args(kind)[1])}
    if isinstance(kind, types.UnionType):
        first, _ = get_args(kind)  # the other one is None
        schema = schema_of(first)
        return schema | {"type": [schema["type"], "null"]}
    if isinstance(kind, enum.EnumType):
        members: Mapping[str, enum.Enum] = kind.__members__
        return {"type": "string", "enum": [json_of(member) for member in members.values()]}
    if kind in _SCALARS:
        return _SCALARS[kind]
    return object_of(**{name: schema_of(each) for name, each in get_type_hints(kind).items()})
