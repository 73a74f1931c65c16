"""What the ``frys`` command returns to its caller, and how an error becomes one line and an exit code.

Knows the error tree. Writes nothing itself.
"""

from __future__ import annotations

import enum
import traceback
from pathlib import Path
from typing import Final

from gateway.errors import Code, ConnectionClosed, ConnectionFailed, FrysError, PeerError, UsageError

EXTRA: Final = "pip install 'frys-gateway[server]'"
"""Brings everything that any command needs."""


class ExitCode(enum.IntEnum):
    """Exit codes of every command."""

    OK = 0
    FAILURE = 1
    USAGE = 2
    CANNOT_CONNECT = 3
    REFUSED = 4
    CANNOT_LISTEN = 5
    INTERRUPTED = 130


MEANINGS: Final = {
    ExitCode.OK: "done",
    ExitCode.FAILURE: "failed: a file, a directory, a missing package",
    ExitCode.USAGE: "the command line or the array cannot be used",
    ExitCode.CANNOT_CONNECT: "no gateway there, or the connection was lost",
    ExitCode.REFUSED: "the gateway refused",
    ExitCode.CANNOT_LISTEN: "the address to listen on cannot be used",
    ExitCode.INTERRUPTED: "interrupted",
}
"""As ``frys --help`` tells it."""


class CommandFailed(FrysError):
    """A command cannot go on.

    Attributes:
        code: what the process returns.
    """

    def __init__(self, code: ExitCode, message: str) -> None:
        super().__init__(message)
        self.code = code


def exit_code_of(error: Exception) -> ExitCode:
    """The exit code that an error leads to."""
    match error:
        case CommandFailed():
            return error.code
        case UsageError() | PeerError(code=Code.INVALID_NAME):
            return ExitCode.USAGE
        case PeerError() | ConnectionClosed():
            return ExitCode.REFUSED
        case ConnectionFailed():
            return ExitCode.CANNOT_CONNECT
    return ExitCode.FAILURE


def line_of(error: Exception) -> str:
    """What to tell about an error, in one line."""
    match error:
        case FrysError():
            text = str(error)
        case ModuleNotFoundError() if error.name and not error.name.startswith("gateway"):
            text = f"{error.name} is not installed; this command needs: {EXTRA}"
        case OSError():
            text = ": ".join(str(part) for part in (error.filename, error.strerror or error) if part is not None)
        case _:
            text = f"internal error, please report it: {type(error).__name__}: {error}{_place_of(error)}"
    return " ".join(text.split())


def _place_of(error: Exception) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    return f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
