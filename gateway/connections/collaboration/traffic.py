"""Traffic of all workflows since the last sweep, read from counters that connections and streams keep anyway.

No message is looked at here: the sweep reads the counters of each alias, and an alias that is released is read once
more.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain, islice
from typing import Final, NamedTuple

from gateway.connections.collaboration.flow_table import FlowTable, Room
from gateway.connections.collaboration.graph import PLACES, Via
from gateway.connections.collaboration.workflow import Workflow
from gateway.connections.consumers.consumer_fanout import ConsumerFanout
from gateway.connections.fanout.fanout import Fanout
from gateway.connections.fanout.pubsub_fanout import PubSubFanout
from gateway.connections.fanout.version_tracker import resting_of
from gateway.connections.hub.hub import Hub
from gateway.connections.requests.groups import Groups
from gateway.connections.sessions.exchange import Exchange
from gateway.connections.sessions.pool import Pool
from gateway.connections.sessions.session import AliasBinding
from gateway.ids import ClientId
from gateway.protocol.names import AGENT_SCHEME, split_address, workflow_of
from gateway.streams.stream import Stream

MAX_WORKFLOWS: Final = 4096
"""Workflows that have a graph; one that is idle makes room for another."""

READ_RECEIVERS: Final = PLACES + PLACES // 2
"""Receivers of one stream that are looked at, beside the senders of its workflow."""

MAX_MOVED: Final = 1024
"""Streams whose messages are counted each by itself."""

IDLE_COST: Final = 1
REFUSED_COST: Final = 16
MOVED_COST: Final = 64
FLOW_COST: Final = 4
"""Costs of a look at an alias, in some 0.2 us: no message has come, its workflow has no graph, some have come, and for
each of their receivers."""


class StreamRate(NamedTuple):
    """Messages published to one stream, in a second; while they are counted, in all."""

    messages_per_s: float
    bytes_per_s: float


class Traffic:
    """Flows between clients, by workflow, since the last sweep.

    Args:
        pool: all connections.
        hub: streams and their receivers.
        groups: members of groups.
        workflows: graphs so far, by name.
    """

    def __init__(self, pool: Pool, hub: Hub, groups: Groups, workflows: Mapping[str, Workflow]) -> None:
        self._pool = pool
        self._hub = hub
        self._groups = groups
        self._workflows = workflows
        self._room = Room()
        self.tables: dict[str, FlowTable] = {}
        """Flows by workflow."""
        self.moved: dict[Stream, StreamRate] = {}
        """Messages and bytes that were published to streams."""

    def _count_moved(self, stream: Stream, messages: float, nbytes: float) -> None:
        moved = self.moved.get(stream)
        if moved is not None:
            self.moved[stream] = StreamRate(moved.messages_per_s + messages, moved.bytes_per_s + nbytes)
        elif len(self.moved) < MAX_MOVED:
            self.moved[stream] = StreamRate(messages, nbytes)

    def table_of(self, workflow: str) -> FlowTable | None:
        """Return the table of a workflow; ``None`` if there are too many: those that have a graph come first."""
        table = self.tables.get(workflow)
        if table is None and (workflow in self._workflows or len(self.tables) < MAX_WORKFLOWS):
            table = self.tables[workflow] = FlowTable(self._room)
        return table

    def take(self, client_id: ClientId, binding: AliasBinding) -> int:
        """Count what a client has sent to an alias since it was last looked at; return the cost of it."""
        if binding.exchange is not None:
            return self._take_requests(client_id, binding.name, binding.exchange)
        stream, fanout, (sequence, offset, nbytes) = binding.stream, binding.fanout, binding.counted
        if stream is None or fanout is None or binding.next_sequence == sequence:
            return IDLE_COST
        published = stream.next_offset - offset
        if published <= 0:
            # Refused, or on their way: counted once others have been published, or they have come.
            return IDLE_COST
        messages = min(binding.next_sequence - sequence, published)
        self._count_moved(stream, messages, (stream.published_bytes - nbytes) * messages / published)
        published_bytes = (stream.published_bytes - nbytes) * messages / published
        binding.counted = binding.next_sequence, stream.next_offset, stream.published_bytes
        table = self.table_of(workflow_of(stream.name))
        if table is None:
            return REFUSED_COST
        receivers, count = self._receivers_of(stream, fanout)
        if client_id in receivers:
            del receivers[client_id]
            count -= 1
        table.add(client_id, receivers, Via.STREAM, messages, published_bytes, count)
        return MOVED_COST + FLOW_COST * len(receivers)

    def _take_requests(self, client_id: ClientId, address: str, exchange: Exchange) -> int:
        requests, request_bytes, replies, reply_bytes = exchange.take()
        if not requests and not replies:
            return IDLE_COST
        table, cost = self.table_of(address), MOVED_COST
        for replier, share in self._repliers_of(address) if table is not None else ():
            cost += FLOW_COST
            if replier != client_id and share:
                assert table is not None
                if requests:
                    table.add(client_id, (replier,), Via.REQUEST, requests * share, request_bytes * share)
                if replies:
                    table.add(replier, (client_id,), Via.REPLY, replies * share, reply_bytes * share)
        return cost

    def _repliers_of(self, address: str) -> Iterator[tuple[ClientId, float]]:
        """Yield the clients that reply to the requests to an address, and the share of each.

        Members of a group have shares as the requests that each of them has got so far.
        """
        scheme, holder = split_address(address)
        if scheme == AGENT_SCHEME:
            yield ClientId(holder), 1.0
            return
        members = self._groups.first_members_of(address, READ_RECEIVERS)
        got = [member.mailbox.delivered_messages for member in members]
        for member, number in zip(members, got, strict=True):
            yield member.requests.connection.peer.client_id, number / max(1, sum(got))

    def _receivers_of(self, stream: Stream, fanout: Fanout) -> tuple[dict[ClientId, None], int]:
        """Return receivers of a stream, the first ones and those that send in its workflow, and the number of all."""
        found: dict[ClientId, None] = {}
        count = fanout.receivers
        fanouts = self._hub.views.fanouts_of(stream)
        if isinstance(fanout, PubSubFanout):
            fanouts.append(fanout)
        elif isinstance(fanout, ConsumerFanout):
            for client_id, consumer in islice(fanout.consumers.items(), READ_RECEIVERS):
                if consumer.connection is not None:
                    found[client_id] = None
            observing = self._hub.observations.fanout_of(stream)
            if observing is not None:
                fanouts.append(observing)
        for each in fanouts:
            count += 0 if each is fanout else each.receivers
            for delivery in each.classes:
                for member in islice(chain(delivery, resting_of(delivery.versions)), READ_RECEIVERS):
                    found[member.peer.client_id] = None
        workflow = self._workflows.get(workflow_of(stream.name)) if fanout.receivers > READ_RECEIVERS else None
        if workflow is not None:
            for client_id in dict.fromkeys([edge.source for edge in workflow.graph.edges]):
                session = self._pool.newest_of(client_id)
                if session is not None and stream in session.connection.memberships:
                    found[client_id] = None
        return found, max(count, len(found))
