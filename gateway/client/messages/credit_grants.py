"""How much a subscription lets the gateway send before it is through with it (spec section 7.5)."""

from __future__ import annotations

from gateway.client.session.session import Session
from gateway.errors import InvalidArgument
from gateway.protocol.messages import Credits
from gateway.protocol.signals import Credit


class CreditGrants:
    """Grants again what the program is through with, whenever that is half of the window.

    Args:
        window: what may be under way; ``None`` leaves it to the gateway, which needs no grants then.

    Raises:
        InvalidArgument: a window in which nothing fits.
    """

    __slots__ = ("_messages", "_nbytes", "_number", "_session", "window")

    def __init__(self, window: Credits | None) -> None:
        if window is not None and (window.messages < 1 or window.bytes < 1):
            raise InvalidArgument(f"{window}: at least 1 message and 1 byte are needed")
        self.window = window
        self._session: Session | None = None
        self._number = 0
        self._messages = 0
        self._nbytes = 0

    def begin(self, session: Session, number: int) -> None:
        """The subscription has this number on a new session, and the whole window."""
        self._session = session
        self._number = number
        self._messages = self._nbytes = 0

    def settle(self, session: Session | None, nbytes: int) -> None:
        """A message that came on ``session`` does not wait for the program any more."""
        window = self.window
        if window is None or session is None or session is not self._session:
            return
        self._messages += 1
        self._nbytes += nbytes
        if self._messages * 2 >= window.messages or self._nbytes * 2 >= window.bytes:
            session.send((Credit(self._number, self._messages, self._nbytes).write(),))
            self._messages = self._nbytes = 0
