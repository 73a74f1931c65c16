"""Every error has its exit code and one line."""

import pytest

from gateway.cli.exit_code import MEANINGS, CommandFailed, ExitCode, exit_code_of, line_of
from gateway.client.session.handshake_refusal import SessionRefused
from gateway.errors import (
    CapacityError,
    Code,
    ConnectionClosed,
    ConnectionFailed,
    InvalidArgument,
    RequestRefused,
    RequestTimeout,
)


def test_every_exit_code_has_a_meaning() -> None:
    assert set(MEANINGS) == set(ExitCode)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (CommandFailed(ExitCode.CANNOT_LISTEN, "taken"), ExitCode.CANNOT_LISTEN),
        (InvalidArgument("no such codec"), ExitCode.USAGE),
        (RequestRefused(Code.INVALID_NAME, "a name"), ExitCode.USAGE),
        (RequestRefused(Code.KIND_MISMATCH, "a kind"), ExitCode.REFUSED),
        (ConnectionClosed(Code.UNAUTHENTICATED, "who?"), ExitCode.REFUSED),
        (SessionRefused(Code.OVERLOADED, "later", 2.0), ExitCode.REFUSED),
        (SessionRefused(1006, "lost"), ExitCode.CANNOT_CONNECT),
        (ConnectionFailed("nobody there"), ExitCode.CANNOT_CONNECT),
        (RequestTimeout("no answer"), ExitCode.CANNOT_CONNECT),
        (CapacityError("full"), ExitCode.FAILURE),
        (FileNotFoundError(2, "No such file or directory", "x.npy"), ExitCode.FAILURE),
        (KeyError("x"), ExitCode.FAILURE),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_exit_codes(error: Exception, code: ExitCode) -> None:
    assert exit_code_of(error) is code


def test_an_error_is_one_line() -> None:
    assert line_of(ConnectionFailed("two\nlines")) == "two lines"


def test_a_file_is_named() -> None:
    assert line_of(FileNotFoundError(2, "No such file or directory", "x.npy")) == "x.npy: No such file or directory"


def test_an_operating_system_error_without_number() -> None:
    assert line_of(OSError("a reason")) == "a reason"


def test_a_missing_package_says_what_to_install() -> None:
    line = line_of(ModuleNotFoundError("No module named 'rich'", name="rich"))
    assert line == "rich is not installed; install what this command needs with: pip install 'frys-gateway[server]'"


def test_a_bug_says_where_it_is() -> None:
    try:
        raise KeyError("x")
    except KeyError as error:
        line = line_of(error)
    assert line.startswith("internal error, please report it: KeyError: 'x' (test_exit_code.py:")


def test_a_missing_module_of_our_own_is_a_bug() -> None:
    line = line_of(ModuleNotFoundError("No module named 'gateway.x'", name="gateway.x"))
    assert line.startswith("internal error")
