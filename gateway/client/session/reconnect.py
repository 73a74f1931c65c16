"""Reconnecting: when to try again, how long to wait, when to give up (``spec/client.md`` section 3)."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from typing import Final

from gateway.client.options import Backoff
from gateway.client.pauses import pause_s
from gateway.client.report import raise_soon
from gateway.client.session.handshake_refusal import SessionRefused
from gateway.client.session.outage import Outage
from gateway.client.session.session import Session
from gateway.client.session.socket import Lost
from gateway.errors import Action, ConnectionClosed, ConnectionFailed, FrysError, action_of

logger: Final = logging.getLogger("gateway.client")


def may_reconnect(action: Action, *, fresh_token: bool) -> bool:
    """Return whether another attempt can help.

    Args:
        action: action that the close code asks for.
        fresh_token: whether a new token can be fetched.
    """
    return action is not Action.DO_NOT_RECONNECT and (action is not Action.REFRESH_TOKEN or fresh_token)


def is_cancelled(error: BaseException) -> bool:
    """Return whether an error is the cancellation of the running task, not one that a callback has raised."""
    task = asyncio.current_task()
    return isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling() > 0


class Reconnector:
    """Opening of the first session, and of the next one after one was lost.

    Args:
        backoff: bounds on the wait between attempts; ``None``: never reconnect.
        outage: told the error of each attempt.
        fresh_token: whether the token comes from a function, which is called before every attempt.
        open_session: makes one attempt.
        draw: returns random numbers from 0 up to 1.

    Attributes:
        attempts: attempts since the last session that stood for ``stable_s`` of the backoff.
    """

    def __init__(
        self,
        backoff: Backoff | None,
        outage: Outage,
        *,
        fresh_token: bool,
        open_session: Callable[[], Awaitable[Session]],
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._backoff = backoff
        self._outage = outage
        self._fresh_token = fresh_token
        self._open_session = open_session
        self._draw = draw
        self.attempts = 0

    async def open(self, timeout_s: float) -> Session:
        """Open the first session: one attempt, and another each time that the gateway names a time to return.

        Args:
            timeout_s: time after which no further attempt is begun.

        Raises:
            See :func:`gateway.client.session.greeting.open_session`.
        """
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + timeout_s
        backoff = self._backoff or Backoff()
        while True:
            try:
                return await self._open_session()
            except SessionRefused as refused:
                if refused.retry_after_s is None or loop.time() + refused.retry_after_s > deadline_s:
                    raise
                # With the jitter of every pause: a proxy may name no time at all, and is not to be asked without end.
                wait_s = pause_s(backoff, action_of(refused.code), 0, self._draw, refused.retry_after_s)
                logger.info("connecting: %s", refused)
            await asyncio.sleep(wait_s)

    async def reopen(self, lost: Lost, lived_s: float) -> Session:
        """Try until a session is open, and return it.

        Args:
            lost: reason for which the last session ended.
            lived_s: seconds for which that session stood.

        Raises:
            ConnectionClosed: the close code says that another attempt will not help.
            ConnectionFailed: reconnecting is switched off.
        """
        backoff, action = self._backoff, action_of(lost.code)
        if not may_reconnect(action, fresh_token=self._fresh_token):
            raise ConnectionClosed(lost.code, lost.reason)
        if backoff is None:
            raise ConnectionFailed(f"the connection was lost: {lost.reason} (code {lost.code})")
        if lived_s >= backoff.stable_s:
            self.attempts = 0
        retry_after_s = lost.retry_after_s
        while True:
            wait_s = pause_s(backoff, action, self.attempts, self._draw, retry_after_s)
            self.attempts += 1
            await asyncio.sleep(wait_s)
            retry_after_s = None
            try:
                return await self._attempt()
            except ConnectionClosed as error:
                action = action_of(error.code)
                if not may_reconnect(action, fresh_token=self._fresh_token):
                    raise
            except SessionRefused as error:
                action, retry_after_s = action_of(error.code), error.retry_after_s
                logger.info("attempt %d to reconnect: %s", self.attempts, error)
            except FrysError as error:
                action = Action.RECONNECT
                logger.info("attempt %d to reconnect: %s", self.attempts, error)
            except GeneratorExit:  # the loop has ended
                raise
            except BaseException as error:
                # A boundary: whatever a callback of the program, the system or this library raises, the next attempt
                # may succeed.
                if is_cancelled(error):
                    raise
                action = Action.RECONNECT
                logger.warning("attempt %d to reconnect failed unexpectedly", self.attempts, exc_info=error)
                if isinstance(error, (SystemExit, KeyboardInterrupt)):
                    raise_soon(error)

    async def _attempt(self) -> Session:
        try:
            return await self._open_session()
        except BaseException as error:
            self._outage.attempt_failed(error)
            raise
