"""The error tree: its codes are those of the spec, and a code's hundreds say what to do."""

import concurrent.futures
import copy
import importlib
import inspect
import json
import multiprocessing
import pickle
import pkgutil
import re
import traceback
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

import gateway
from gateway.cli.exit_code import ExitCode
from gateway.client.session.handshake_refusal import SessionRefused
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
    code_of,
    name_of,
    release_payloads,
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
    assert code_of(5203) is Code.KIND_MISMATCH
    assert type(code_of(5299)) is int


@pytest.mark.parametrize("kind", [ProtocolViolation, RequestRefused])
def test_a_peer_error_carries_its_code_and_tells_it(kind: type[PeerError]) -> None:
    error = kind(Code.UNKNOWN_CODEC, "codec 77 is unknown")
    assert (error.code, error.message, error.action) == (5206, "codec 77 is unknown", Action.DO_NOT_RECONNECT)
    assert str(error) == "codec 77 is unknown (UNKNOWN_CODEC, code 5206)"


@pytest.mark.parametrize("number", [5203, Code.KIND_MISMATCH, 5299])
@pytest.mark.parametrize("kind", [ProtocolViolation, RequestRefused, ConnectionClosed, SessionRefused])
def test_the_code_of_an_error_is_one_of_the_enum_as_far_as_this_version_knows_it(
    kind: type[PeerError | ConnectionClosed | SessionRefused], number: int
) -> None:
    code = pickled(kind(number, "why")).code  # type: ignore[attr-defined]
    assert code is Code.KIND_MISMATCH if number == 5203 else type(code) is int
    assert code == number
    assert f"{code} {code!s} {json.dumps([code])}" == f"{number:d} {number:d} [{number:d}]"


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


ARGUMENTS: Final[dict[str, object]] = {
    "str": "the text",
    "int": 5203,
    "Code | int": Code.KIND_MISMATCH,
    "ExitCode": ExitCode.REFUSED,
    "dict[str, int]": {"request": 7},
    "dict[str, Any]": {"loss": 0.5},
    "float | None": 2.5,
    "Collection[str]": ("port", "host"),
}
"""Arguments for the parameters of error classes, by annotation."""


def all_errors() -> Iterator[type[FrysError]]:
    """Yield every class of error in the package."""
    for module in pkgutil.walk_packages(gateway.__path__, "gateway."):
        if module.name != "gateway.__main__":
            importlib.import_module(module.name)
    kinds = [FrysError]
    while kinds:
        kind = kinds.pop()
        yield kind
        kinds += [each for each in kind.__subclasses__() if each.__module__.startswith("gateway.")]


def made(kind: type[FrysError]) -> FrysError:
    """Return an error of a class, with a note, a cause and an attribute that its class does not know."""
    parameters = list(inspect.signature(kind).parameters.values()) if inspect.isfunction(kind.__init__) else []
    positional = [each for each in parameters if each.kind is each.POSITIONAL_OR_KEYWORD]
    error = kind(*[ARGUMENTS[str(each.annotation)] for each in positional] or ["the text"])
    error.add_note("a note")
    error.__cause__ = ValueError("the cause")
    error.__dict__["job"] = 3
    return error


def pickled(error: FrysError, protocol: int = pickle.DEFAULT_PROTOCOL) -> FrysError:
    """Return an error after a round trip."""
    returned = pickle.loads(pickle.dumps(error, protocol))  # noqa: S301
    assert isinstance(returned, FrysError)
    return returned


ERRORS: Final = {kind.__name__: kind for kind in all_errors()}
WAYS: Final[dict[str, Callable[[FrysError], FrysError]]] = {
    "pickle": pickled,
    "pickle 0": lambda error: pickled(error, 0),
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", ERRORS.values(), ids=ERRORS)
def test_every_error_travels_with_its_attributes(kind: type[FrysError], way: str) -> None:
    error = made(kind)
    arrived = WAYS[way](error)
    assert (type(arrived), str(arrived), arrived.args) == (kind, str(error), error.args)
    assert arrived.__dict__ == error.__dict__
    assert arrived.__dict__["__notes__"] == ["a note"]


def refuse() -> None:
    """Fail as a worker that the gateway refuses."""
    raise RequestRefused(Code.KIND_MISMATCH, "it is a state")


def test_an_error_crosses_a_pool_of_processes() -> None:
    spawn = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=spawn) as executor:
        error = executor.submit(refuse).exception()
    assert isinstance(error, RequestRefused)
    assert (error.code, error.message) == (Code.KIND_MISMATCH, "it is a state")
    with spawn.Pool(1) as pool, pytest.raises(RequestRefused, match="it is a state"):
        pool.apply(refuse)


class _Payload:
    """Stands for megabytes."""


def test_an_error_gives_up_the_payloads_of_the_functions_that_it_has_passed() -> None:
    payloads: list[weakref.ref[_Payload]] = []

    def decode() -> None:
        payload = _Payload()
        payloads.append(weakref.ref(payload))
        raise ValueError("corrupt")

    def receive() -> None:
        payload = _Payload()
        payloads.append(weakref.ref(payload))
        try:
            decode()
        except ValueError as error:
            raise RequestRefused(Code.CORRUPT_PAYLOAD, "corrupt") from error

    with pytest.raises(RequestRefused) as refused:
        receive()
    assert None not in [payload() for payload in payloads]
    release_payloads(refused.value)
    assert [payload() for payload in payloads] == [None, None]
    assert [frame.name for frame in traceback.extract_tb(refused.value.__traceback__)][-1] == "receive"
