"""Handler of OPEN, SUBSCRIBE, UNSUBSCRIBE, AUTHENTICATE and related requests (spec sections 3.2 and 4)."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from itertools import islice
from typing import Final

from gateway.connections.access import Access
from gateway.connections.account_answer import AccountAnswer
from gateway.connections.admission.participants import Participants
from gateway.connections.collaboration.traffic import Traffic
from gateway.connections.hub.hub import Hub
from gateway.connections.inbound.partial_uploads import PartialUploads
from gateway.connections.outbound.delivery_accounts import SubscribeOptions
from gateway.connections.ports import Clock
from gateway.connections.requests.requests import Requests
from gateway.connections.sessions.credit_window import CreditWindow
from gateway.connections.sessions.exchange import Exchange
from gateway.connections.sessions.pool import Pool
from gateway.connections.sessions.session import AliasBinding, Session, ViewSubscription
from gateway.connections.slices import Slices, step_of
from gateway.connections.subscribe_parts import SubscribeParts
from gateway.errors import Code, RequestRefused, fresh
from gateway.protocol import signals
from gateway.protocol.limits import Limits
from gateway.protocol.messages import (
    Account,
    Authenticate,
    Authenticated,
    Open,
    StreamInfo,
    Subscribe,
    Subscribed,
    Unsubscribe,
    Unsubscribed,
)
from gateway.protocol.names import (
    check_address,
    check_published_name,
    check_stream_name,
    compile_pattern,
    inbox_of,
    is_address,
    is_dead_letter_name,
    is_group,
)
from gateway.protocol.schema import Schema
from gateway.protocol.state import State
from gateway.protocol.views import View
from gateway.streams.producers import Producers

RELEASED_AT_ONCE: Final = 16
"""Aliases of a connection that is gone that are released in one step: some 5 us each, and up to 30 us to count messages
that have come lately (CPython 3.11, November 2026)."""


class SubscribeHandler:
    """Handler of the requests that change the streams which a session publishes to or receives.

    Every method raises ``RequestRefused`` for a request that it does not allow; the caller answers with ERROR.

    Args:
        limits: bounds on the aliases and subscriptions of one session.
        parts: SUBSCRIBEs that come in parts.
        hub: streams and their receivers.
        pool: connections, with their inboxes.
        requests: groups.
        access: authenticates clients.
        producers: publishes of each producer that have been accepted.
        partial_uploads: uploads that are not complete.
        traffic: counts what was sent to an alias that is released.
        participants: connections that take part in each workflow.
        clock: time from which the lifetime of a token counts.
        slices: turns of the loop for the release of very many aliases.
    """

    def __init__(
        self,
        limits: Limits,
        parts: SubscribeParts,
        hub: Hub,
        pool: Pool,
        requests: Requests,
        access: Access,
        producers: Producers,
        partial_uploads: PartialUploads,
        traffic: Traffic,
        participants: Participants,
        clock: Clock,
        slices: Slices,
    ) -> None:
        self._limits = limits
        self._parts = parts
        self._hub = hub
        self._pool = pool
        self._requests = requests
        self._access = access
        self._producers = producers
        self._partial_uploads = partial_uploads
        self._traffic = traffic
        self._participants = participants
        self._clock = clock
        self._slices = slices

    def open(self, session: Session, request: Open) -> None:
        """Bind an alias, or bind it anew. A refused alias is kept: its messages are refused with the same error."""
        before = session.bindings.get(request.alias)
        if before is None:
            if len(session.bindings) >= self._limits.max_aliases:
                raise session.not_open(request.alias, self._limits.max_aliases)
        elif before.transfer is not None:
            problem = f"alias {request.alias} keeps to {before.name}: end its transfer {before.transfer} first"
            raise RequestRefused(Code.INVALID_REQUEST, problem)
        else:
            self._release(session, before)
            del session.bindings[request.alias]  # so that the aliases stand in the order in which they were bound
        binding = AliasBinding(request.alias, request.stream, session.peer.id)
        session.add_binding(binding)
        try:
            self._lead(session, request, binding)
        except RequestRefused as refusal:
            binding.refusal = fresh(refusal)
            raise

    def subscribe(self, session: Session, request: Subscribe) -> None:
        """Add a subscription, open the client's inbox, or join a group; a part that others follow is kept for them."""
        complete = self._parts.joined(session, request)
        if complete is not None:
            self._subscribe(session, *complete)

    def unreadable(self, session: Session, refusal: RequestRefused) -> bool:
        """Return whether a SUBSCRIBE that could not be read is answered later, with its last part."""
        return self._parts.refused(session, refusal)

    def _subscribe(self, session: Session, request: Subscribe, positions: int | None) -> None:
        self._check_not_draining(session)
        pattern = compile_pattern(request.pattern)
        if request.subscription in session.subscriptions or request.subscription in session.views:
            raise RequestRefused(Code.INVALID_REQUEST, f"subscription {request.subscription} exists already")
        if len(session.subscriptions) + len(session.views) >= self._limits.max_subscriptions:
            raise _too_many("max_subscriptions", self._limits.max_subscriptions)
        view = None if request.view is None else View.from_json(request.view)
        lower = None if request.lower is None else View.from_json(request.lower)
        if lower is not None:
            view = view or View()
        if is_address(request.pattern):
            if view is not None:
                raise RequestRefused(Code.INVALID_VIEW, f"view {view} of the inbox {request.pattern}: it has no views")
            if request.observe:
                problem = f"{request.pattern} cannot be observed: each request goes to one receiver, who owes a reply"
                raise RequestRefused(Code.INVALID_REQUEST, problem)
            self._open_inbox(session, request)
            session.add_subscription(request.subscription, pattern)
            session.connection.send(Subscribed(request.request, request.subscription))
            return
        if request.observe and request.credits is not None and session.connection.gates is None:
            problem = "observe with credits: HELLO has not said that the client grants credit for what it observes"
            raise RequestRefused(Code.INVALID_REQUEST, problem)
        if not session.grant.may_subscribe(request.pattern):
            raise session.forbidden(f"subscribe to {request.pattern}")
        if request.since is not None and not session.grant.may_replay(request.pattern):
            raise session.forbidden(f"read the past of {request.pattern}: subscribe without since")
        self._check_workflow(session, request.pattern)
        for each in (view, lower):
            if each is not None:
                self._hub.views.check(session, pattern, each)
        observe = session.peer.observes if request.observe is None else request.observe
        if not (observe or session.grant.may_acknowledge(request.pattern)):
            raise session.forbidden(f"acknowledge {request.pattern}: subscribe with observe true")
        answer = partial(session.connection.send, Subscribed(request.request, request.subscription, positions))
        session.connection.accounts.carry(request.subscription, request.account or {})
        options = SubscribeOptions(request.since, request.resume or {})
        if pattern.is_literal:
            self._hub.named(pattern.text)
        credits = request.credits
        credit = None if credits is None else CreditWindow(credits.messages, credits.bytes, replenished=False)
        if view is None:
            self._hub.subscribe(session, request.subscription, pattern, options, credit, observe=observe, answer=answer)
        else:
            if credit is not None:
                session.add_credit(request.subscription, credit)
            wanted = ViewSubscription(pattern, view, lower)
            self._hub.views.subscribe(session, request.subscription, wanted, options, answer)
        self._enter_workflow(session, request.pattern)

    def unsubscribe(self, session: Session, request: Unsubscribe) -> None:
        """Remove a subscription, close the client's inbox, or leave a group."""
        subscription, connection = request.subscription, session.connection
        pattern = session.subscriptions.get(subscription)
        credit = session.credits.get(subscription)

        def answer() -> None:
            if credit is not None:
                credit.end()
            for counts in connection.accounts.close(subscription):
                self._slices.let_go(counts)
            connection.send(Unsubscribed(request.request, subscription))

        if pattern is None and subscription not in session.views:
            if not self._parts.unsubscribe(session, subscription):
                raise RequestRefused(Code.INVALID_REQUEST, f"there is no subscription {subscription}")
            answer()
            return
        left = session.views[subscription].pattern if pattern is None else pattern
        self._hub.unsubscribe(session, subscription, keep=bool(request.keep), answer=answer)
        self._participants.leave(session.peer.id, left.text)
        if pattern is not None:
            if is_group(pattern.text):
                self._requests.leave(session, pattern.text)
            elif is_address(pattern.text) and pattern not in session.subscriptions.values():
                self._pool.close_inbox(session)

    def account(self, session: Session, request: Account) -> None:
        """Answer with the account of a subscription: messages delivered, conflated, dropped, per stream.

        Many streams take several steps and several answers, sent as the client reads them.
        """
        if request.subscription not in session.subscriptions and request.subscription not in session.views:
            raise RequestRefused(Code.INVALID_REQUEST, f"there is no subscription {request.subscription}")
        step = step_of(AccountAnswer(session.connection, request).sending())
        if step():
            session.backlog.add(step, for_peer=True)

    def add_credit(self, session: Session, more: signals.Credit) -> None:
        """Add credit to a subscription (spec section 7.5); ignore it if the client has left, or is lost."""
        credit = session.credits.get(more.subscription)
        if credit is not None and not session.lost:
            credit.add(more.messages, more.nbytes)

    def authenticate(self, session: Session, request: Authenticate) -> None:
        """Replace the permissions of the session by those of another token."""
        peer, now_s = session.peer, self._clock.monotonic_s()
        grant = self._access.authenticate(peer.client_id, peer.client_type, request.token, now_s)
        self._access.give(session, grant)
        expires_at_s = session.grant.expires_at_s
        expires_s = None if expires_at_s is None else expires_at_s - now_s
        session.connection.send(Authenticated(request.request, expires_s))

    def drop(self, session: Session) -> None:
        """Release the aliases of a connection that is gone, and drop the acknowledgements that it waited for.

        A connection may have thousands of aliases: those beyond the first ones are released in turns that follow.
        """
        self._parts.drop(session)
        for credit in session.credits.values():
            self._slices.let_go(credit.abandon())
        remaining = iter(list(session.bindings.values()))

        def step() -> bool:
            bindings = list(islice(remaining, RELEASED_AT_ONCE))
            for binding in bindings:
                self._release(session, binding)
                if binding.fanout is not None:
                    binding.fanout.forget_publisher(session.connection)
            return len(bindings) == RELEASED_AT_ONCE

        if step():
            self._slices.add(step)

    def _release(self, session: Session, binding: AliasBinding) -> None:
        """Detach the producer of an alias, whose connection is gone or which is bound anew."""
        binding.released = True
        self._traffic.take(session.peer.client_id, binding)
        if binding.takes_part:
            self._participants.leave(session.peer.id, binding.name)
        if binding.stream is None:
            return
        self._hub.release(binding.stream, binding)
        if binding.window is not None:
            self._producers.detach(binding.stream, binding.window, binding)

    def _open_inbox(self, session: Session, request: Subscribe) -> None:
        client_id = session.peer.client_id
        if is_group(request.pattern):
            if not session.grant.may_subscribe(request.pattern):
                raise session.forbidden(f"be a member of {request.pattern}")
            self._requests.join(session, request.pattern, request.subscription)
            return
        if request.pattern != inbox_of(client_id):
            problem = f"{request.pattern} is not the inbox of {client_id}: only {inbox_of(client_id)} can be opened"
            raise RequestRefused(Code.FORBIDDEN, problem)
        self._pool.open_inbox(session)

    def _lead(self, session: Session, request: Open, binding: AliasBinding) -> None:
        self._check_not_draining(session)
        connection = session.connection
        if is_address(request.stream):
            if not session.grant.may_request(check_address(request.stream)):
                raise session.forbidden(f"ask {request.stream}")
            binding.exchange = Exchange()
            connection.send(StreamInfo(None, request.stream, alias=request.alias))
            return
        check_name = check_stream_name if session.buries else check_published_name
        name = check_name(request.stream)
        schema = None if request.schema is None else Schema.parse(request.schema, "schema of OPEN")
        if not is_dead_letter_name(name) and not session.grant.may_publish(name):
            raise session.forbidden(f"publish to {name}")
        self._check_workflow(session, name)
        binding.stream, binding.fanout = self._hub.open(
            name, request.kind, request.durability, lambda step: session.backlog.add(step)
        )
        stream = binding.stream
        self._hub.bind(stream, binding)
        if schema is not None:
            stream.declare(schema)
        binding.next_sequence = request.sequence or 1
        binding.counted = binding.next_sequence, stream.next_offset, stream.published_bytes
        if request.producer is not None:
            binding.window = self._producers.attach(stream, request.producer, binding.next_sequence, binding)
            self._partial_uploads.take_over(binding.window, binding.next_sequence)
        binding.takes_part = self._enter_workflow(session, name)
        connection.send(replace(stream.info(), alias=request.alias))

    def _check_workflow(self, session: Session, name: str) -> None:
        """Refuse an alias or a subscription in a workflow that has as many connections as it may have."""
        if not _takes_no_part(session):
            self._participants.check(session.peer.id, session.peer.client_type, name)

    def _enter_workflow(self, session: Session, name: str) -> bool:
        """Count an alias or a subscription in its workflow; return whether the connection takes part in any."""
        if _takes_no_part(session):
            return False
        self._participants.enter(session.peer.id, session.peer.client_type, name)
        return True

    def _check_not_draining(self, session: Session) -> None:
        if session.state is State.DRAINING:
            raise RequestRefused(Code.DRAINING, "the gateway is stopping; connect again later")


def _takes_no_part(session: Session) -> bool:
    """Return whether a connection takes part in no workflow: it is lost, or the gateway's own for dead letters."""
    return session.lost or session.buries


def _too_many(name: str, limit: int) -> RequestRefused:
    return RequestRefused(
        Code.LIMIT_EXCEEDED, f"the connection has {name}={limit} already: use patterns that match more"
    )
