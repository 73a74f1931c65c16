"""Only connections that lag, or have lagged of late, are sampled, some in each sweep."""

from __future__ import annotations

from dataclasses import dataclass, field

from gateway.connections.lagging.lag_changes import LagChanges
from gateway.connections.link_tier import TIERS
from gateway.connections.links.link import SETTLED_S, Link, LinkCounts
from gateway.connections.links.links import MOST_SAMPLED, SAMPLE_S, SETTLED_SAMPLE_S, STEP, Links
from gateway.connections.links.tier_watch import FORGOTTEN_S
from gateway.connections.receiver_profile import ReceiverProfile
from gateway.protocol.signals import ProgramPosition, ReceiverReport
from tests.connections.memory import ManualClock

NO_CODECS = ReceiverProfile(frozenset())


@dataclass(eq=False)
class Line:
    """A connection, as far as it is measured.

    Attributes:
        offsets: next offsets of the streams that it receives, by number.
    """

    link: Link | None = None
    profile: ReceiverProfile = NO_CODECS
    lagging: bool = False
    closed: bool = False
    offsets: dict[int, int] = field(default_factory=dict)
    bulk_bytes_per_s: float = 0.0


@dataclass
class Scene:
    """Some connections and their sweep.

    Attributes:
        read: connections whose counters were read.
    """

    lines: list[Line]
    clock: ManualClock = field(default_factory=ManualClock)
    lag_changes: LagChanges[Line] = field(default_factory=LagChanges)
    read: list[Line] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.links: Links[Line] = Links(
            self.lag_changes, self._read, lambda line, stream: line.offsets.get(stream), self.clock
        )

    def _read(self, line: Line) -> LinkCounts:
        self.read.append(line)
        return LinkCounts(lagging=line.lagging, waiting_bytes=0, bulk_bytes_per_s=line.bulk_bytes_per_s)

    def change(self, line: Line, *, lagging: bool) -> None:
        """A connection falls behind or catches up."""
        line.lagging = lagging
        self.lag_changes.note(line, lagging=lagging)

    def sweep(self) -> int:
        """Sweep, and return how often the loop had a chance."""
        self.read.clear()
        self.clock.advance(SAMPLE_S)
        return len(list(self.links.sweep()))


def test_a_connection_that_keeps_up_is_not_looked_at() -> None:
    scene = Scene([Line(), Line()])
    scene.sweep()
    assert scene.read == []
    assert len(scene.links) == 0


def test_one_that_lags_is_sampled_until_it_has_kept_up_for_a_while_and_then_forgotten() -> None:
    scene = Scene([Line(), Line()])
    line = scene.lines[1]
    scene.change(line, lagging=True)
    for _ in range(3):
        scene.sweep()
        assert scene.read == [line]
    scene.change(line, lagging=False)
    sweeps = 0
    while line.link is not None:
        scene.sweep()
        assert scene.read == [line]
        sweeps += 1
    assert SETTLED_S <= sweeps * SAMPLE_S <= SETTLED_S + 2 * SAMPLE_S
    scene.sweep()
    assert (scene.read, len(scene.links)) == ([], 0)


def test_what_a_receiver_has_reported_stays() -> None:
    scene = Scene([Line()])
    (line,) = scene.lines
    scene.links.report(line, ReceiverReport(10, 10, 7, 0))
    scene.change(line, lagging=True)
    scene.sweep()
    scene.change(line, lagging=False)
    while len(scene.links):
        scene.sweep()
    assert line.link is not None
    assert line.link.unread_bytes == 7


def test_positions_are_bounded_by_the_streams_of_their_connection() -> None:
    scene = Scene([Line(offsets={7: 20}), Line(offsets={7: 17})])
    for line in scene.lines:
        scene.links.report(line, ReceiverReport(0, 0, 7, 0, (ProgramPosition(7, 5, 15), ProgramPosition(8, 1, 1))))
    behind = [list(line.link.positions or ()) for line in scene.lines if line.link is not None]
    assert behind == [[ProgramPosition(7, 5, 15)], [ProgramPosition(7, 2, 15)]]


def test_a_closed_one_is_dropped() -> None:
    scene = Scene([Line()])
    scene.change(scene.lines[0], lagging=True)
    scene.sweep()
    scene.lines[0].closed = True
    scene.sweep()
    assert (scene.read, len(scene.links)) == ([], 0)


def test_of_very_many_so_many_are_sampled_in_a_sweep_and_each_has_its_turn() -> None:
    scene = Scene([Line() for _ in range(MOST_SAMPLED * 2)])
    for line in scene.lines:
        scene.change(line, lagging=True)
    turns = scene.sweep()
    assert turns >= MOST_SAMPLED // STEP
    first = set(map(id, scene.read))
    assert len(scene.read) == len(first) == MOST_SAMPLED
    scene.sweep()
    assert first.isdisjoint(map(id, scene.read))
    assert len(scene.links) == len(scene.lines)


def slow_line(scene: Scene, bytes_per_s: float = 2e6) -> Line:
    """The first connection of a scene, which lags on a link of about 20 Mbit/s until that shows."""
    line = scene.lines[0]
    scene.change(line, lagging=True)
    for number in range(4):
        line.bulk_bytes_per_s = bytes_per_s + number
        scene.sweep()
    return line


def test_a_tier_that_changes_is_that_of_the_profile_and_noted_once() -> None:
    scene = Scene([Line(), Line()])
    line = slow_line(scene)
    assert line.profile.tier == TIERS[1]
    assert scene.lag_changes.tiers.since(0, 2) == [line]
    assert scene.lag_changes.tiers.count == 1
    assert scene.lines[1].profile.tier == TIERS[-1]


def test_a_slow_link_is_sampled_now_and_then_as_long_as_nothing_shows_that_it_is_fast() -> None:
    scene = Scene([Line()])
    line = slow_line(scene)
    scene.change(line, lagging=False)
    for _ in range(int(SETTLED_S / SAMPLE_S)):
        scene.sweep()
    sampled = 0
    for _ in range(100):
        scene.sweep()
        sampled += len(scene.read)
    assert abs(sampled - 100 * SAMPLE_S / SETTLED_SAMPLE_S) <= 1
    assert line.profile.tier == TIERS[1]
    scene.change(line, lagging=True)
    scene.sweep()
    assert scene.read == [line], "at once, since it lags"
    scene.change(line, lagging=False)
    for _ in range(int(4 * FORGOTTEN_S / SAMPLE_S)):
        scene.sweep()
    assert line.profile.tier == TIERS[-1]
    assert (line.link, len(scene.links)) == (None, 0)


def test_a_rate_at_which_nothing_waits_shows_a_slow_link_and_a_fast_one_needs_no_link() -> None:
    scene = Scene([Line(), Line()])
    far, near = scene.lines
    for _ in range(3):
        scene.links.take_rate(far, TIERS[1].goodput_bytes_per_s)
        scene.links.take_rate(near, TIERS[-1].goodput_bytes_per_s)
        scene.clock.advance(1.0)
    assert (far.profile.tier, near.profile.tier) == (TIERS[1], TIERS[-1])
    assert near.link is None
    assert scene.lag_changes.tiers.since(0, 2) == [far]
    scene.sweep()
    assert len(scene.links) == 1


def test_the_rate_of_a_closed_connection_is_left_out() -> None:
    scene = Scene([Line(closed=True)])
    scene.links.take_rate(scene.lines[0], 1.0)
    assert scene.lines[0].link is None
