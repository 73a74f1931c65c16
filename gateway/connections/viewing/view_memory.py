"""Memory of views: the bytes of their newest messages, of all views and of those that one connection receives.

A peer that names thousands of views costs the gateway as many versions of a state, which nobody has published.
"""

from __future__ import annotations

from typing import Final

from gateway.connections.sessions.session import Session
from gateway.errors import Code, RequestRefused
from gateway.protocol.limits import Limits

VIEW_BYTES: Final = 4096
"""Memory that a view takes beside its newest message, as it is counted; so views of ``event`` streams count, too."""


class ViewMemory:
    """Bytes that views hold, and their bounds.

    Each bound is met by the views before the last one: a single view of any size is taken.

    Args:
        limits: the bounds.
    """

    __slots__ = ("_limits", "_of_sessions", "held_bytes")

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.held_bytes = 0
        """Bytes of all views."""
        self._of_sessions: dict[Session, int] = {}

    def held_by(self, session: Session) -> int:
        """Return the bytes of the views that a connection receives."""
        return self._of_sessions.get(session, 0)

    def check(self, session: Session, view: str, *, new: bool) -> None:
        """Refuse one more view of a connection if its views, or those of all, take as much as they may.

        Args:
            session: the connection.
            view: description of the view and its stream, for the error.
            new: nobody receives the view yet.

        Raises:
            RequestRefused: ``LIMIT_EXCEEDED``.
        """
        limits, held_bytes = self._limits, self.held_by(session)
        if held_bytes >= limits.max_connection_view_bytes:
            problem = f"{view}: the views of the connection hold {held_bytes} bytes already"
            limit = f"max_connection_view_bytes={limits.max_connection_view_bytes}"
            raise _refused(f"{problem}, {limit}: unsubscribe from one, or ask for less")
        if new:
            self._check_all(view, self.held_bytes)

    def check_growth(self, view: str, before_bytes: int, after_bytes: int) -> None:
        """Refuse a message of a view that is larger than the one before, if all other views take as much as they may.

        Raises:
            RequestRefused: ``LIMIT_EXCEEDED``.
        """
        if after_bytes > before_bytes:
            self._check_all(view, self.held_bytes - before_bytes)

    def exceeded_by(self, session: Session, view_bytes: int) -> bool:
        """Return whether a connection holds too much with one of its views, which has grown to ``view_bytes``."""
        return self.held_by(session) - view_bytes >= self._limits.max_connection_view_bytes

    def add(self, view_bytes: int) -> None:
        """Count the bytes by which a view, or all views, have grown; negative if they have shrunk."""
        self.held_bytes += view_bytes

    def add_to(self, session: Session, view_bytes: int) -> None:
        """Count the bytes by which the views of one connection have grown or shrunk."""
        held_bytes = self.held_by(session) + view_bytes
        if held_bytes:
            self._of_sessions[session] = held_bytes
        else:
            self._of_sessions.pop(session, None)

    def _check_all(self, view: str, others_bytes: int) -> None:
        limit = self._limits.max_view_bytes
        if others_bytes >= limit:
            problem = f"{view}: the views of the gateway hold {others_bytes} bytes already, max_view_bytes={limit}"
            raise _refused(f"{problem}: try again later, or ask for less")


def _refused(problem: str) -> RequestRefused:
    return RequestRefused(Code.LIMIT_EXCEEDED, problem)
