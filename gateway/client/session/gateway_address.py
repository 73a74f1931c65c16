"""Gateway address: the URL of the next attempt to connect, which a gateway that stops may change (spec section 3.3)."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Final

from gateway.client.options import Options
from gateway.client.session.greeting import open_session
from gateway.client.session.introduction import Introduction
from gateway.client.session.session import Session, SessionEvents
from gateway.client.session.socket_opening import parse_url
from gateway.errors import ConnectionClosed, ConnectionFailed, InvalidArgument

logger: Final = logging.getLogger("gateway.client")


class GatewayAddress:
    """The program's URL, or the address that the last gateway has named; attempts that fail take turns.

    Args:
        home: URL that the program has given.

    Attributes:
        url: URL of the next attempt.
    """

    __slots__ = ("_away", "_home", "_is_proven", "url")

    def __init__(self, home: str) -> None:
        self._home = self.url = home
        self._away: str | None = None
        """Address of another gateway."""
        self._is_proven = False
        """Whether the client was connected there."""

    def follow(self, address: str | None) -> None:
        """Go to an address, at the next attempt; stay if there is none, or if the client must not go there."""
        if address is None:
            return
        try:
            refused = parse_url(self._home).secure and not parse_url(address).secure
        except InvalidArgument as error:
            logger.warning("the gateway names an address that is none: %s", error)
            return
        if refused:
            logger.warning("the client does not go to %s, because its own URL is %s", address, self._home)
            return
        self._away, self._is_proven = None if address == self._home else address, False
        self.url = address

    async def open(self, options: Options, introduction: Introduction, events: SessionEvents) -> Session:
        """Make one attempt; see :func:`gateway.client.session.greeting.open_session`.

        An address that refuses the client for ever, before it has ever been connected there, is forgotten.

        Raises:
            ConnectionClosed: the gateway refused, and would again.
            ConnectionFailed: the attempt failed; the next one goes to the other URL, if there are two.
        """
        url = self.url
        try:
            session = await open_session(
                options if url == options.url else replace(options, url=url), introduction, events
            )
        except ConnectionClosed as error:
            if url != self._away or self._is_proven:
                raise
            self._away, self.url = None, self._home
            raise ConnectionFailed(f"{url}, which the gateway named, refuses this client: {error}") from error
        except BaseException:
            if self._away is not None:
                self.url = self._home if url == self._away else self._away
            raise
        self._is_proven = self._is_proven or url == self._away
        return session
