"""What a publisher says that a stream is, and whether it is so (spec sections 4.1 and 4.7)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from gateway.errors import Code, InvalidArgument, RequestRefused
from gateway.protocol.durability import Durability
from gateway.protocol.messages import Kind, StreamInfo
from gateway.protocol.schema import Schema

SchemaLike = Mapping[str, Any] | Schema | None
"""A schema, or its JSON: ``{"dtype": "float32", "shape": [64, None]}``."""


class Declaration(NamedTuple):
    """What goes into OPEN. None: whatever the stream is."""

    kind: Kind | None = None
    schema: Schema | None = None
    durability: Durability | None = None

    def over(self, earlier: Declaration) -> Declaration:
        """This, and what it leaves open as it was said earlier."""
        return Declaration(
            self.kind or earlier.kind, self.schema or earlier.schema, self.durability or earlier.durability
        )

    def within(self, said: Declaration) -> bool:
        """Whether all of it has been said."""
        return all(own in (None, other) for own, other in zip(self, said, strict=True))

    def holds(self, info: StreamInfo) -> bool:
        """Whether the stream is so; False if something has yet to be declared.

        Raises:
            RequestRefused: ``KIND_MISMATCH``, ``DURABILITY_MISMATCH`` or ``SCHEMA_MISMATCH``, it is something else.
        """
        if self.kind not in (None, info.kind):
            raise RequestRefused(Code.KIND_MISMATCH, f"stream {info.stream} is {info.kind}, not {self.kind}")
        if self.durability not in (None, info.durability):
            problem = f"stream {info.stream} has durability {info.durability}, not {self.durability}"
            raise RequestRefused(Code.DURABILITY_MISMATCH, problem)
        if self.schema is None or info.schema is None:
            return self.schema is None
        known = Schema.parse(info.schema)
        if known != self.schema:
            problem = f"stream {info.stream} is declared to hold {known}, not {self.schema}"
            raise RequestRefused(Code.SCHEMA_MISMATCH, problem)
        return True


ANYTHING: Final = Declaration()
"""What says nothing."""


def durability_of(durability: str | None) -> Durability | None:
    """The durability that a caller names.

    Raises:
        InvalidArgument: there is no such durability.
    """
    if durability is None:
        return None
    try:
        return Durability(durability)
    except ValueError:
        raise InvalidArgument(f"unknown durability {durability!r}; known are {', '.join(Durability)}") from None


def schema_of(schema: SchemaLike) -> Schema | None:
    """The schema that a caller gives.

    Raises:
        InvalidArgument: it is none.
    """
    if schema is None or isinstance(schema, Schema):
        return schema
    if not isinstance(schema, Mapping):
        raise InvalidArgument(f"a schema is a mapping with 'dtype' and 'shape', or 'tensors', not {schema!r:.80}")
    try:
        return Schema.parse(schema)
    except RequestRefused as refusal:
        raise InvalidArgument(refusal.message) from None
