"""The error tree: its codes are those of the spec, and a code's hundreds say what to do."""

import re
from pathlib import Path

import pytest

from gateway.errors import (
    Action,
    Code,
    ConnectionClosed,
    ConnectionFailed,
    FrysError,
    InvalidArgument,
    PeerError,
    ProtocolViolation,
    RequestRefused,
    RequestTimeout,
    UnsupportedDtype,
    UsageError,
    action_of,
    name_of,
)

SPEC = Path(__file__).parent.parent / "spec" / "protocol.md"
CODE_ROW = re.compile(r"^\| ([45]\d{3}) \| `([A-Z_]+)` \|", re.MULTILINE)


def test_the_codes_are_those_of_spec_section_12_1() -> None:
    documented = {name: int(code) for code, name in CODE_ROW.findall(SPEC.read_text())}
    assert documented == {code.name: code.value for code in Code if code >= 4000}


@pytest.mark.parametrize(
    ("code", "action"),
    [
        (Code.HEARTBEAT_TIMEOUT, Action.RECONNECT),
        (Code.TRANSFER_ABORTED, Action.RECONNECT),
        (Code.TOO_MANY_CONNECTIONS, Action.RECONNECT_LATER),
        (Code.QUEUE_FULL, Action.RECONNECT_LATER),
        (Code.MALFORMED_FRAME, Action.DO_NOT_RECONNECT),
        (Code.KIND_MISMATCH, Action.DO_NOT_RECONNECT),
        (Code.UNAUTHENTICATED, Action.REFRESH_TOKEN),
        (Code.FORBIDDEN, Action.REFRESH_TOKEN),
        pytest.param(4099, Action.RECONNECT, id="unknown 40xx"),
        pytest.param(5199, Action.RECONNECT_LATER, id="unknown 51xx"),
        pytest.param(4999, Action.DO_NOT_RECONNECT, id="unknown range"),
        (1000, Action.DO_NOT_RECONNECT),
        (1001, Action.RECONNECT),
        (1002, Action.DO_NOT_RECONNECT),
        (1006, Action.RECONNECT),
        (1009, Action.DO_NOT_RECONNECT),
        (1011, Action.RECONNECT),
        (1012, Action.RECONNECT),
        (1013, Action.RECONNECT),
    ],
)
def test_the_hundreds_say_what_to_do(code: int, action: Action) -> None:
    assert action_of(code) is action


def test_an_unknown_code_has_a_name_too() -> None:
    assert name_of(5203) == "KIND_MISMATCH"
    assert name_of(5299) == "CODE_5299"


@pytest.mark.parametrize("kind", [ProtocolViolation, RequestRefused])
def test_a_peer_error_carries_its_code_and_tells_it(kind: type[PeerError]) -> None:
    error = kind(Code.UNKNOWN_CODEC, "codec 77 is unknown")
    assert (error.code, error.message, error.action) == (5206, "codec 77 is unknown", Action.DO_NOT_RECONNECT)
    assert str(error) == "codec 77 is unknown (UNKNOWN_CODEC, code 5206)"


def test_a_closed_connection_tells_why() -> None:
    assert str(ConnectionClosed(4300, "token refused")) == (
        "connection closed: token refused (UNAUTHENTICATED, code 4300)"
    )
    assert "no reason given" in str(ConnectionClosed(1000, ""))


@pytest.mark.parametrize(
    ("error", "parents"),
    [
        (InvalidArgument, (UsageError, ValueError)),
        (UnsupportedDtype, (UsageError, TypeError)),
        (ConnectionClosed, (ConnectionFailed, ConnectionError)),
        (RequestTimeout, (ConnectionFailed, TimeoutError)),
    ],
)
def test_errors_are_caught_as_their_builtin_kin(error: type[FrysError], parents: tuple[type[Exception], ...]) -> None:
    assert issubclass(error, FrysError)
    assert set(parents) <= set(error.__mro__)
