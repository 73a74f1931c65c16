"""Presence calls: the call of a client that tells who it is, and who else is there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.client.client_core import ClientCore
from gateway.client.owner import OneProcess
from gateway.client.presence.presence import Presence


class PresenceCalls(OneProcess):
    """The part of :class:`~gateway.client.client.Client` about presence."""

    _core: ClientCore

    def presence(
        self, scope: str, *, metadata: Mapping[str, Any] | None = None, watch: str | None = "members"
    ) -> Presence:
        """Join a workflow or a stream, and learn who is there: ``async with client.presence("wf-42") as presence``.

        It begins with ``async with``, or else when the first change is asked for, and waits for a connection without a
        time limit while the client reconnects. This client leaves with the end of the ``with``, and when the client is
        closed. If its connection is lost, the others see it for some seconds more, in which it may come back.

        Args:
            scope: a workflow, or ``<workflow>/<name>`` for a stream, which need not exist. Each has its own members.
            metadata: tells the others about this client: a JSON object of at most 4096 bytes, ``{}`` for nothing. None:
                this client is no member, and only watches.
            watch: ``members``: all members and their changes; ``count``: their number only, which costs little if they
                are very many. None: neither.

        Raises:
            RequestRefused: ``INVALID_NAME``; ``MESSAGE_TOO_BIG``, of the metadata. When it starts: ``FORBIDDEN``,
                ``PRESENCE_FULL``, ``LIMIT_EXCEEDED``.
            InvalidArgument: no mapping as metadata; no such ``watch``.
            ConnectionFailed: the connection is gone and not opened again.
        """
        return self._core.presences.make(scope, metadata, watch, self)
