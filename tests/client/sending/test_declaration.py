"""Tests what a publisher says of a stream."""

from __future__ import annotations

import pytest

from gateway.client.sending.declaration import ANYTHING, Declaration, durability_of, schema_of
from gateway.errors import Code, InvalidArgument, RequestRefused
from gateway.protocol.durability import Durability
from gateway.protocol.messages import Kind, StreamInfo
from gateway.protocol.schema import Schema

FIELD = Schema.parse({"dtype": "float32", "shape": [64, None]})
OTHER = Schema.parse({"dtype": "float32", "shape": [64]})


def info(kind: Kind, schema: Schema | None = None) -> StreamInfo:
    return StreamInfo(7, "wf/a", kind, 1, 0, schema=None if schema is None else schema.fields())


def test_what_is_left_open_stays_as_it_was_said() -> None:
    said = Declaration(Kind.STATE).over(Declaration(None, FIELD))
    assert said == Declaration(Kind.STATE, FIELD)
    assert ANYTHING.over(said) == said
    assert Declaration(None, OTHER).over(said).schema == OTHER


def test_what_was_said_need_not_be_said_again() -> None:
    said = Declaration(Kind.STATE, FIELD)
    assert ANYTHING.within(said)
    assert Declaration(None, FIELD).within(said)
    assert not Declaration(Kind.EVENT).within(said)
    assert not Declaration(None, OTHER).within(said)


def test_the_answer_says_whether_it_is_so() -> None:
    assert ANYTHING.holds(info(Kind.EVENT))
    assert Declaration(Kind.STATE, FIELD).holds(info(Kind.STATE, FIELD))
    assert not Declaration(None, FIELD).holds(info(Kind.STATE))
    with pytest.raises(RequestRefused, match="is of kind event, not state: publish with kind event") as refusal:
        Declaration(Kind.STATE).holds(info(Kind.EVENT))
    assert refusal.value.code == Code.KIND_MISMATCH
    with pytest.raises(RequestRefused, match=r"hold float32\[64\], not float32\[64, \*\]") as refusal:
        Declaration(None, FIELD).holds(info(Kind.STATE, OTHER))
    assert refusal.value.code == Code.SCHEMA_MISMATCH


def test_schemas_as_callers_give_them() -> None:
    assert schema_of(None) is None
    assert schema_of(FIELD) is FIELD
    assert schema_of({"dtype": "float32", "shape": (64, None)}) == FIELD
    with pytest.raises(InvalidArgument, match="unknown dtype 'f4'"):
        schema_of({"dtype": "f4", "shape": []})
    with pytest.raises(InvalidArgument, match="a schema is a mapping"):
        schema_of([64, None])  # type: ignore[arg-type]


def test_what_messages_are_to_outlive() -> None:
    stored = Declaration(durability=Durability.FSYNC)
    told = StreamInfo(7, "wf/a", Kind.EVENT, 1, 0, durability=Durability.FSYNC)
    assert ANYTHING.over(stored) == stored
    assert stored.within(stored)
    assert not stored.within(ANYTHING)
    assert stored.holds(told)
    with pytest.raises(RequestRefused, match="has durability fsync, not os") as refusal:
        Declaration(durability=Durability.OS).holds(told)
    assert refusal.value.code == Code.DURABILITY_MISMATCH
    assert (durability_of(None), durability_of("os")) == (None, Durability.OS)
    with pytest.raises(InvalidArgument, match="durability='disk': unknown durability; known are memory, os, fsync"):
        durability_of("disk")
