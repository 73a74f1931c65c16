"""Refused handshakes: the time that a gateway names is taken, from a gateway or a proxy, and nonsense is not."""

from __future__ import annotations

import pytest
from websockets.datastructures import Headers
from websockets.exceptions import InvalidStatus
from websockets.http11 import Response

from gateway.client.session.handshake_refusal import SessionRefused, handshake_error
from gateway.errors import Code, ConnectionFailed


def answer(status: int, body: bytes = b"", **fields: str) -> InvalidStatus:
    headers = Headers({name.replace("_", "-"): value for name, value in fields.items()})
    return InvalidStatus(Response(status, "", headers, body))


@pytest.mark.parametrize(
    ("fields", "expected_s"),
    [
        ({"Retry_After": "3"}, 3.0),
        ({"Retry_After": "3", "Retry_After_Ms": "2345"}, 2.345),
        ({"Retry_After": "3", "Retry_After_Ms": "soon"}, 3.0),
        ({"Retry_After": "0"}, 0.0),
    ],
)
@pytest.mark.parametrize(("status", "code"), [(503, Code.TOO_MANY_CONNECTIONS), (429, Code.ADDRESS_LIMIT)])
def test_a_named_time_is_taken(status: int, code: Code, fields: dict[str, str], expected_s: float) -> None:
    error = handshake_error(answer(status, b"it is full\n", **fields))
    assert isinstance(error, SessionRefused)
    assert error.code == code
    assert error.retry_after_s == pytest.approx(expected_s)
    assert str(error) == f"the gateway takes no client now (HTTP {status}): it is full"


@pytest.mark.parametrize("value", ["", "Wed, 21 Oct 2015 07:28:00 GMT", "-1", "1.5", "\xb2"])
def test_a_time_that_is_none_is_left_to_the_usual_pauses(value: str) -> None:
    error = handshake_error(answer(503, Retry_After=value))
    assert type(error) is ConnectionFailed
    assert "HTTP 503" in str(error)


def test_a_number_of_any_length_is_no_fault() -> None:
    error = handshake_error(answer(503, Retry_After="9" * 5000))
    assert isinstance(error, SessionRefused)


def test_other_statuses_ask_to_check_the_url() -> None:
    assert "port and path" in str(handshake_error(answer(404, Retry_After="1")))
    assert "port and path" in str(handshake_error(answer(429)))
    assert "try again later" in str(handshake_error(answer(502)))


def test_what_is_an_error_already_stays_and_the_rest_asks_whether_it_is_a_gateway() -> None:
    refused = SessionRefused(4100, "full")
    assert handshake_error(refused) is refused
    assert "is it a gateway?" in str(handshake_error(None))
    fault = ValueError("no HTTP")
    error = handshake_error(fault)
    assert error.__cause__ is fault
