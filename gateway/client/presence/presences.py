"""Presences of a client: ATTEND on every new session, MEMBERS to the presence of their scope (spec section 16)."""

from __future__ import annotations

import asyncio
import contextlib
import weakref
from functools import partial
from typing import Final

from gateway.client.presence.presence import Json, Presence, PresenceCore, copied_metadata
from gateway.client.sending.send_context import SendContext
from gateway.client.session.answers import Answer
from gateway.client.session.session import Session
from gateway.errors import ConnectionFailed, FrysError, RequestRefused, UsageError
from gateway.protocol.arguments import wrong
from gateway.protocol.frames import Frame, body_of
from gateway.protocol.json_body import EXACT_MAX
from gateway.protocol.names import check_scope
from gateway.protocol.presence import Attend, Attending, Awareness, Members, Watching
from gateway.protocol.session_body import parse_session

SHOW_INTERVAL_S: Final = 0.05
"""Least time between two AWARENESS of one presence."""

NOT_AWAITED: Final = EXACT_MAX
"""Number of a request whose answer nobody awaits."""

AWARENESS_KEPT_S: Final = 30.0
"""Time for which an awareness is shown again on a new connection."""


class Presences:
    """Presences that the program has opened, kept across reconnects; the
    :class:`~gateway.client.presence.presence.PresenceControl` of all.

    Args:
        context: the way out.
    """

    def __init__(self, context: SendContext) -> None:
        self._context = context
        self._loop = asyncio.get_running_loop()
        self._open: dict[str, PresenceCore] = {}
        self._attended: set[str] = set()
        """Scopes in which the present session has a part, as far as was asked for."""
        self._held: weakref.WeakKeyDictionary[PresenceCore, weakref.ref[Presence]] = weakref.WeakKeyDictionary()
        """Presences that the program holds; one that it drops is closed."""

    def make(self, scope: str, metadata: Json | None, watch: str | None, client: object) -> Presence:
        """Return a new presence, which is not open; see :meth:`gateway.client.client.Client.presence`."""
        self._context.check()
        core = PresenceCore(check_scope(scope), copied_metadata(metadata), _watching(watch), self._context.owner.check)
        presence = Presence(core, self, client)
        self._held[core] = weakref.ref(presence)
        weakref.finalize(presence, self._context.owner.call_soon, partial(self._drop, core)).atexit = False
        return presence

    # Calls of a presence.

    async def start(self, core: PresenceCore) -> None:
        """Send ATTEND, again on every later session, and wait until the members are known."""
        session = await self._context.wait_ready()
        if core.over:  # closed meanwhile
            return
        other = self._open.get(core.scope)
        if other is not None and self._is_held(other):
            raise UsageError(
                f"this client has a presence of {core.scope} open already: use that one (update() changes its"
                " metadata), or close it first; another client may have one of its own"
            )
        self._open[core.scope] = core
        try:
            try:
                await self._ask(session, core)
            except ConnectionFailed:
                await self._context.wait_ready()  # attached() has asked again, or the client has given up
        except BaseException as error:
            self._forget(core)
            if isinstance(error, asyncio.CancelledError):  # the gateway may know of it already
                self._context.start(self._leave(core.scope))
            raise
        await core.known.wait()
        if core.error is not None:
            raise core.error.with_traceback(None)

    async def stop(self, core: PresenceCore) -> None:
        """Leave the scope. Without a connection the gateway does it itself."""
        if self._context.session is not None:
            self._context.owner.check()
        if self._forget(core):
            await self._leave(core.scope)

    async def update(self, core: PresenceCore, metadata: Json | None, timeout_s: float | None) -> None:
        """Replace the metadata, at once or on the next session."""
        self._context.check()
        if self._open.get(core.scope) is not core:  # not connected yet, refused, or another one has the scope
            raise UsageError(f"the presence of {core.scope} is not open")
        before, core.metadata = core.metadata, metadata
        with self._context.within(timeout_s, f"the answer to the metadata for {core.scope}"):
            try:
                session = await self._context.wait_ready()
                await self._context.ask(session, partial(_request, core), partial(self._answered, core))
            except ConnectionFailed:
                await self._context.wait_ready()  # attached() has asked again, or the client has given up
            except RequestRefused:
                if core.metadata is metadata:
                    core.metadata = before
                raise

    def show(self, core: PresenceCore, state: Json | None) -> None:
        """Replace the awareness, at once or when it is time for the next one."""
        self._context.check()
        core.state, core.shown_s, core.unsent = state, self._loop.time(), True
        if not core.resting:
            self._send_state(core)

    # Sessions.

    def attached(self, session: Session) -> None:
        """Attend all scopes again on a new session."""
        self._attended.clear()
        for core in self._open.values():
            core.answered = False
            # The gateway may be another one, or what was sent last may be lost.
            core.unsent = core.shown_s is not None and self._loop.time() < core.shown_s + AWARENESS_KEPT_S
            self._context.start(self._resume(session, core))

    def received(self, message: memoryview, frame: Frame) -> None:
        """Take one MEMBERS."""
        members = parse_session(frame.opcode, body_of(message, frame))
        assert isinstance(members, Members)
        core = self._open.get(members.scope)
        if core is not None:
            core.take(members)

    def sign_off(self) -> None:
        """Leave all scopes: the client closes its session, and waits for no answer."""
        session = self._context.session
        if session is not None and session.open:
            for scope in self._open:
                session.send_session(Attend(NOT_AWAITED, scope))

    def close(self, error: FrysError | None) -> None:
        """End all presences since the client is closed, with ``error`` if the application did not close it."""
        for core in list(self._open.values()):
            core.end(error)
        self._open.clear()

    async def _resume(self, session: Session, core: PresenceCore) -> None:
        if self._open.get(core.scope) is not core:  # closed meanwhile
            return
        try:
            await self._ask(session, core)
        except RequestRefused as error:
            self._forget(core)
            core.end(error)
        except ConnectionFailed:
            pass  # this session is over as well; the next one asks again
        except Exception as error:
            # A boundary: the next connection asks again, as this one could not.
            session.abort(f"{core.scope} could not be attended again: {error!r}")
            raise

    async def _ask(self, session: Session, core: PresenceCore) -> None:
        core.answered = False
        if core.scope in self._attended:  # an earlier presence has not left yet: the gateway would send no roster
            session.send_session(Attend(NOT_AWAITED, core.scope))
        self._attended.add(core.scope)
        # The members may come in the same WebSocket message as the answer.
        await self._context.ask(session, partial(_request, core), partial(self._answered, core))

    def _answered(self, core: PresenceCore, answer: Answer) -> None:
        assert isinstance(answer, Attending)
        core.answered = True
        core.roster.count = answer.count
        if core.watching is not Watching.MEMBERS:
            core.known.set()
        if core.unsent and not core.resting:
            self._send_state(core)

    def _send_state(self, core: PresenceCore) -> None:
        session = self._context.session
        if session is None or not session.open or not core.answered or core.metadata is None:
            return  # it goes out with the next answer
        core.unsent, core.resting = False, True
        session.send_session(Awareness(core.scope, core.state))
        self._loop.call_later(SHOW_INTERVAL_S, self._rested, core)

    def _rested(self, core: PresenceCore) -> None:
        core.resting = False
        if core.unsent and not core.over:
            self._send_state(core)

    async def _leave(self, scope: str) -> None:
        session = self._context.session
        if session is not None and scope not in self._open:
            self._attended.discard(scope)
            with contextlib.suppress(ConnectionFailed, RequestRefused):
                await self._context.ask(session, lambda request: Attend(request, scope))

    def _drop(self, core: PresenceCore) -> None:
        """Close a presence that the program has dropped."""
        core.end()
        if self._forget(core):
            self._context.start(self._leave(core.scope))

    def _forget(self, core: PresenceCore) -> bool:
        found = self._open.get(core.scope) is core
        if found:
            del self._open[core.scope]
        return found

    def _is_held(self, core: PresenceCore) -> bool:
        held = self._held.get(core)
        return held is not None and held() is not None


def _request(core: PresenceCore, request: int) -> Attend:
    return Attend(request, core.scope, core.metadata, core.watching)


def _watching(watch: str | None) -> Watching | None:
    try:
        return None if watch is None else Watching(watch)
    except ValueError:
        raise wrong("watch", watch, f"it must be one of {', '.join(Watching)}, or None") from None
