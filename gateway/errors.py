"""Error tree, with the codes of ``spec/protocol.md`` section 12.

::

    FrysError
    ├── PeerError                 the other side's fault; carries a wire code
    │   ├── ProtocolViolation     the connection must be closed (close code 4xxx)
    │   └── RequestRefused        one request failed, the connection lives (error code 5xxx)
    ├── UsageError                our caller's fault: fix the program
    │   ├── UnsupportedDtype
    │   └── InvalidArgument
    ├── CapacityError             a bound was reached: slow down or try later
    ├── StoreFailed               the store of streams cannot be opened, read or written
    ├── CannotListen              a port of the gateway cannot be bound
    └── ConnectionFailed          no connection, or it was lost
        ├── ConnectionClosed      closed with a code that says not to reconnect
        └── RequestTimeout        no answer in time

The action of a client after a code depends on its hundreds only (:func:`action_of`).
"""

from __future__ import annotations

import enum
import traceback
from collections.abc import Collection


class Code(enum.IntEnum):
    """Close codes (4xxx) and error codes (5xxx) of spec section 12.1."""

    NORMAL = 1000
    GOING_AWAY = 1001
    PROTOCOL_ERROR = 1002
    UNSUPPORTED_DATA = 1003
    INVALID_DATA = 1007
    FRAME_TOO_BIG = 1009
    INTERNAL_ERROR = 1011

    HEARTBEAT_TIMEOUT = 4000
    SLOW_CONSUMER = 4001
    HANDSHAKE_TIMEOUT = 4002
    RECONNECTED = 4003
    TOO_MANY_CONNECTIONS = 4100
    ADDRESS_LIMIT = 4101
    OVERLOADED = 4102
    MALFORMED_FRAME = 4200
    UNSUPPORTED_VERSION = 4201
    UNEXPECTED_MESSAGE = 4202
    BAD_HELLO = 4203
    SUPERSEDED = 4204
    UNAUTHENTICATED = 4300
    TOKEN_EXPIRED = 4301
    TOKEN_REVOKED = 4302

    TRANSFER_ABORTED = 5000
    PEER_GONE = 5001
    TRANSFER_TIMEOUT = 5002
    STREAM_ENDED = 5003
    QUEUE_FULL = 5100
    NO_SUCH_PEER = 5101
    DRAINING = 5102
    PRESENCE_FULL = 5103
    UNKNOWN_STREAM = 5200
    UNKNOWN_MESSAGE_TYPE = 5201
    INVALID_NAME = 5202
    KIND_MISMATCH = 5203
    INVALID_TENSOR = 5204
    SIZE_MISMATCH = 5205
    UNKNOWN_CODEC = 5206
    CORRUPT_PAYLOAD = 5207
    MESSAGE_TOO_BIG = 5208
    BROKEN_TRANSFER = 5209
    BAD_SEQUENCE = 5210
    INVALID_REQUEST = 5211
    LIMIT_EXCEEDED = 5212
    NOT_REQUESTED = 5213
    INTERNAL = 5214
    SCHEMA_MISMATCH = 5215
    DURABILITY_MISMATCH = 5216
    INVALID_VIEW = 5217
    EXPIRED = 5218
    DEAD_LETTER = 5219
    HISTORY_LOST = 5220
    OUT_OF_WINDOW = 5221
    CANCELLED = 5222
    INVALID_REGION = 5223
    NOT_PROCESSED = 5224
    VIEW_LOWERED = 5226
    VIEW_RESTORED = 5227
    CHUNKS_ADVISED = 5228
    FORBIDDEN = 5300


class Action(enum.Enum):
    """Action of a client after a close or error code (spec section 12)."""

    RECONNECT = "reconnect"
    RECONNECT_LATER = "reconnect_later"
    DO_NOT_RECONNECT = "do_not_reconnect"
    REFRESH_TOKEN = "refresh_token"


_ACTIONS = (Action.RECONNECT, Action.RECONNECT_LATER, Action.DO_NOT_RECONNECT, Action.REFRESH_TOKEN)
_FINAL_WEBSOCKET_CODES = frozenset({1000, 1002, 1003, 1007, 1008, 1009, 1010})


def action_of(code: int) -> Action:
    """Return the action of a client after a close or error code, whether it knows the code or not (spec section 12)."""
    if 4000 <= code < 6000:
        hundreds = code % 1000 // 100
        return _ACTIONS[hundreds] if hundreds < len(_ACTIONS) else Action.DO_NOT_RECONNECT
    return Action.DO_NOT_RECONNECT if code in _FINAL_WEBSOCKET_CODES else Action.RECONNECT


def code_of(number: int) -> Code | int:
    """Return the code that a number stands for; the number itself, if this version does not know it."""
    try:
        return Code(number)
    except ValueError:
        return number


def name_of(code: int) -> str:
    """Return the documented name of a code, or ``"CODE_<n>"`` for one that this version does not know."""
    known = code_of(code)
    return known.name if isinstance(known, Code) else f"CODE_{code}"


class FrysError(Exception):
    """Root of every error that the gateway and its SDK raise on purpose.

    It can be pickled and copied, with its attributes and notes, whatever arguments its class takes.
    """

    def __reduce__(self) -> tuple[object, ...]:
        # Exception calls the class with `args` again, which are those of the text and not those of the class.
        return _restored, (type(self), self.args), self.__dict__ or None


class PeerError(FrysError):
    """Fault of the other side, or a fault of this side that the other one reports.

    Attributes:
        code: the wire code, for which :func:`action_of` gives the action; the number of one that this version does not
            know.
        message: description of the fault, with the values that caused it.
        retry_after_s: seconds after which another attempt is welcome; ``None``: the other side did not say.
    """

    def __init__(self, code: Code | int, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.code = code_of(code)
        self.message = message
        self.retry_after_s = retry_after_s

    @property
    def action(self) -> Action:
        """Action of a client after this error."""
        return action_of(self.code)

    def __str__(self) -> str:
        return f"{self.message} ({name_of(self.code)}, code {self.code})"


class ProtocolViolation(PeerError):
    """Violation of the protocol that closes the connection; ``code`` is a close code."""


class RequestRefused(PeerError):
    """Refusal of one request; the connection stays open; ``code`` is an error code."""


def fresh(refusal: RequestRefused) -> RequestRefused:
    """Return an equal refusal without a traceback, to be kept, or to be raised again.

    A traceback holds the frames that the error has passed, and so the payloads in them, and it grows each time that the
    same error is raised.
    """
    return RequestRefused(refusal.code, refusal.message)


class UsageError(FrysError):
    """Fault of the calling program; the message says how to change it."""


class InvalidArgument(UsageError, ValueError):
    """Argument with a value that cannot be used."""


class UnsupportedDtype(UsageError, TypeError):
    """Array of a dtype that cannot travel; the message names the dtype and the one to convert to."""


class CapacityError(FrysError):
    """Bound in bytes or in number that was reached; nothing was sent. Slow down, or try again later."""


class StoreFailed(FrysError):
    """Failure to open, write or read the store of streams; the message names the file and the remedy."""


class CannotListen(FrysError, OSError):
    """Failure to bind ports of the gateway; the message names each of them, with its reason.

    Attributes:
        in_use: settings of the ports that another program has: ``port``, ``admin_port``, or both.
    """

    def __init__(self, problem: str, in_use: Collection[str] = ()) -> None:
        super().__init__(f"cannot listen: {problem}")
        self.in_use = tuple(in_use)


class ConnectionFailed(FrysError, ConnectionError):
    """Absence of a connection, or its loss before the answer came."""


class ConnectionClosed(ConnectionFailed):
    """End of the connection, with a code that says not to reconnect.

    Attributes:
        code: the WebSocket close code; the number of one that this version does not know.
    """

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"connection closed: {reason or 'no reason given'} ({name_of(code)}, code {code})")
        self.code = code_of(code)
        self.reason = reason


class RequestTimeout(ConnectionFailed, TimeoutError):
    """Timeout of a request: no answer came in time."""


def _restored(kind: type[FrysError], args: tuple[object, ...]) -> FrysError:
    """Return an error as it was pickled, without calling its class; its attributes follow."""
    error = kind.__new__(kind, *args)
    error.args = args
    return error


def release_payloads(error: BaseException) -> None:
    """Clear the variables of the functions that an error has passed; its traceback says where it came from as before.

    An error that is kept for a while, or in a cycle of references, would keep the payloads which these functions had.
    """
    cause: BaseException | None = error
    while cause is not None:
        traceback.clear_frames(cause.__traceback__)
        cause = cause.__cause__ or cause.__context__
