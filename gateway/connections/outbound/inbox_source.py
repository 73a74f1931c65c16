"""Address to which requests and replies are sent, as the source of the messages that its receiver gets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol

from gateway.errors import RequestRefused
from gateway.protocol.messages import Kind


class Refuse(Protocol):
    """Callback that refuses a request on behalf of its replier."""

    def __call__(self, asker_peer: int, correlation: int, refusal: RequestRefused, /) -> None:
        """Refuse the request that the asker has sent under ``correlation``, if this receiver still owes its reply."""


@dataclass(slots=True, eq=False)
class InboxSource:
    """The :class:`~gateway.streams.run.Source` of the requests and replies to one connection."""

    kind: ClassVar = Kind.COLLABORATION
    preferred: ClassVar = False

    name: str
    """Address: ``agent:<client_id>`` for replies and the client's own requests, ``group:<name>`` for a group's."""
    refuse: Refuse
    """Called for a request that cannot be written in the receiver's format."""
    id: int = 0
    """The receiver's subscription to the group; 0 of its own inbox."""
