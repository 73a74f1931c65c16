"""Declaration: kind, schema and durability that a publisher expects of a stream (spec sections 4.1 and 4.7)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from gateway.errors import Code, InvalidArgument, RequestRefused
from gateway.protocol.arguments import check_mapping, check_text, is_a, wrong
from gateway.protocol.durability import Durability
from gateway.protocol.messages import Kind, StreamInfo
from gateway.protocol.mismatch import durability_mismatch, kind_mismatch
from gateway.protocol.schema import Schema

SchemaLike = Mapping[str, Any] | Schema | None
"""A schema, or its JSON: ``{"dtype": "float32", "shape": [64, None]}``."""


class Declaration(NamedTuple):
    """Properties of a stream that OPEN declares. None: as the stream is."""

    kind: Kind | None = None
    schema: Schema | None = None
    durability: Durability | None = None

    def over(self, earlier: Declaration) -> Declaration:
        """Merge: fields of this declaration win, missing ones come from ``earlier``."""
        return Declaration(
            self.kind or earlier.kind, self.schema or earlier.schema, self.durability or earlier.durability
        )

    def within(self, declared: Declaration) -> bool:
        """Return whether ``declared`` has every field that this declaration has."""
        # The usual cases first: none is declared, or the same as before.
        return self in (ANYTHING, declared) or all(
            own in (None, other) for own, other in zip(self, declared, strict=True)
        )

    def holds(self, info: StreamInfo) -> bool:
        """Return whether the stream is as declared; False if its schema has yet to be declared.

        Raises:
            RequestRefused: ``KIND_MISMATCH``, ``DURABILITY_MISMATCH`` or ``SCHEMA_MISMATCH``: the stream differs.
        """
        if self.kind not in (None, info.kind):
            raise kind_mismatch(info.stream, info.kind, self.kind)
        if self.durability not in (None, info.durability):
            raise durability_mismatch(info.stream, info.durability, self.durability)
        if self.schema is None or info.schema is None:
            return self.schema is None
        known = Schema.parse(info.schema)
        if known != self.schema:
            problem = f"stream {info.stream} is declared to hold {known}, not {self.schema}"
            raise RequestRefused(Code.SCHEMA_MISMATCH, problem)
        return True


ANYTHING: Final = Declaration()
"""Declaration without any property."""


def durability_of(durability: str | None) -> Durability | None:
    """Return the durability that a caller names.

    Raises:
        InvalidArgument: there is no such durability.
    """
    if durability is None:
        return None
    rule = f"unknown durability; known are {', '.join(Durability)}"
    try:
        return Durability(check_text("durability", durability, rule))
    except ValueError:
        raise wrong("durability", durability, rule) from None


def schema_of(schema: SchemaLike) -> Schema | None:
    """Return the schema that a caller gives.

    Raises:
        InvalidArgument: it is not a schema.
    """
    if schema is None or is_a(schema, Schema):
        return schema
    fields = check_mapping("schema", schema, "a schema is a mapping with 'dtype' and 'shape', or 'tensors'")
    named = fields.get("tensors")
    for name in (*fields, *(named if isinstance(named, Mapping) else ())):
        check_text("schema", name, "its fields and tensors have names that are strings")
    try:
        return Schema.parse(fields)
    except RequestRefused as refusal:
        raise InvalidArgument(refusal.message) from None
