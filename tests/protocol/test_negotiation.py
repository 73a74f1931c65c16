"""Negotiation: a pure function of HELLO and capabilities."""

from __future__ import annotations

from dataclasses import fields

import pytest

from gateway.errors import Action, Code, ProtocolViolation
from gateway.protocol.codecs import CODEC_NAMES
from gateway.protocol.limits import Limits
from gateway.protocol.messages import ClientType, Hello
from gateway.protocol.negotiation import Agreement, Capabilities, CodecSettings, negotiate, observes_by_default
from gateway.protocol.wire import VERSION

CAPABILITIES = Capabilities(
    versions=(1, 2, 3),
    codecs=("lz4", "zstd", "snappy"),
    filters=("shuffle", "xor"),
    limits=Limits(max_message_bytes=1000),
)


def hello(
    versions: tuple[int, ...] = (1,),
    codecs: tuple[str, ...] = (),
    filters: tuple[str, ...] = (),
    max_message_bytes: int | None = None,
) -> Hello:
    return Hello(versions, ClientType.AGENT, codecs=codecs, filters=filters, max_message_bytes=max_message_bytes)


def test_the_highest_version_in_common() -> None:
    assert negotiate(hello((1, 2, 9)), CAPABILITIES).version == 2


@pytest.mark.parametrize("versions", [(), (4,), (0, 2**63), tuple(range(10, 100_000))])
def test_no_version_in_common(versions: tuple[int, ...]) -> None:
    with pytest.raises(ProtocolViolation, match=r"the gateway \[1, 2, 3\]") as violation:
        negotiate(hello(versions), CAPABILITIES)
    assert violation.value.code == Code.UNSUPPORTED_VERSION
    assert violation.value.action is Action.DO_NOT_RECONNECT
    assert len(violation.value.message) < 200


def test_codecs_in_the_order_of_the_server_without_unknown_names() -> None:
    agreed = negotiate(hello(codecs=("brotli", "snappy", "lz4", "lz4"), filters=("xor", "delta")), CAPABILITIES)
    assert agreed == Agreement(version=1, codecs=("lz4", "snappy"), filters=("xor",), max_message_bytes=1000)


@pytest.mark.parametrize(("asked", "agreed"), [(None, 1000), (10, 10), (5000, 1000), (0, 0)])
def test_the_smaller_message_size_holds(asked: int | None, agreed: int) -> None:
    assert negotiate(hello(max_message_bytes=asked), CAPABILITIES).max_message_bytes == agreed


def test_the_defaults_speak_this_version() -> None:
    assert negotiate(hello((VERSION,)), Capabilities()) == Agreement(VERSION, (), (), Limits().max_message_bytes)


@pytest.mark.parametrize("client_type", ClientType)
def test_who_observes_by_default(client_type: ClientType) -> None:
    assert observes_by_default(client_type, named=False)
    assert observes_by_default(client_type, named=True) is (client_type in ("admin_panel", "extension"))


def test_codecs_are_turned_off_one_by_one() -> None:
    assert CodecSettings().names == CODEC_NAMES
    assert CodecSettings(zstd=False, pco=False).names == ("lz4", "snappy")
    assert {field.name for field in fields(CodecSettings)} == set(CODEC_NAMES)
