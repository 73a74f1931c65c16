"""Answer to ACCOUNT, made and sent in parts of a bounded size (spec section 7.7).

The counts of all streams of a part are taken in the step that sends it, so that they cover what was written before.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from gateway.connections.outbound.connection import Connection
from gateway.protocol.messages import Account, Counts

STEP_STREAMS: Final = 128
"""Streams that one step looks at: some hundred microseconds."""
PART_BYTES: Final = 48 * 1024
"""Size of a part at which it is sent."""
ENTRY_BYTES: Final = 220
"""Most bytes that the counts of one stream take beside its name."""
ROUNDS: Final = 8
"""Rounds of looking for streams that were announced during the one before; past it they are left out.

Others may open streams without end, but the answer has one.
"""


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
        accounts, subscription = self._connection.accounts, self._request.subscription
        part: list[int] = []
        used_bytes = looked = 0
        ids = accounts.ids
        for rounds_left in reversed(range(ROUNDS)):
            newcomers: list[int] = []
            accounts.newcomers = newcomers if rounds_left else None
            for stream in ids:
                looked += 1
                found = accounts.find(stream, subscription)
                if found is not None:
                    part.append(stream)
                    used_bytes += len(found[0].name) + ENTRY_BYTES
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
        names: list[str] = []
        for name in accounts.names_without_account(subscription):
            names.append(name)
            used_bytes += len(name) + ENTRY_BYTES
            if used_bytes > PART_BYTES:
                self._send(part, names, more=True)
                part, names, used_bytes = [], [], 0
                yield
        self._send(part, names)

    def _send(self, part: list[int], names: Sequence[str] = (), *, more: bool | None = None) -> None:
        """Send the counts of these streams, of which some may have ended since they were looked at.

        Args:
            part: their ids.
            names: further streams, which had no account.
            more: whether another part follows.
        """
        connection, request, named = self._connection, self._request, self._named
        streams: dict[str, Counts] = {}
        for stream in part:
            found = connection.accounts.find(stream, request.subscription)
            if found is not None and found[0].name not in named:
                source, account = found
                connection.book(source)
                counts = connection.accounts.counts_of(request.subscription, source.name, account)
                assert counts is not None
                streams[source.name] = counts
        for name in names:
            counts = connection.accounts.counts_of(request.subscription, name)
            if counts is not None and name not in named:
                streams.setdefault(name, counts)
        named.update(streams)
        connection.send(Account(request.request, request.subscription, streams, more))
