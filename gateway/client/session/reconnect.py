"""Keeps a client connected: when to try again, how long to wait, when to give up (``spec/client.md`` section 3)."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from typing import Final

from gateway.client.options import Backoff
from gateway.client.session.refusal import SessionRefused
from gateway.client.session.session import Session
from gateway.client.session.socket import Lost
from gateway.errors import Action, ConnectionClosed, ConnectionFailed, FrysError, action_of

logger: Final = logging.getLogger("gateway.client")


def pause_s(backoff: Backoff, action: Action, attempt: int, draw: Callable[[], float]) -> float:
    """How long to wait before an attempt: full jitter, so that clients that were cut off together come back apart.

    The first attempt, number 0, waits between 0 and ``base_s``; the upper bound doubles with each attempt, up to
    ``cap_s``.

    Args:
        action: what the close code asks for.
        attempt: how many attempts have failed before.
        draw: gives numbers from 0 up to 1.
    """
    # Past 2**64 the bound has long been the cap; the exponent is bounded so that it stays a float.
    bound_s = min(backoff.cap_s, backoff.base_s * 2.0 ** min(attempt, 64))
    later_s = backoff.later_s if action is Action.RECONNECT_LATER else 0.0
    return later_s + draw() * bound_s


def may_reconnect(action: Action, *, fresh_token: bool) -> bool:
    """Whether another attempt can help.

    Args:
        fresh_token: whether a new token can be had.
    """
    return action is not Action.DO_NOT_RECONNECT and (action is not Action.REFRESH_TOKEN or fresh_token)


class Reconnector:
    """Opens the next session after one was lost.

    Args:
        backoff: None: never.
        fresh_token: whether the token comes from a function, which is asked before every attempt.
        open_session: one attempt.
        draw: gives numbers from 0 up to 1.

    Attributes:
        attempts: made since the last session that stood for a while.
    """

    def __init__(
        self,
        backoff: Backoff | None,
        *,
        fresh_token: bool,
        open_session: Callable[[], Awaitable[Session]],
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._backoff = backoff
        self._fresh_token = fresh_token
        self._open_session = open_session
        self._draw = draw
        self.attempts = 0

    async def reopen(self, lost: Lost, lived_s: float) -> Session:
        """Try until there is a session again.

        Args:
            lost: why the last one ended.
            lived_s: how long it stood.

        Raises:
            ConnectionClosed: the code says that another attempt will not help.
            ConnectionFailed: reconnecting is switched off.
        """
        backoff, action = self._backoff, action_of(lost.code)
        if not may_reconnect(action, fresh_token=self._fresh_token):
            raise ConnectionClosed(lost.code, lost.reason)
        if backoff is None:
            raise ConnectionFailed(f"the connection was lost: {lost.reason} (code {lost.code})")
        if lived_s >= backoff.stable_s:
            self.attempts = 0
        while True:
            wait_s = pause_s(backoff, action, self.attempts, self._draw)
            self.attempts += 1
            await asyncio.sleep(wait_s)
            try:
                return await self._open_session()
            except ConnectionClosed as error:
                action = action_of(error.code)
                if not may_reconnect(action, fresh_token=self._fresh_token):
                    raise
            except SessionRefused as error:
                action = action_of(error.code)
                logger.info("attempt %d to reconnect: %s", self.attempts, error)
            except FrysError as error:
                action = Action.RECONNECT
                logger.info("attempt %d to reconnect: %s", self.attempts, error)
