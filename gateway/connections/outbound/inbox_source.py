"""Address to which requests and replies are sent, as the source of the messages that its receiver gets."""

from __future__ import annotations

from typing import Protocol

from gateway.errors import RequestRefused
from gateway.protocol.messages import Kind


class Refuse(Protocol):
    """Callback that refuses a request on behalf of its replier."""

    def __call__(self, asker_peer: int, correlation: int, refusal: RequestRefused, /) -> None:
        """Refuse the request that the asker has sent under ``correlation``, if this receiver still owes its reply."""


class InboxSource:
    """The :class:`~gateway.streams.run.Source` of the requests and replies to one connection.

    Args:
        address: ``agent:<client_id>`` for replies and the client's own requests, ``group:<name>`` for a group's.
        refuse: called for a request that cannot be written in the receiver's format.
        number: the receiver's subscription to the group; 0 of its own inbox.
    """

    __slots__ = ("id", "name", "refuse")

    kind = Kind.COLLABORATION

    def __init__(self, address: str, refuse: Refuse, number: int = 0) -> None:
        self.name = address
        self.id = number
        self.refuse = refuse
