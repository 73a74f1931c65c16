"""The classes of session messages: values that equal what was sent, and what limits and refusals become on the wire."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import FrozenInstanceError, fields
from typing import get_args

import pytest

from gateway.errors import Code, ProtocolViolation, RequestRefused
from gateway.protocol.json_body import BodyRefused
from gateway.protocol.limits import Limits, WelcomeLimits
from gateway.protocol.messages import (
    ClientType,
    Error,
    Hello,
    Kind,
    Open,
    SessionMessage,
    StreamInfo,
    Subscribe,
)
from gateway.protocol.wire import JSON_OPCODES


def test_every_json_opcode_has_one_class() -> None:
    assert sorted(cls.opcode for cls in get_args(SessionMessage)) == sorted(JSON_OPCODES)


@pytest.mark.parametrize("cls", get_args(SessionMessage))
def test_messages_are_values_that_do_not_change(cls: type[SessionMessage]) -> None:
    # The same message goes to many receivers, and its fields are those of the JSON in their order.
    names = [field.name for field in fields(cls)]
    assert list(cls.__slots__) == names
    make: Callable[..., SessionMessage] = cls
    one, same, other = [make(*[value] * len(names)) for value in (1, 1, 2)]
    assert one == same
    assert one != other
    with pytest.raises(FrozenInstanceError):
        setattr(one, names[0], 2)


def test_kinds_whose_receivers_acknowledge() -> None:
    assert {kind for kind in Kind if kind.acknowledged} == {Kind.COLLABORATION, Kind.CONTROL}
    assert Kind("control").acknowledged
    assert not Kind("state").acknowledged


def test_a_client_is_told_the_limits_that_concern_it() -> None:
    limits = Limits(
        max_frame_bytes=1, max_message_bytes=2, chunk_bytes=3, max_unfinished_bytes=4, max_aliases=5, max_streams=6
    )
    assert WelcomeLimits.of(limits) == WelcomeLimits(1, 2, 3, 4, 5)


def test_optional_fields_are_absent_unless_given() -> None:
    assert Open(0, "a/b") == Open(0, "a/b", None, None, None, None, None)
    assert StreamInfo(None, "agent:x", alias=3).kind is None
    assert (Subscribe(1, 2, "**").since, Subscribe(1, 2, "**").credits) == (None, None)
    assert Hello((1,), ClientType.AGENT).codecs == ()


def test_the_error_of_a_refusal() -> None:
    refusal = RequestRefused(Code.KIND_MISMATCH, "stream a/b is state, not event")
    assert Error.of(refusal, alias=3, sequence=4) == Error(
        5203, "KIND_MISMATCH", "stream a/b is state, not event", alias=3, sequence=4
    )


def test_the_error_of_a_body_names_what_could_be_read_of_it() -> None:
    refusal = BodyRefused(Code.INVALID_REQUEST, "m", {"request": 1, "alias": 2})
    assert Error.of(refusal) == Error(5211, "INVALID_REQUEST", "m", request=1, alias=2)
    # The caller knows better.
    assert Error.of(refusal, request=9) == Error(5211, "INVALID_REQUEST", "m", request=9, alias=2)


@pytest.mark.parametrize(
    ("refusal", "name"),
    [
        (ProtocolViolation(Code.BAD_HELLO, "m"), "BAD_HELLO"),
        (RequestRefused(5999, "m"), "CODE_5999"),
    ],
)
def test_an_error_has_the_name_of_its_code(refusal: RequestRefused | ProtocolViolation, name: str) -> None:
    assert (Error.of(refusal).code, Error.of(refusal).error) == (refusal.code, name)
