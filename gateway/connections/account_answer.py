"""Answer to ACCOUNT, made and sent in parts of a bounded size (spec section 7.7).

The counts of one stream are those of the moment in which its part is made.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from gateway.connections.outbound.connection import Connection
from gateway.protocol.messages import Account, Counts

STEP_STREAMS: Final = 128
"""Streams that one step looks at: some hundred microseconds."""
PART_BYTES: Final = 48 * 1024
"""Size of a part at which it is sent."""
ENTRY_BYTES: Final = 220
"""Most bytes that the counts of one stream take beside its name."""


class AccountAnswer:
    """One answer on its way to a connection.

    Args:
        connection: the asker.
        request: ACCOUNT, as it was asked.
    """

    def __init__(self, connection: Connection, request: Account) -> None:
        self._connection = connection
        self._request = request
        self._looks = self._look()

    def step(self) -> bool:
        """Look at some streams, and send a part when there is enough; return False when all parts are sent."""
        return next(self._looks, False)

    def _look(self) -> Iterator[bool]:
        connection, request = self._connection, self._request
        streams: dict[str, Counts] = {}
        used_bytes = 0
        for looked, (name, counts) in enumerate(self._counts()):
            if counts is not None:
                streams[name] = counts
                used_bytes += len(name) + ENTRY_BYTES
            if used_bytes > PART_BYTES or looked % STEP_STREAMS == STEP_STREAMS - 1:
                # In the step that has looked at them: it covers all frames that were written before it.
                if streams:
                    connection.send(Account(request.request, request.subscription, streams, more=True))
                    streams, used_bytes = {}, 0
                yield True
        connection.send(Account(request.request, request.subscription, streams))

    def _counts(self) -> Iterator[tuple[str, Counts | None]]:
        """Yield each stream of the connection, with its counts if it has any in the subscription."""
        connection, subscription = self._connection, self._request.subscription
        accounts, memberships = connection.accounts, connection.memberships
        booked = set()
        # Twice, because streams are joined while the others are looked at.
        for _ in range(2):
            for source in [source for source in memberships if source.id not in booked]:
                membership = memberships.get(source)
                if membership is not None:
                    membership.book(connection)
                    booked.add(source.id)
                    yield source.name, accounts.counts_of(source.id, subscription)
        yield from accounts.of(subscription, beside=booked)
