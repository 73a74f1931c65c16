"""Stream control: the calls of a client that need a permission of their own, apart from publishing and receiving."""

from __future__ import annotations

from functools import partial

from gateway.client.client_core import ClientCore
from gateway.client.owner import OneProcess
from gateway.client.time_limit import TIMEOUT_S
from gateway.protocol.messages import Delete, Deleted
from gateway.protocol.names import check_deleted


class StreamControl(OneProcess):
    """The part of :class:`~gateway.client.client.Client` that controls streams, and the permissions for it."""

    _core: ClientCore

    async def delete(self, pattern: str, *, timeout_s: float | None = TIMEOUT_S) -> list[str]:
        """Delete a stream, or all streams that match a pattern, whoever uses them, with all that is kept of them.

        Receivers are told (``on_ended`` of their subscriptions), and may go on: the next publish to the name begins a
        new stream, with another epoch and from offset 0.

        Args:
            pattern: a stream's name, or a pattern as in :meth:`~gateway.client.client.Client.subscribe`.
            timeout_s: longest time without an answer, waiting for a connection included. None: no limit.

        Returns:
            The names of the streams that were deleted; of a pattern that matches none, an empty list.

        Raises:
            RequestRefused: ``INVALID_NAME``; ``UNKNOWN_STREAM``: there is no stream of that name; ``FORBIDDEN``;
                ``QUEUE_FULL``: the store fails, see the text.
            RequestTimeout: no answer in time; the streams may have been deleted or not.
            ConnectionFailed: the connection was lost; the same holds.
        """
        context = self._core.context
        context.check()
        text = check_deleted(pattern)
        deleted: list[str] = []
        more: bool | None = True
        with context.within(timeout_s, f"the answer to the deletion of {text}") as limit:
            while more:
                session = await context.wait_ready()
                answer = await context.ask(session, partial(Delete, pattern=text))
                assert isinstance(answer, Deleted)
                limit.restart()
                deleted += answer.streams
                more = answer.more
        return deleted

    async def authenticate(self, token: str, *, timeout_s: float | None = TIMEOUT_S) -> float | None:
        """Replace the token of the running session, and of those that follow.

        Args:
            token: the new token.
            timeout_s: longest time for the answer, waiting for a connection included. None: no limit.

        Returns:
            Seconds until the token expires; None if it does not.

        Raises:
            RequestRefused: ``FORBIDDEN``.
            RequestTimeout: no answer in time; the running session may have the token or not, later ones have not.
            ConnectionFailed: the connection was lost; the same holds.
        """
        with self._core.context.within(timeout_s, "the answer to the new token"):
            return await self._core.authenticate(token)
