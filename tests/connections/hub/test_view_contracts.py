"""Views against a model: whatever is published, viewed, left, paused and computed, in any order.

Every message of a view is what numpy makes of the one that was published; it comes once, in order. Once everybody reads
on and all is computed:

- event: messages and gaps follow one another, and what is left out does not fit;
- state: the last message is the newest version that fits, at the latest when the time of the rate has passed.
"""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
from hypothesis import settings
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from gateway.connections.outbound.frame_writer import DeliverySettings
from gateway.errors import RequestRefused
from gateway.protocol.encoding import Chain
from gateway.protocol.limits import Limits
from gateway.protocol.messages import Kind, StreamInfo
from gateway.protocol.quantization import cast
from gateway.protocol.signals import Gap
from gateway.protocol.tensors import spec_of
from gateway.protocol.views import View
from tests.connections.frames import CHUNK_BYTES
from tests.connections.memory import EVERY_CODEC, FixedPolicy, Peer, World
from tests.connections.reader import Arrival
from tests.protocol.strategies import Array, same_bits

STREAMS = {Kind.STATE: "wf/state", Kind.EVENT: "wf/event"}
VIEWS = (
    View(np.s_[::4]),
    View(np.s_[:, 1:], "float16"),
    View(np.s_[0], "uint8"),
    View(np.s_[..., -1], "float64"),
    View(dtype="bfloat16"),
)
RATES_HZ = (None, 10.0)
SHAPES = ((), (40,), (16, 16), (80, 80), (3, 50, 2))
"""Not every view fits every one of them; the largest result goes out in chunks."""


class Viewer:
    """A connection with one view, and what was published when it came."""

    def __init__(self, peer: Peer, kind: Kind, view: View, since: int) -> None:
        self.peer = peer
        self.kind = kind
        self.view = view
        self.since = since

    def expected(self, array: Array) -> Array | None:
        """What the view makes of a message; None: it does not fit."""
        try:
            spec = self.view.check(spec_of(array))
        except RequestRefused:
            return None
        return cast(np.asarray(self.view.apply(array)), spec.dtype)[0]


class ViewContracts(RuleBasedStateMachine):
    """A publisher of a state and of events, viewers, stalls, threads and time."""

    viewers: Bundle[Viewer] = Bundle("viewers")

    def __init__(self) -> None:
        super().__init__()
        delta = Chain(codec="zstd", delta="xor", distance=1)
        self.world = World(
            FixedPolicy(Chain(codec="lz4"), delta),
            Limits(chunk_bytes=CHUNK_BYTES),
            DeliverySettings(outbox_limit_bytes=8 * 1024),
        )
        self.publisher = self.world.peer("publisher", EVERY_CODEC)
        self.published: dict[Kind, list[Array]] = {kind: [] for kind in STREAMS}
        for alias, (kind, name) in enumerate(STREAMS.items()):
            self.publisher.open(alias, name, kind)
        self.present: list[Viewer] = []
        self.count = 0

    @rule(kind=st.sampled_from(list(STREAMS)), shape=st.sampled_from(SHAPES), seed=st.integers(0, 3))
    def publish(self, kind: Kind, shape: tuple[int, ...], seed: int) -> None:
        array = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
        self.published[kind].append(array)
        self.publisher.publish_array(list(STREAMS).index(kind), array)

    @rule(
        target=viewers,
        kind=st.sampled_from(list(STREAMS)),
        view=st.sampled_from(VIEWS),
        rate_hz=st.sampled_from(RATES_HZ),
        codecs=st.sampled_from([(), EVERY_CODEC]),
        from_the_beginning=st.booleans(),
    )
    def look(
        self, kind: Kind, view: View, rate_hz: float | None, codecs: tuple[str, ...], from_the_beginning: bool
    ) -> Viewer:
        if kind is Kind.STATE:
            view = View(_slice_of(view), view.dtype, rate_hz)
        self.count += 1
        peer = self.world.peer(f"viewer-{self.count}", codecs)
        # By a pattern, which no shape makes the gateway refuse.
        since = "beginning" if from_the_beginning else None
        peer.subscribe(f"*/{STREAMS[kind].partition('/')[2]}", since=since, view=view)
        (info,) = [entry for entry in peer.read().log if isinstance(entry, StreamInfo)]
        assert info.since is not None
        viewer = Viewer(peer, kind, view, info.since)
        self.present.append(viewer)
        return viewer

    @rule(viewer=consumes(viewers), way=st.sampled_from(["unsubscribe", "drop"]))
    def leave(self, viewer: Viewer, way: str) -> None:
        self.present.remove(viewer)
        if way == "drop":
            viewer.peer.drop()
        else:
            viewer.peer.unsubscribe(1)

    @rule(viewer=viewers)
    def stall(self, viewer: Viewer) -> None:
        viewer.peer.transport.fill_up()

    @rule(viewer=viewers)
    def read_on(self, viewer: Viewer) -> None:
        viewer.peer.transport.read_on()

    @rule(index=st.integers(0, 5))
    def work(self, index: int) -> None:
        if index < len(self.world.workers):
            self.world.workers.step(index)

    @rule()
    def end_turn(self) -> None:
        self.world.turn()

    @rule(seconds=st.sampled_from([0.01, 0.1, 1.0]))
    def wait(self, seconds: float) -> None:
        self.world.clock.advance(seconds)

    @invariant()
    def a_view_is_there_as_long_as_somebody_has_it(self) -> None:
        wanted = {(viewer.kind, viewer.view) for viewer in self.present}
        assert {(each.source.kind, each.source.view) for each in self.world.core.hub.views} == wanted
        assert self.world.clock.timers <= 2 * len(VIEWS) * len(RATES_HZ) + self.count

    def teardown(self) -> None:
        for viewer in self.present:
            viewer.peer.transport.read_on()
        for _ in range(4):
            self.world.settle()
            self.world.clock.advance(1)
            for viewer in self.present:
                viewer.peer.read()
        for viewer in self.present:
            self.check(viewer)

    def check(self, viewer: Viewer) -> None:
        published = self.published[viewer.kind]
        reader = viewer.peer.read()
        expected = [viewer.expected(array) for array in published]
        offsets = reader.offsets
        assert offsets == sorted(set(offsets)), "in order, nothing twice"
        for arrival in reader.arrivals:
            wanted = expected[arrival.offset]
            assert wanted is not None
            assert same_bits(arrival.array, wanted)
        if viewer.kind is Kind.STATE:
            fitting = [offset for offset, array in enumerate(expected) if array is not None]
            if fitting and fitting[-1] == len(published) - 1:
                assert offsets[-1] == fitting[-1]
            return
        covered = [
            offset
            for entry in reader.log
            if isinstance(entry, Arrival | Gap)
            for offset in ([entry.offset] if isinstance(entry, Arrival) else range(entry.first, entry.last + 1))
        ]
        assert covered == list(range(viewer.since, len(published)))
        assert [offset for offset in covered if expected[offset] is not None] == offsets


def _slice_of(view: View) -> object:
    """The slice as it is spelled."""
    return tuple(slice(*item) if isinstance(item, tuple) else item for item in view.slice)


TestViews = ViewContracts.TestCase
TestViews.settings = settings(max_examples=120, stateful_step_count=40, deadline=None)
