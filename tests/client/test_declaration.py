"""Tests what a publisher may say of a stream, and whether it holds."""

import pytest

from gateway.client.declaration import ANYTHING, Declaration
from gateway.errors import Code, InvalidArgument, RequestRefused
from gateway.protocol.durability import Durability
from gateway.protocol.messages import Kind, StreamInfo

EVENT_OS = Declaration(Kind.EVENT, Durability.OS)
INFO = StreamInfo(7, "wf/x", Kind.EVENT, 1, 0, durability=Durability.OS)


def test_it_is_named_by_texts() -> None:
    assert Declaration.of("event", "os") == EVENT_OS
    assert Declaration.of(None, None) == ANYTHING


@pytest.mark.parametrize(("kind", "durability", "problem"), [("evnt", None, "kind 'evnt'"), (None, "disk", "'disk'")])
def test_an_unknown_name_is_refused(kind: str | None, durability: str | None, problem: str) -> None:
    with pytest.raises(InvalidArgument, match=f"unknown .*{problem}; known are"):
        Declaration.of(kind, durability)


def test_what_is_left_open_is_as_before() -> None:
    assert Declaration(kind=Kind.EVENT).completed(Declaration(Kind.STATE, Durability.OS)) == EVENT_OS
    assert ANYTHING.completed(EVENT_OS) == EVENT_OS


def test_what_is_left_open_holds() -> None:
    assert ANYTHING.holds_for(EVENT_OS)
    assert ANYTHING.holds_of(INFO)
    assert EVENT_OS.holds_of(INFO)
    assert not EVENT_OS.holds_for(ANYTHING)
    assert not Declaration(durability=Durability.FSYNC).holds_of(INFO)


def test_another_stream_is_refused_as_the_gateway_would() -> None:
    EVENT_OS.check(INFO)
    for wrong, code in (
        (Declaration(kind=Kind.STATE), Code.KIND_MISMATCH),
        (Declaration(durability=Durability.FSYNC), Code.DURABILITY_MISMATCH),
    ):
        with pytest.raises(RequestRefused) as refused:
            wrong.check(INFO)
        assert refused.value.code == code
