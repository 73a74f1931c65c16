"""States of a session, as a table for both roles (spec section 3). This file has all rules about states.

Both ends of a connection keep the same state: each passes every frame through :func:`advance`, with the role of the
side that *sent* the frame. A frame that is not in the table of its sender's role breaks the protocol.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Final

from gateway.errors import Code, ProtocolViolation, RequestRefused
from gateway.protocol.wire import Opcode


# Role and State are strings because Enum.__hash__ runs in Python, and advance runs for every frame.
class Role(enum.StrEnum):
    """Side of a connection."""

    CLIENT = "client"
    SERVER = "server"


class State(enum.StrEnum):
    """State of a session."""

    GREETING = "greeting"
    OPEN = "open"
    DRAINING = "draining"
    CLOSED = "closed"


class Event(enum.Enum):
    """Cause of a transition that is no frame."""

    CLOSE = "close"
    """The side closed the WebSocket, with any code, or is lost."""


SENT_BY_BOTH: Final = frozenset(
    {
        Opcode.MESSAGE,
        Opcode.BATCH,
        Opcode.REQUEST,
        Opcode.REPLY,
        Opcode.CHUNK,
        Opcode.END,
        Opcode.ABORT,
        Opcode.PING,
        Opcode.PONG,
        Opcode.ACCOUNT,
        Opcode.CANCEL,
    }
)
SENT_BY: Final[Mapping[Role, frozenset[Opcode]]] = {
    Role.CLIENT: SENT_BY_BOTH
    | {
        Opcode.HELLO,
        Opcode.AUTHENTICATE,
        Opcode.OPEN,
        Opcode.SUBSCRIBE,
        Opcode.UNSUBSCRIBE,
        Opcode.REFRESH,
        Opcode.CREDIT,
        Opcode.DONE,
        Opcode.IN_PROGRESS,
        Opcode.CONFLATED,
        Opcode.REPORT,
        Opcode.DELETE,
        Opcode.ATTEND,
        Opcode.AWARENESS,
    },
    Role.SERVER: SENT_BY_BOTH
    | {
        Opcode.WELCOME,
        Opcode.AUTHENTICATED,
        Opcode.STREAM,
        Opcode.SUBSCRIBED,
        Opcode.UNSUBSCRIBED,
        Opcode.ERROR,
        Opcode.GO_AWAY,
        Opcode.ACK,
        Opcode.GAP,
        Opcode.NOTICE,
        Opcode.RESUME,
        Opcode.REPLAY,
        Opcode.DELETED,
        Opcode.ATTENDING,
        Opcode.MEMBERS,
    },
}
"""All opcodes that each role sends in any state (spec section 2)."""

# Frames trigger by opcode. Plain ints find the entries of their Opcode: both have the same hash and compare equal.
Trigger = int | Event
_CLOSE: Final[dict[Trigger, State]] = {Event.CLOSE: State.CLOSED}


def _stay(state: State, opcodes: frozenset[Opcode]) -> dict[Trigger, State]:
    return dict.fromkeys(opcodes, state)


_CLIENT_RUNNING: Final = SENT_BY[Role.CLIENT] - {Opcode.HELLO}
_SERVER_RUNNING: Final = SENT_BY[Role.SERVER] - {Opcode.WELCOME}

TRANSITIONS: Final[Mapping[Role, Mapping[State, Mapping[Trigger, State]]]] = {
    Role.CLIENT: {
        # HELLO does not move the session; WELCOME does, which tells both ends that HELLO was accepted.
        State.GREETING: {**_stay(State.GREETING, frozenset({Opcode.HELLO, Opcode.PING})), **_CLOSE},
        State.OPEN: {**_stay(State.OPEN, _CLIENT_RUNNING), **_CLOSE},
        State.DRAINING: {**_stay(State.DRAINING, _CLIENT_RUNNING), **_CLOSE},
        State.CLOSED: _CLOSE,
    },
    Role.SERVER: {
        State.GREETING: {
            **_stay(State.GREETING, frozenset({Opcode.ERROR, Opcode.PONG})),
            Opcode.WELCOME: State.OPEN,
            **_CLOSE,
        },
        State.OPEN: {**_stay(State.OPEN, _SERVER_RUNNING), Opcode.GO_AWAY: State.DRAINING, **_CLOSE},
        State.DRAINING: {**_stay(State.DRAINING, _SERVER_RUNNING), **_CLOSE},
        State.CLOSED: _CLOSE,
    },
}


def advance(role: Role, state: State, trigger: Trigger) -> State:
    """Return the state after ``role`` sent a frame or closed the connection.

    Args:
        role: the side that sent the frame.
        state: the session's state so far.
        trigger: opcode of the frame, or the event.

    Raises:
        ProtocolViolation: ``UNEXPECTED_MESSAGE``, the state does not allow the frame.
        RequestRefused: ``UNKNOWN_MESSAGE_TYPE``, the opcode is unknown; the frame is to be skipped.
    """
    found = TRANSITIONS[role][state].get(trigger)
    if found is not None:
        return found
    try:
        name = trigger.name if isinstance(trigger, Event) else Opcode(trigger).name
    except ValueError:
        raise RequestRefused(Code.UNKNOWN_MESSAGE_TYPE, f"unknown opcode {trigger:#04x}") from None
    raise ProtocolViolation(
        Code.UNEXPECTED_MESSAGE, f"{name} from the {role.value} is not allowed in the state {state.value!r}"
    )
