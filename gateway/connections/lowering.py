"""Lowering: subscriptions get the lower view that they have named, while their connections cannot take the other one.

A stream changes from one view to the other between two messages: what the client has been sent of the one goes on
with the next offset of the other, and counts in the same account (spec section 4.5).
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from itertools import islice
from typing import Final, NamedTuple

from gateway.connections.fanout.start_position import StartPosition, start_of_other_view
from gateway.connections.hub.views import Views
from gateway.connections.outbound.connection import Connection
from gateway.connections.outbound.delivery_accounts import SubscribeOptions
from gateway.connections.sessions.session import Session
from gateway.connections.slices import Slices, step_of
from gateway.connections.viewing.derivation import Derivation
from gateway.connections.viewing.view_fit import as_declared, is_lower, size_of, view_now
from gateway.errors import Code, RequestRefused
from gateway.protocol.messages import Kind, Notice
from gateway.protocol.views import View
from gateway.streams.derived import DerivedStream
from gateway.streams.history import Entry
from gateway.streams.stream import Stream

MOVED_AT_ONCE: Final = 16
"""Streams of a connection up to which all change in one step: about a millisecond."""
LOOKED_AT: Final = 256
"""Streams of a connection that are looked at for states."""


class TwoViews(NamedTuple):
    """State that a client may get by either of two views."""

    stream: Stream
    view: View
    lower: View
    newest: Entry | None
    """Newest version of the stream."""
    lower_bytes: int
    """Size of that by the lower view."""


class Lowering:
    """Subscriptions of all connections that may get a lower view.

    Args:
        views: views of streams.
        slices: takes the steps of connections that receive very many streams.
    """

    def __init__(self, views: Views, slices: Slices) -> None:
        self._views = views
        self._slices = slices
        self._lowered: dict[Session, str] = {}
        """Sessions whose subscriptions get their lower views, with the reason."""
        self._rising: dict[Session, None] = {}
        """Sessions some of whose streams still come by a lower view, though they are to get the other one again."""
        self._left: dict[tuple[Session, int], Derivation] = {}
        """Lower views that do not fit the next event, by subscription: left for the other ones, which are behind."""
        views.on_misfit = self._rise

    def __len__(self) -> int:
        return len(self._lowered)

    def __contains__(self, session: Session) -> bool:
        """Return whether the subscriptions of a session get their lower views."""
        return session in self._lowered

    @staticmethod
    def may(session: Session) -> bool:
        """Return whether a client has named a lower view for any of its subscriptions."""
        return any(wanted.lower is not None for wanted in session.views.values())

    def states_of(self, session: Session) -> Iterator[TwoViews]:
        """Yield states, of the first streams of a client, that it may get by a lower view which it has named."""
        left = LOOKED_AT
        for number, wanted in list(session.views.items()):
            held = () if wanted.lower is None else self._views.held(session, number)
            for derivation in islice(held, left):
                stream, left = derivation.source.parent, left - 1
                newest = self._views.newest_of(stream) if stream.kind is Kind.STATE else None
                if wanted.lower is not None and (lower_bytes := size_of(wanted.lower, newest)):
                    yield TwoViews(stream, wanted.view, wanted.lower, newest, lower_bytes)

    def set(self, session: Session, reason: str, *, lowered: bool) -> bool:
        """Give the subscriptions of a session their lower views, or the others again, and tell the client why.

        Returns:
            False for a client that is gone, or has named no lower view.
        """
        if session.connection.closed or session.lost or not self.may(session):
            self.forget(session)
            return False
        if lowered:
            self._lowered[session] = reason
            self._rising.pop(session, None)
        else:
            self._lowered.pop(session, None)
            self._rising[session] = None
        changed = self._change(session, reason, lowered=lowered)
        work = self._moving(session, changed)
        if sum([len(self._views.held(session, number)) for number in changed]) <= MOVED_AT_ONCE:
            for _ in work:
                pass
        else:
            self._slices.add(step_of(work))
        return True

    def go_on(self) -> Iterator[None]:
        """Change the streams that could not be changed before, or came since. Yields now and then, for the loop."""
        for (session, number), derivation in list(self._left.items()):
            del self._left[session, number]
            if derivation in self._views.held(session, number) and not self._may_rise(session, number, derivation):
                following = self._following(session.connection, number, derivation)
                derivation.join(session.connection, StartPosition(following, None, newest=False))
            yield
        for session, reason in list(self._lowered.items()):
            if session.connection.closed or session.lost:
                self.forget(session)
                continue
            self._change(session, reason, lowered=True)
            yield from self._moving(session, list(session.views))
        for session in list(self._rising):
            if (yield from self._moving(session, list(session.views))):
                self._rising.pop(session, None)

    def forget(self, session: Session) -> None:
        """Change nothing for a session any more: it is gone, or has left the subscriptions that named a lower view."""
        self._lowered.pop(session, None)
        self._rising.pop(session, None)

    def _change(self, session: Session, reason: str, *, lowered: bool) -> list[int]:
        """Have subscriptions get their lower views, or the others, and tell the client; return those that change."""
        changed = []
        for number, wanted in session.views.items():
            if wanted.lower is None or wanted.lowered is lowered:
                continue
            wanted.lowered = lowered
            changed.append(number)
            view = f"by the lower view {wanted.lower}" if lowered else f"by the view {wanted.view} again"
            code = Code.VIEW_LOWERED if lowered else Code.VIEW_RESTORED
            words = f"{wanted.pattern.text} comes {view}: {reason}"
            session.connection.send(Notice(None, None, None, code, words, subscription=number))
        return changed

    def _moving(self, session: Session, numbers: list[int]) -> Generator[None, None, bool]:
        """Change the streams of subscriptions, one a step; return whether all come as they are to come."""
        moved = True
        for number in numbers:
            for derivation in list(self._views.held(session, number)):
                moved = self._move(session, number, derivation) and moved
                yield
        return moved

    def _move(self, session: Session, subscription: int, before: Derivation) -> bool:
        """Have a stream come by the view that its subscription is to get, unless it does so already.

        Returns:
            False: it stays as it is for now, since events of it wait for the client, or are computed, and none may be
            lost, since the other view is behind, or since that exceeds a bound.
        """
        views, connection, source = self._views, session.connection, before.source
        wanted, known = session.views.get(subscription), connection.accounts.find(source.id, subscription)
        if wanted is None or wanted.lower is None or connection.closed or session.lost:
            return True
        stream = source.parent
        if stream.ended is not None:
            return True  # its subscriptions are about to be told: no view of it may begin any more
        if wanted.lowered and before.misfit is None and source.view == as_declared(wanted.lower, stream):
            return True  # as nearly always
        view = view_now(wanted, stream, views.newest_of(stream) or _last_event(stream))
        if view == source.view:
            return True
        if known is None or (stream.kind is Kind.EVENT and connection.waits_for(source)):
            return False
        return self._change_to(view, session, subscription, before)

    def _change_to(
        self, view: View, session: Session, subscription: int, before: Derivation, *, past: bool = False
    ) -> bool:
        """Have a stream come by another view, of events also by those of the past; return False if that cannot be."""
        views, connection, source, wanted = self._views, session.connection, before.source, session.views[subscription]
        stream, following = source.parent, self._following(connection, subscription, before)
        try:
            after = views.hold(session, subscription, view, stream)
        except RequestRefused:
            return False
        after.fanout.start(connection, None)  # the same of another subscription that gets this view
        again = view == as_declared(wanted.view, stream)
        start = start_of_other_view(after.source, following, after.fanout.delivered, again=again, past=past)
        if stream.kind is Kind.EVENT and (connection.waits_for(after.source) or (after.misfit and not again)):
            start = None  # what waits has been sent by the view before
        views.leave(after if start is None else before, session, subscription)
        if start is None:
            return False
        connection.accounts.carry_on(source.id, subscription, after.source.id)
        options = SubscribeOptions({stream.name: (stream.epoch, following)})
        views.announce(session, subscription, after, options, start)
        after.join(connection, start)
        return True

    @staticmethod
    def _following(connection: Connection, subscription: int, before: Derivation) -> int:
        """Return the offset behind the last message of a view that a subscription has been sent."""
        before.fanout.start(connection, None)  # brings into the account what has been sent
        known = connection.accounts.find(before.source.id, subscription)
        return 0 if known is None else known[1].next or 0

    # Events that the lower view does not fit.

    def _rise(self, lower: Derivation) -> None:
        """Have an event that a lower view does not fit come by the view that was asked for, with what waits before it.

        Messages that wait are read from history by that view: the event must not pass them.
        """
        for session, numbers in list(lower.receivers.items()):
            for number in list(numbers):
                if is_lower(session.views.get(number), lower.source.view, lower.source.parent):
                    self._may_rise(session, number, lower)

    def _may_rise(self, session: Session, number: int, lower: Derivation) -> bool:
        """Change a subscription to the view that was asked for, or have it wait for that; False if neither can be."""
        connection, stream = session.connection, lower.source.parent
        if connection.closed or session.lost or stream.ended is not None:
            return True  # it is sent nothing any more
        if connection.accounts.find(lower.source.id, number) is None:
            return False  # not announced yet
        view = as_declared(session.views[number].view, stream)
        if self._change_to(view, session, number, lower, past=True):
            return True
        following = self._following(connection, number, lower)
        behind = any(
            fanout.delivered < following or connection.waits_for(fanout.source)
            for fanout in self._views.fanouts_of(stream)
            if isinstance(fanout.source, DerivedStream) and fanout.source.view == view
        )
        if behind and len(lower.receivers[session]) == 1:
            self._left[session, number] = lower
            lower.fanout.leave(connection)
            return True
        return False


def _last_event(stream: Stream) -> Entry | None:
    """Return the last event if it is in memory: the next one is likely to be of its shape."""
    last = stream.next_offset - 1
    found = stream.history.read(last, last, 1) if stream.kind is Kind.EVENT else ()
    return found[0] if found else None
