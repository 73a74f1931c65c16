"""Exit codes of the ``frys`` command, and the conversion of an error to one line and an exit code.

Knows the error tree, and writes nothing itself.
"""

from __future__ import annotations

import enum
import traceback
from pathlib import Path
from typing import Final

from gateway.errors import Code, ConnectionClosed, ConnectionFailed, FrysError, PeerError, UsageError

EXTRA: Final = "pip install 'frys-gateway[server]'"
"""Installation of the packages that the commands need."""

FIRST_CLOSE_CODE: Final = 4000
"""Lowest code with which a gateway closes a connection (spec section 12); below are those of WebSockets."""


class ExitCode(enum.IntEnum):
    """Exit codes of all commands."""

    OK = 0
    FAILURE = 1
    USAGE = 2
    CANNOT_CONNECT = 3
    REFUSED = 4
    CANNOT_LISTEN = 5
    INCOMPLETE = 6
    INTERRUPTED = 130


MEANINGS: Final = {
    ExitCode.OK: "done",
    ExitCode.FAILURE: "a file or directory cannot be used, or a package is missing",
    ExitCode.USAGE: "the command line or the array cannot be used",
    ExitCode.CANNOT_CONNECT: "no gateway listens at the address, it did not answer in time, or the connection was lost",
    ExitCode.REFUSED: "the gateway refused",
    ExitCode.CANNOT_LISTEN: "the address to listen on cannot be used",
    ExitCode.INCOMPLETE: "the gateway has stopped, but its store could not write everything, or did not in time",
    ExitCode.INTERRUPTED: "interrupted",
}
"""Meanings of the exit codes, for ``frys --help``."""


class CommandFailed(FrysError):
    """Failure of a command.

    Attributes:
        code: exit code of the process.
    """

    def __init__(self, code: ExitCode, message: str) -> None:
        super().__init__(message)
        self.code = code


def exit_code_of(error: Exception) -> ExitCode:
    """Return the exit code for an error."""
    match error:
        case CommandFailed():
            return error.code
        case UsageError() | PeerError(code=Code.INVALID_NAME):
            return ExitCode.USAGE
        case PeerError() | ConnectionClosed():
            return ExitCode.REFUSED
        case ConnectionFailed():
            # A refusal for now has a close code, in a class of the SDK for whose import `frys serve` need not wait.
            return ExitCode.REFUSED if getattr(error, "code", 0) >= FIRST_CLOSE_CODE else ExitCode.CANNOT_CONNECT
    return ExitCode.FAILURE


def line_of(error: Exception) -> str:
    """Return one line that tells the user of an error."""
    match error:
        case FrysError():
            text = str(error)
        case ModuleNotFoundError() if error.name and not error.name.startswith("gateway"):
            text = f"{error.name} is not installed; install what this command needs with: {EXTRA}"
        case OSError():
            text = ": ".join(str(part) for part in (error.filename, error.strerror or error) if part is not None)
        case _:
            text = f"internal error, please report it: {type(error).__name__}: {error}{_place_of(error)}"
    return " ".join(text.split())


def _place_of(error: Exception) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    return f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
