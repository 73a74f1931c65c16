"""Size of JSON from a client, checked before it is parsed: that is one step, whatever it contains (spec section 13)."""

from __future__ import annotations

from typing import Final

from gateway.errors import Code, ProtocolViolation, RequestRefused
from gateway.protocol.wire import Buffer, Opcode

MAX_BODY_BYTES: Final = 64 * 1024
"""Size of the largest JSON body that a client may send (spec section 13): reading one takes some milliseconds."""

MAX_OPEN_BYTES: Final = 256 * 1024
"""The same for OPEN, whose schema may declare many tensors."""

MAX_CONTAINERS: Final = 16 * 1024
"""Lists and objects in JSON of more than :data:`MAX_BODY_BYTES`: 256 KiB of nothing else take 5 ms, these take 1 ms."""


def check_body(opcode: int, body: Buffer) -> None:
    """Check the body of a frame from a client before it is parsed.

    Args:
        opcode: one of :data:`~gateway.protocol.wire.JSON_OPCODES`.
        body: the body.

    Raises:
        ProtocolViolation: as :func:`check_body_size`.
        RequestRefused: as :func:`check_body_size` and :func:`check_containers`.
    """
    check_body_size(opcode, len(body))
    if len(body) > MAX_BODY_BYTES:
        check_containers(Opcode(opcode).name, bytes(body))


def check_body_size(opcode: int, nbytes: int) -> None:
    """Check the size of a body that a client has sent.

    Args:
        opcode: one of :data:`~gateway.protocol.wire.JSON_OPCODES`.
        nbytes: size of the body.

    Raises:
        ProtocolViolation: ``BAD_HELLO``, a HELLO is larger than :data:`MAX_BODY_BYTES`.
        RequestRefused: ``MESSAGE_TOO_BIG``, another message is, or an OPEN is larger than :data:`MAX_OPEN_BYTES`.
    """
    limit = MAX_OPEN_BYTES if opcode == Opcode.OPEN else MAX_BODY_BYTES
    if nbytes > limit:
        problem = f"{Opcode(opcode).name} has {nbytes} bytes of JSON, more than {limit}"
        if opcode == Opcode.HELLO:
            raise ProtocolViolation(Code.BAD_HELLO, problem)
        remedy = ": send it in parts, by its field more" if opcode == Opcode.SUBSCRIBE else ""
        raise RequestRefused(Code.MESSAGE_TOO_BIG, f"{problem}{remedy}")


def check_containers(what: str, text: bytes) -> None:
    """Check the number of lists and objects in JSON of more than :data:`MAX_BODY_BYTES`; smaller JSON has no bound.

    Args:
        what: name of the JSON in the error.
        text: the JSON; brackets within strings count, too.

    Raises:
        RequestRefused: ``MESSAGE_TOO_BIG``, there are more than :data:`MAX_CONTAINERS`.
    """
    found = text.count(b"[") + text.count(b"{") if len(text) > MAX_BODY_BYTES else 0
    if found > MAX_CONTAINERS:
        problem = f"{what} has {found} lists and objects in {len(text)} bytes of JSON"
        raise RequestRefused(Code.MESSAGE_TOO_BIG, f"{problem}: send at most {MAX_CONTAINERS}")
