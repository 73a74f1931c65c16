"""Traffic of all workflows since the last sweep, read from counters that connections and streams keep anyway.

No message is looked at here: the sweep reads the counters of each alias, and an alias that is released is read once
more.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Final

from gateway.connections.collaboration.flow_table import FlowTable, Room
from gateway.connections.collaboration.graph import PLACES, Via
from gateway.connections.collaboration.workflow import Workflow
from gateway.connections.consumers.consumer_fanout import ConsumerFanout
from gateway.connections.fanout.pubsub_fanout import PubSubFanout
from gateway.connections.hub.hub import Hub
from gateway.connections.requests.groups import Groups
from gateway.connections.sessions.pool import Pool
from gateway.connections.sessions.session import AliasBinding
from gateway.ids import ClientId
from gateway.protocol.names import AGENT_SCHEME, split_address, workflow_of
from gateway.streams.stream import Stream

MAX_WORKFLOWS: Final = 4096
"""Workflows that have a graph; one that is idle makes room for another."""

READ_RECEIVERS: Final = 2 * PLACES
"""Receivers of one stream that are looked at, beside the senders of its workflow."""

IDLE_COST: Final = 1
MOVED_COST: Final = 32
"""Costs of a look at an alias, of which messages have come or not, in some 0.2 us."""


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

    def table_of(self, workflow: str) -> FlowTable | None:
        """Return the table of a workflow; ``None`` if there are too many: those that have a graph come first."""
        table = self.tables.get(workflow)
        if table is None and (workflow in self._workflows or len(self.tables) < MAX_WORKFLOWS):
            table = self.tables[workflow] = FlowTable(self._room)
        return table

    def take(self, client_id: ClientId, binding: AliasBinding) -> int:
        """Count what a client has sent to an alias since it was last looked at; return the cost of it."""
        if binding.exchange is not None:
            return self._take_requests(client_id, binding)
        stream = binding.stream
        if stream is None or binding.fanout is None:
            return IDLE_COST
        sequence, offset, nbytes = binding.counted
        messages, published = binding.next_sequence - sequence, stream.next_offset - offset
        if messages <= 0 or published <= 0:
            # Refused, or on their way: counted once others have been published, or they have come.
            return IDLE_COST
        share = min(1.0, messages / published)
        published_bytes = (stream.published_bytes - nbytes) * share
        binding.counted = binding.next_sequence, stream.next_offset, stream.published_bytes
        table = self.table_of(workflow_of(stream.name))
        if table is not None:
            receivers = dict.fromkeys(self._receivers_of(stream))
            own = client_id in receivers
            receivers.pop(client_id, None)
            count = max(len(receivers), self._count_of(stream) - own)
            table.add(client_id, receivers, Via.STREAM, messages, published_bytes, count)
        return MOVED_COST

    def _take_requests(self, client_id: ClientId, binding: AliasBinding) -> int:
        assert binding.exchange is not None
        requests, request_bytes, replies, reply_bytes = binding.exchange.take()
        if not requests and not replies:
            return IDLE_COST
        table = self.table_of(binding.name)
        for replier, share in self._repliers_of(binding.name) if table is not None else ():
            if replier != client_id and share:
                assert table is not None
                if requests:
                    table.add(client_id, (replier,), Via.REQUEST, requests * share, request_bytes * share)
                if replies:
                    table.add(replier, (client_id,), Via.REPLY, replies * share, reply_bytes * share)
        return MOVED_COST

    def _repliers_of(self, address: str) -> Iterator[tuple[ClientId, float]]:
        """Yield the clients that reply to the requests to an address, and the share of each.

        Members of a group have shares as the requests that each of them has got so far.
        """
        scheme, holder = split_address(address)
        if scheme == AGENT_SCHEME:
            yield ClientId(holder), 1.0
            return
        members = self._groups.members_of(address)[:READ_RECEIVERS]
        got = [member.mailbox.delivered_messages for member in members]
        for member, number in zip(members, got, strict=True):
            yield member.requests.connection.peer.client_id, number / max(1, sum(got))

    def _receivers_of(self, stream: Stream) -> Iterator[ClientId]:
        """Yield receivers of a stream: the first ones, and those that send in its workflow."""
        fanout, observing = self._hub.fanouts.of(stream), self._hub.observations.fanout_of(stream)
        others = self._hub.views.fanouts_of(stream)
        if isinstance(fanout, ConsumerFanout):
            for client_id, consumer in islice(fanout.consumers.items(), READ_RECEIVERS):
                if consumer.connection is not None:
                    yield client_id
        elif isinstance(fanout, PubSubFanout):
            others.append(fanout)
        if observing is not None:
            others.append(observing)
        for each in others:
            for delivery in each.classes:
                for member in islice(delivery.members, READ_RECEIVERS):
                    yield member.peer.client_id
        workflow = self._workflows.get(workflow_of(stream.name))
        if workflow is not None and fanout.receivers > READ_RECEIVERS:
            for client_id in dict.fromkeys(edge.source for edge in workflow.graph.edges):
                session = self._pool.newest_of(client_id)
                if session is not None and stream in session.connection.memberships:
                    yield client_id

    def _count_of(self, stream: Stream) -> int:
        """Return the number of receivers of a stream, each of its views counted."""
        hub = self._hub
        return hub.fanouts.of(stream).receivers + hub.views.receivers_of(stream) + hub.observations.receivers_of(stream)
