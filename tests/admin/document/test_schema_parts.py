"""Schemas that follow from types."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from gateway.admin.document.schema_parts import schema_of


class Colour(enum.StrEnum):
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 2


class Inner(NamedTuple):
    reason: str | None
    share: float


@dataclass(frozen=True)
class Outer:
    colour: Colour
    level: Level
    inner: Inner
    counts: Mapping[Colour, int]
    open: bool


def test_a_record_has_the_schemas_of_its_fields() -> None:
    assert schema_of(Outer) == {
        "type": "object",
        "properties": {
            "colour": {"type": "string", "enum": ["red"]},
            "level": {"type": "string", "enum": ["high"]},
            "inner": {
                "type": "object",
                "properties": {"reason": {"type": ["string", "null"]}, "share": {"type": ["number", "null"]}},
                "required": ["reason", "share"],
            },
            "counts": {"type": "object", "additionalProperties": {"type": "integer"}},
            "open": {"type": "boolean"},
        },
        "required": ["colour", "level", "inner", "counts", "open"],
    }
