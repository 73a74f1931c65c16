"""The delivery contracts while link tiers change, and while they begin and cease to be told apart, in any order.

Receivers move between delivery classes, so that nothing else may change: each gets all that the contracts promise.
"""

from __future__ import annotations

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import initialize, invariant, rule

from gateway.connections.fanout.pubsub_fanout import PubSubFanout
from gateway.connections.fanout.version_tracker import resting_of
from gateway.connections.link_tier import TIERS, LinkTier
from gateway.ids import StreamName
from gateway.protocol.encoding import PLAIN, Chain
from gateway.protocol.messages import Kind
from tests.connections.fanout.test_credit_contracts import CreditContracts
from tests.connections.fanout.test_delivery_contracts import LARGE_BYTES, STREAMS, XOR, Subscriber
from tests.connections.memory import Peer, TextPeer, World

USED_TIERS = TIERS[1], TIERS[2], TIERS[-1]
CHAINS = st.sampled_from([PLAIN, Chain(codec="lz4"), Chain(shuffle=True, codec="zstd")])
DELTAS = st.sampled_from([PLAIN, XOR])


def move_to(world: World, peer: Peer | TextPeer, tier: LinkTier) -> None:
    """Let the link of a peer be of another tier, as a sweep over links does."""
    connection = peer.session.connection
    if connection.profile.tier != tier:
        connection.profile = connection.profile._replace(tier=tier)
        world.core.lag_changes.tiers.add(connection)


class TierContracts(CreditContracts):
    """The same with links that change, and a policy that changes its mind."""

    @initialize(slow=st.tuples(CHAINS, DELTAS), middle=st.tuples(CHAINS, DELTAS), apart=st.booleans())
    def chains(self, slow: tuple[Chain, Chain], middle: tuple[Chain, Chain], apart: bool) -> None:
        self.by_tier = {TIERS[1]: slow, TIERS[2]: middle}
        self.apart = apart

    @rule(peer=CreditContracts.publishers, kind=st.sampled_from((Kind.STATE, Kind.EVENT)))
    def tell_apart(self, peer: Peer, kind: Kind) -> None:
        """Change the mind of the policy, which shows at the next large message."""
        self.apart = not self.apart
        self.publish(peer, [(kind, LARGE_BYTES, "message")])

    @rule(
        peer=CreditContracts.publishers,
        kind=st.sampled_from((Kind.STATE, Kind.EVENT)),
        tiers=st.lists(st.sampled_from(USED_TIERS), min_size=4, max_size=4),
    )
    def change_tiers(self, peer: Peer, kind: Kind, tiers: list[LinkTier]) -> None:
        """Change the tiers of all links, in the same way."""
        for subscriber, tier in zip(self.alive, tiers, strict=False):
            move_to(self.world, subscriber.peer, tier)
        self.publish(peer, [(kind, LARGE_BYTES, "message")])

    @rule(subscriber=CreditContracts.subscribers, tier=st.sampled_from(USED_TIERS))
    def change_tier(self, subscriber: Subscriber, tier: LinkTier) -> None:
        """Change the tier of one link, which shows at a large message that may come chunk by chunk."""
        move_to(self.world, subscriber.peer, tier)

    @invariant()
    def the_policy_knows_its_mind(self) -> None:
        self.policy.by_tier, self.policy.apart = self.by_tier, self.apart

    @invariant()
    def each_receiver_is_a_member_of_one_class(self) -> None:
        for kind in (Kind.STATE, Kind.EVENT):
            stream = self.world.core.streams.get(StreamName(STREAMS[kind]))
            fanout = None if stream is None else self.world.core.hub.fanouts.of(stream)
            if not isinstance(fanout, PubSubFanout):
                continue
            members = [member for delivery in fanout.classes for member in (*delivery, *resting_of(delivery.versions))]
            assert len(members) == len(set(members)) == fanout.receivers
            for delivery in fanout.classes:
                assert len(delivery)
                assert all(member.memberships[fanout.source] is delivery for member in delivery)

    def teardown(self) -> None:
        super().teardown()
        if not hasattr(self, "world"):
            return
        self.policy.apart = True
        peer = self.world.publisher(codecs=())
        for alias, kind in enumerate((Kind.STATE, Kind.EVENT)):
            peer.open(alias, STREAMS[kind], kind)
            peer.publish(alias, self.payload(LARGE_BYTES))
        self.world.settle()
        for kind in (Kind.STATE, Kind.EVENT):
            stream = self.world.core.streams.get(StreamName(STREAMS[kind]))
            assert stream is not None
            fanout = self.world.core.hub.fanouts.pubsub_of(stream)
            # In the end each receiver is among its like.
            for delivery in fanout.classes:
                assert {member.profile for member in delivery} == {delivery.profile}
            keys = {(delivery.format.name, delivery.profile, type(delivery)) for delivery in fanout.classes}
            assert len(keys) == len(fanout.classes)


TestTierContracts = TierContracts.TestCase
TestTierContracts.settings = settings(max_examples=40, stateful_step_count=50, deadline=None)
