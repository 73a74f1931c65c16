"""Notices to publishers about the outcome of their messages at a receiver (spec section 7.6)."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from gateway.connections.ports import Clock
from gateway.connections.sessions.pool import Pool
from gateway.connections.sessions.session import Session
from gateway.ids import ClientId
from gateway.protocol.messages import Notice
from gateway.streams.producers import Window


class Author(NamedTuple):
    """Publisher of a message: its connection, and the identity by which a later connection of it is found."""

    peer: int = 0
    client_id: ClientId = ClientId("")
    window: Window | None = None
    """Window of the producer, for a message that was published before this gateway was started."""


class Notices:
    """Notices of one turn of the loop, sent at its end: one NOTICE for offsets that follow one another.

    Args:
        pool: the connections.
        clock: for the end of the turn.
    """

    def __init__(self, pool: Pool, clock: Clock) -> None:
        self._pool = pool
        self._clock = clock
        self._waiting: list[tuple[Author, Notice]] = []

    def author_of(self, peer: int) -> Author:
        """Return the author that publishes on the connection with this number."""
        session = self._pool.get(peer)
        return Author(peer, ClientId("") if session is None else session.peer.client_id)

    def tell(self, author: Author, notice: Notice) -> None:
        """Send a notice to its publisher at the end of the turn; drop it if the publisher has no connection then."""
        if not self._waiting:
            self._clock.call_soon(self._flush)
        else:
            last_author, last = self._waiting[-1]
            joined = replace(last, last=notice.last)
            following = None if last.last is None else last.last + 1
            if author == last_author and notice == replace(joined, first=following):
                self._waiting[-1] = (author, joined)
                return
        self._waiting.append((author, notice))

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        for author, notice in waiting:
            session = self._session_of(author)
            if session is not None:
                session.connection.send(notice)

    def _session_of(self, author: Author) -> Session | None:
        if author.window is None:
            return self._pool.get(author.peer) or self._pool.newest_of(author.client_id)
        holder = author.window.holder
        return None if holder is None else self._pool.get(holder.peer)
