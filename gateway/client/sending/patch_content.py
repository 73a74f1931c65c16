"""Content of a patch: the region of a state that a caller replaces, and its new values (spec section 5.4)."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.client.sending.content import Content, Headers, content_of
from gateway.errors import InvalidArgument, RequestRefused
from gateway.protocol.arguments import is_a
from gateway.protocol.messages import Kind, StreamInfo
from gateway.protocol.meta import parse_meta
from gateway.protocol.regions import Region, Sizes
from gateway.protocol.schema import Schema
from gateway.protocol.tensors import as_wire_array


def patch_of(
    value: object, region: object, tensor: str | None, shape: Sizes | None, kind: Kind | None, headers: Headers
) -> tuple[Content, Region]:
    """Check and lay out a patch.

    Args:
        value: one array-like, of the region's shape but for dimensions of length 1. Not copied if it is C-contiguous.
        region: a key of numpy's basic indexing.
        tensor: name of the tensor that it changes; None: the unnamed one.
        shape: shape of that tensor, as far as it is known here.
        kind: kind that the caller expects of the stream.
        headers: JSON values by name.

    Returns:
        Content and region, with all bounds counted out.

    Raises:
        UnsupportedDtype: a dtype cannot travel.
        InvalidArgument: not a patch, or not a region; or the region has bounds that need a shape which is not known.
    """
    if kind not in (None, Kind.STATE):
        raise InvalidArgument(f"region= changes a part of a state, not of a stream of kind {kind}")
    if value is None or is_a(value, Mapping):
        raise InvalidArgument("region= takes one array; name the tensor that it changes by tensor=")
    replaced = Region.of(region, shape)
    patch = replaced.fit(as_wire_array(value))
    return content_of({tensor: patch} if tensor else patch, headers), replaced


def shape_of(meta: bytes | None, schemas: list[Schema | None], tensor: str) -> Sizes | None:
    """Return the shape of a state's tensor, as far as it is known here.

    Args:
        meta: meta block of the last keyframe that was published; None: none was.
        schemas: declared schemas, the first that has the tensor counts.
        tensor: its name.
    """
    if meta is not None:
        return next((spec.shape for spec in parse_meta(meta).specs if spec.name == tensor), None)
    shapes = (schema.shape_of(tensor) for schema in schemas if schema is not None)
    return next((shape for shape in shapes if shape is not None), None)


def schema_in(info: StreamInfo | None) -> Schema | None:
    """Return the schema of a STREAM answer; None if it has none."""
    if info is None or info.schema is None:
        return None
    try:
        return Schema.parse(info.schema)
    except RequestRefused:  # of a later version of the protocol: ignored
        return None
