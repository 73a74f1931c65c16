"""Answer to ACCOUNT, made and sent in parts of a bounded size (spec section 7.7).

The counts of all streams of a part are taken in the step that sends it, so that they cover what was written before.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from gateway.connections.outbound.connection import Connection
from gateway.protocol.messages import Account, Counts

STEP_STREAMS: Final = 128
"""Streams that one step looks at: some hundred microseconds."""
PART_BYTES: Final = 12 * 1024
"""Size of a part at which it is sent; it is made in some hundred microseconds."""
ENTRY_BYTES: Final = 220
"""Most bytes that the counts of one stream take beside its name."""
ROUNDS: Final = 8
"""Rounds of looking for streams that were announced during the one before; past it they are left out.

Others may open streams without end, but the answer has one.
"""

_Entry = tuple[int | None, str]
"""Id and name of a stream; without an id one that has no account: it has ended, or is not announced."""


class AccountAnswer:
    """One answer on its way to a connection, which has one at a time.

    Args:
        connection: the asker.
        request: ACCOUNT, as it was asked.
    """

    def __init__(self, connection: Connection, request: Account) -> None:
        self._connection = connection
        self._request = request
        self._named: set[str] = set()
        """Streams of the parts that were sent: a stream may end, and the next one of its name be announced."""

    def sending(self) -> Iterator[None]:
        """Look at some streams after the other, and send a part when there is enough."""
        accounts = self._connection.accounts
        part: list[_Entry] = []
        used_bytes = looked = 0
        ids = accounts.ids
        for rounds_left in reversed(range(ROUNDS)):
            newcomers: list[int] = []
            accounts.newcomers = newcomers if rounds_left else None
            for entry in self._looking(ids):
                looked += 1
                if entry is not None:
                    part.append(entry)
                    used_bytes += len(entry[1]) + ENTRY_BYTES
                if used_bytes > PART_BYTES:
                    self._send(part, more=True)
                    part, used_bytes = [], 0
                    yield
                elif not looked % STEP_STREAMS:
                    yield
            ids = newcomers
            if not ids:
                break
        accounts.newcomers = None
        self._send(part)

    def _looking(self, ids: Sequence[int]) -> Iterator[_Entry | None]:
        """Look at streams by their ids, then at those without an account; yield ``None`` for one that is left out."""
        accounts, subscription = self._connection.accounts, self._request.subscription
        for stream in ids:
            found = accounts.find(stream, subscription)
            yield None if found is None else (stream, found[0].name)
        for name in accounts.names_without_account(subscription):
            yield None if name in self._named else (None, name)

    def _send(self, part: Iterable[_Entry], *, more: bool | None = None) -> None:
        """Send the counts of these streams, of which some may have ended, or been announced, since they were looked at.

        Args:
            part: the streams.
            more: whether another part follows.
        """
        connection, request = self._connection, self._request
        accounts, subscription = connection.accounts, request.subscription
        streams: dict[str, Counts] = {}
        for stream, name in part:
            found = None if stream is None else accounts.find(stream, subscription)
            if found is not None:
                connection.book(found[0])
            counts = accounts.counts_of(subscription, name, None if found is None else found[1])
            if counts is not None and name not in self._named and (found is not None or name not in streams):
                streams[name] = counts
        self._named.update(streams)
        connection.send(Account(request.request, subscription, streams, more))
