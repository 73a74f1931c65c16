"""Door: who may not come in now gets an HTTP answer that says when to return, and no WebSocket is begun."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.connections.admission.admission import Admission
from gateway.connections.admission.population import Population
from gateway.connections.admission.settings import AdmissionSettings
from gateway.protocol.messages import ClientType
from gateway.server.door import Door
from gateway.server.request_head import RequestHead
from tests.connections.memory import World

ADDRESS = "198.51.100.7:50000"


def head(text: bytes = b"GET / HTTP/1.1\r\n\r\n") -> RequestHead:
    read = RequestHead()
    read.take(text)
    return read


def door(max_connections: int = 100, **settings: object) -> tuple[Door, Admission]:
    """A door, and the admission that it asks."""
    bounds = AdmissionSettings(**settings)  # type: ignore[arg-type]
    admission = Admission(max_connections, bounds, Population(), lambda: 0.5)
    return Door(admission, World().clock), admission


def fields_of(answer: bytes | None) -> tuple[int, dict[str, str], str]:
    """Status, fields and body of an answer."""
    assert answer is not None
    top, _, body = answer.decode("ascii").partition("\r\n\r\n")
    first, *lines = top.split("\r\n")
    fields = dict(line.split(": ", 1) for line in lines)
    assert int(fields["Content-Length"]) == len(body)
    assert fields["Connection"] == "close"
    return int(first.split()[1]), fields, body


def test_a_client_comes_in_and_is_counted_by_the_type_that_it_claims() -> None:
    entrance, admission = door()
    for target in (b"/", b"/?client_type=agent", b"/x?a=b&client_type=workflow&c", b"/?other=king"):
        assert entrance.refusal(object(), head(b"GET " + target + b" HTTP/1.1\r\n\r\n"), ADDRESS) is None
    assert admission.admitted == {None: 2, ClientType.AGENT: 1, ClientType.WORKFLOW: 1}


def test_a_gateway_that_is_full_says_when_to_return() -> None:
    entrance, _ = door(0)
    status, fields, body = fields_of(entrance.refusal(object(), head(), ADDRESS))
    exact_s = int(fields["Retry-After-Ms"]) / 1000
    assert status == 503
    assert int(fields["Retry-After"]) == math.ceil(exact_s)
    assert re.fullmatch(rf"the gateway has max_connections=0 already; try again in {exact_s:.1f} s\n", body)


def test_an_address_that_comes_too_often_is_told_so_by_another_status() -> None:
    entrance, _ = door(address_handshakes_per_s=0.5)
    assert entrance.refusal(object(), head(), ADDRESS) is None
    status, fields, body = fields_of(entrance.refusal(object(), head(), ADDRESS))
    assert status == 429
    assert "address_handshakes_per_s=0.5" in body
    assert "Retry-After" in fields


def test_ports_make_no_other_address() -> None:
    entrance, _ = door(address_connections=1)
    for one, other in (("10.0.0.1:5", "10.0.0.1:6"), ("[2001:db8::1]:5", "[2001:db8::2]:6")):
        first, second = object(), object()
        assert entrance.enters(first, one)
        assert entrance.enters(second, other)
        assert entrance.refusal(first, head(), one) is None
        assert entrance.refusal(second, head(), other) is not None


def test_sockets_are_counted_until_they_are_gone() -> None:
    entrance, _ = door(address_connections=1)
    first, second, third, stranger = object(), object(), object(), object()
    assert [entrance.enters(each, ADDRESS) for each in (first, second, third)] == [True, True, False]
    assert entrance.refusal(first, head(), ADDRESS) is None
    assert fields_of(entrance.refusal(second, head(), ADDRESS))[0] == 429
    for gone in (second, third, stranger):
        entrance.left(gone)
    assert entrance.enters(third, ADDRESS)
    assert fields_of(entrance.refusal(third, head(), ADDRESS))[0] == 429
    entrance.left(first)
    assert entrance.enters(second, ADDRESS)
    assert entrance.refusal(second, head(), ADDRESS) is None


def test_a_socket_counts_for_its_address_also_once_it_has_none_any_more() -> None:
    entrance, _ = door(address_connections=2)
    one, other, late = object(), object(), object()
    for each in (one, other):
        assert entrance.enters(each, ADDRESS)
    assert entrance.refusal(one, head(), ADDRESS) is None
    assert entrance.refusal(other, head(), "") is None
    assert entrance.enters(late, ADDRESS)
    assert fields_of(entrance.refusal(late, head(), ADDRESS))[0] == 429
    entrance.left(other)
    assert entrance.refusal(late, head(), ADDRESS) is None


def test_without_a_bound_no_address_is_kept() -> None:
    entrance, admission = door()
    assert {entrance.enters(object(), ADDRESS) for _ in range(100)} == {True}
    assert not admission.counts_addresses


@pytest.mark.parametrize(
    ("text", "status"),
    [
        (b"POST / HTTP/1.1\r\n\r\n", 405),
        (b"GET / \r\n" + b"x" * 70_000, 431),
        (b"GET /?client_type=agnet HTTP/1.1\r\n\r\n", 400),
    ],
)
def test_what_is_no_request_for_a_websocket_takes_no_handshake(text: bytes, status: int) -> None:
    entrance, admission = door()
    answer, fields, _ = fields_of(entrance.refusal(object(), head(text), ADDRESS))
    assert answer == status
    assert "Retry-After" not in fields
    assert not admission.admitted


@pytest.mark.parametrize("value", [b"", b"king", b"admin-panel", b"\xff\xfe", b"a" * 400])
def test_a_type_that_there_is_not_is_answered_with_those_there_are(value: bytes) -> None:
    entrance, _ = door()
    request = head(b"GET /?client_type=" + value + b" HTTP/1.1\r\n\r\n")
    status, _, body = fields_of(entrance.refusal(object(), request, ADDRESS))
    assert status == 400
    assert len(body) < 200
    assert all(client_type in body for client_type in ClientType)


@given(st.binary(max_size=2000))
def test_any_bytes_are_decided_about(text: bytes) -> None:
    entrance, _ = door(handshakes_per_s=1, handshake_burst=1)
    entrance.refusal(object(), head(text), ADDRESS)
    fields_of(entrance.refusal(object(), head(text), ADDRESS))
