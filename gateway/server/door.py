"""Door: asks admission about each socket, and writes the answer to those that may not come in now.

The answer is plain HTTP, before anything of a WebSocket is made.
"""

from __future__ import annotations

import math
from http import HTTPStatus
from typing import Final

from gateway.connections.admission.admission import Admission, Reason, RetryAfter
from gateway.connections.ports import Clock
from gateway.server.library import NO_WEBSOCKET
from gateway.server.request_head import CLIENT_TYPES, MAX_HEAD_BYTES, RequestHead

_STATUS: Final = {Reason.ADDRESS: HTTPStatus.TOO_MANY_REQUESTS}
"""Status of the answer, where it is not 503."""

QUOTED: Final = 40
"""Characters of a wrong type of client that are told."""


class Door:
    """Door of one gateway.

    Args:
        admission: decides.
        clock: time of the decisions.
    """

    def __init__(self, admission: Admission, clock: Clock) -> None:
        self._admission = admission
        self._clock = clock
        self._addresses: dict[object, str] = {}
        """Address of each socket that counts, if addresses have a bound."""
        self._admitted: set[object] = set()
        """Sockets among them that may have a WebSocket."""

    def enters(self, websocket: object, address: str) -> bool:
        """Count an accepted socket until :meth:`left`; return whether it may stay.

        Args:
            websocket: the socket.
            address: address and port of its peer; empty: none is known.
        """
        if not self._admission.counts_addresses:
            return True
        host = _host_of(address)
        if not self._admission.enter(host):
            return False
        self._addresses[websocket] = host
        return True

    def left(self, websocket: object) -> None:
        """Count a socket no more; one that is not counted is ignored."""
        address = self._addresses.pop(websocket, None)
        if address is not None:
            self._admission.leave(address, admitted=websocket in self._admitted)
            self._admitted.discard(websocket)

    def refusal(self, websocket: object, head: RequestHead, address: str) -> bytes | None:
        """Return the HTTP answer to a request that gets no WebSocket now; ``None``: it may have one.

        Args:
            websocket: the socket.
            head: head of its request, complete or too large.
            address: address and port of its peer; empty: none is known.
        """
        if head.too_large:
            status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
            return http_answer(status, f"the head exceeds {MAX_HEAD_BYTES} bytes\n")
        if head.is_of_other_method:
            return http_answer(HTTPStatus.METHOD_NOT_ALLOWED, NO_WEBSOCKET)
        named = head.named_type
        if named is not None and head.client_type is None:
            return http_answer(HTTPStatus.BAD_REQUEST, _no_type(named))
        # The one that the socket counts for: a socket that has been closed meanwhile has none any more.
        counted = self._addresses.get(websocket)
        host = _host_of(address) if counted is None else counted
        decision = self._admission.decide(head.client_type, host, self._clock.monotonic_s())
        if not isinstance(decision, RetryAfter):
            if counted is not None:
                self._admitted.add(websocket)
            return None
        status = _STATUS.get(decision.reason, HTTPStatus.SERVICE_UNAVAILABLE)
        return http_answer(status, f"{decision.message}\n", decision.retry_after_s)


def _no_type(named: str) -> str:
    """Return the text for a client whose URL has a type that there is not, in ASCII."""
    return f"client_type={named[:QUOTED]!a} is none of {', '.join(CLIENT_TYPES)}: name one of these, or leave it out\n"


def _host_of(address: str) -> str:
    """Return the host of ``host:port`` or ``[host]:port``."""
    return address.rpartition(":")[0].strip("[]")


def http_answer(status: HTTPStatus, text: str, retry_after_s: float | None = None) -> bytes:
    """Return an HTTP answer behind which the connection is closed.

    Args:
        status: its status.
        text: its body, of ASCII, for people.
        retry_after_s: time after which the client may try again: told in whole seconds to every client, and in
            milliseconds to those that know the field ``Retry-After-Ms``.
    """
    lines = [
        f"HTTP/1.1 {status.value} {status.phrase}",
        "Connection: close",
        "Content-Type: text/plain; charset=utf-8",
        f"Content-Length: {len(text)}",
    ]
    if retry_after_s is not None:
        lines.append(f"Retry-After: {math.ceil(retry_after_s)}")
        lines.append(f"Retry-After-Ms: {math.ceil(retry_after_s * 1000)}")
    return "\r\n".join([*lines, "", text]).encode()
