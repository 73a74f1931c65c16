"""Keyframe ahead: it holds the newest version only, for as long as receivers are expected, and never another one."""

from __future__ import annotations

import weakref

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.connections.joining import keyframe_ahead
from gateway.connections.joining.keyframe_ahead import Expectation, KeyframeAhead
from gateway.connections.receiver_profile import ReceiverProfile
from gateway.protocol.encoding import PLAIN, Chain
from gateway.protocol.messages import Delete, Kind
from gateway.streams.run import Run
from gateway.streams.stream import Stream
from tests.connections.joining.waves import SMALL, STREAM
from tests.connections.memory import EVERY_CODEC, FixedPolicy, World

CODECS = frozenset(EVERY_CODEC)


class Scene:
    """A state with one version after the other, beside forms that are encoded ahead."""

    def __init__(self, chain: str = "zstd:1") -> None:
        self.policy = FixedPolicy(Chain.parse(chain))
        self.world = World(policy=self.policy)
        self.publisher = self.world.publisher(STREAM, kind=Kind.STATE, codecs=())
        (stream,) = self.world.core.streams
        self.stream: Stream = stream
        self.fanout = self.world.core.hub.fanouts.pubsub_of(stream)
        core = self.world.core
        self.futile: set[Chain] = set()
        workers = core.hub.fanouts._views.workers
        self.ahead = KeyframeAhead(stream, self.fanout, self.policy, workers, self.world.clock, self.futile)
        self.fanout.taps = {self.ahead.came: None}
        self.count = 0

    def publish(self, size: int = SMALL) -> None:
        """Publish a version; the threads have not worked yet."""
        self.count += 1
        self.publisher.publish(0, bytes([self.count % 256]) * size)
        self.world.turn()

    def expect(
        self, begin_in_s: float = 0.0, length_s: float = 10.0, codecs: tuple[frozenset[str], ...] = (CODECS,)
    ) -> None:
        now_s = self.world.clock.monotonic_s()
        profiles = tuple(map(ReceiverProfile, codecs))
        self.ahead.expect(Expectation(now_s + begin_in_s, now_s + begin_in_s + length_s, profiles))

    def form(self) -> Run | None:
        """The form of the newest version that a receiver would get."""
        newest = self.fanout.newest
        assert newest is not None
        form = self.ahead.form_of(newest, CODECS)
        assert form is None or isinstance(form, Run)
        assert form is None or form.first == self.count - 1
        return form


def test_it_is_encoded_when_receivers_are_expected_and_forgotten_behind_them() -> None:
    scene = Scene()
    scene.publish()
    scene.expect(begin_in_s=3.0, length_s=1.0)
    scene.world.settle()
    assert scene.form() is None
    scene.world.clock.advance(3.1)
    scene.world.settle()
    form = scene.form()
    assert form is not None
    assert form.size < SMALL / 2
    scene.world.clock.advance(1.0)
    scene.publish()
    scene.world.settle()
    assert scene.form() is None
    assert not scene.ahead._forms


def test_one_timer_waits_for_receivers_however_many_versions_come_before() -> None:
    scene = Scene()
    scene.expect(begin_in_s=300.0)
    timers = scene.world.clock.timers
    begin_s = scene.world.clock.monotonic_s() + 200.0
    expected = Expectation(begin_s, begin_s + 10.0, (ReceiverProfile(CODECS),))
    for _ in range(5):
        scene.ahead.expect(expected)
        scene.publish()
    assert scene.world.clock.timers == timers + 1
    scene.world.clock.advance(200.1)
    scene.world.settle()
    assert scene.form() is not None


def test_a_timer_keeps_no_version_in_memory() -> None:
    scene = Scene()
    scene.expect(begin_in_s=300.0)
    ahead = weakref.ref(scene.ahead)
    scene.fanout.taps = {}
    del scene.ahead
    assert ahead() is None
    scene.world.clock.advance(300.1)


def test_nothing_is_asked_for_a_stream_that_has_ended() -> None:
    scene = Scene()
    scene.publish()
    scene.expect()
    scene.world.settle()
    assert scene.form() is not None
    scene.publisher.say(Delete(1, STREAM))
    scene.world.settle()
    scene.policy.chain_for = None  # type: ignore[assignment, method-assign]
    scene.expect()
    assert not scene.ahead._forms


def test_a_version_that_was_replaced_while_it_was_encoded_is_not_sent() -> None:
    scene = Scene()
    scene.publish()
    scene.expect()
    scene.publish()
    assert scene.form() is None
    scene.world.settle()
    assert scene.form() is not None


def test_a_version_of_which_it_was_not_told_is_not_taken_for_the_one_before() -> None:
    scene = Scene()
    scene.publish()
    scene.expect()
    scene.world.settle()
    assert scene.form() is not None
    scene.fanout.taps = {}
    scene.publish()
    assert scene.form() is None


def test_forms_of_an_old_version_go_although_another_one_of_it_is_being_made() -> None:
    scene = Scene()
    scene.publish()
    scene.expect()
    scene.world.settle()
    scene.expect(codecs=(CODECS, frozenset({"zstd"})))
    scene.world.turn()
    assert len(scene.world.workers) == 1
    assert scene.ahead._forms
    scene.publish()
    assert not scene.ahead._forms


def test_what_was_encoded_for_receivers_that_are_not_expected_yet_is_not_kept() -> None:
    scene = Scene()
    scene.publish()
    scene.expect()
    scene.expect(begin_in_s=5.0)
    scene.world.settle()
    assert not scene.ahead._forms


def test_a_version_that_cannot_be_encoded_is_sent_as_it_was_published(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> Run:
        raise ValueError("no memory")

    scene = Scene()
    scene.publish()
    with monkeypatch.context() as patch:
        patch.setattr(keyframe_ahead, "transcode_run", fail)
        scene.expect()
        scene.world.settle()
    assert scene.form() is None
    assert f"version 0 of {STREAM} is not encoded ahead: no memory" in caplog.text
    scene.publish()
    scene.world.settle()
    assert scene.form() is not None


@pytest.mark.parametrize(("most_bytes", "made"), [(20_000, 1), (19_999, 0)])
def test_a_large_version_is_encoded_up_to_a_bound(monkeypatch: pytest.MonkeyPatch, most_bytes: int, made: int) -> None:
    monkeypatch.setattr(keyframe_ahead, "MAX_BYTES", most_bytes)
    scene = Scene()
    scene.expect()
    scene.publisher.large(0, bytes(20_000)).end()
    scene.world.settle()
    assert len(scene.ahead._forms) == made


def test_a_large_version_that_hardly_gets_smaller_is_not_kept() -> None:
    scene = Scene()
    scene.expect()
    scene.publisher.large(0, np.random.default_rng(1).bytes(SMALL)).end()
    scene.world.settle()
    assert not scene.ahead._forms


def test_one_version_is_encoded_at_a_time_however_fast_they_come() -> None:
    scene = Scene()
    scene.expect()
    for _ in range(5):
        scene.publish()
    assert len(scene.world.workers) == 1


def test_small_versions_are_sent_as_they_were_published() -> None:
    scene = Scene()
    scene.expect()
    scene.publish(1024)
    assert not len(scene.world.workers)


def test_a_version_that_hardly_gets_smaller_is_not_kept() -> None:
    scene = Scene()
    scene.expect()
    scene.count += 1
    scene.publisher.publish(0, np.random.default_rng(1).bytes(SMALL))
    scene.world.settle()
    assert scene.form() is None
    scene.expect()
    assert not len(scene.world.workers)  # and not tried again


def test_where_the_policy_has_no_chain_nothing_is_encoded() -> None:
    scene = Scene()
    scene.policy.chain = PLAIN
    scene.expect()
    scene.publish()
    assert not len(scene.world.workers)


def test_a_version_that_was_published_encoded_is_encoded_anew_if_that_makes_it_smaller() -> None:
    scene = Scene("zstd:9")
    publisher = scene.world.publisher(STREAM, kind=Kind.STATE)
    scene.expect()
    scene.count += 1
    letters = np.random.default_rng(1).integers(0, 4, 4 * SMALL).astype(np.uint8).tobytes()
    publisher.publish(0, letters, chain=Chain.parse("lz4"))
    scene.world.settle()
    form, newest = scene.form(), scene.fanout.newest
    assert form is not None
    assert isinstance(newest, Run)
    assert form.size < keyframe_ahead.WORTH_IT * newest.size


@given(st.lists(st.sampled_from(["publish", "expect", "later", "none", "settle", "wait"]), max_size=30))
def test_a_form_is_always_of_the_newest_version(steps: list[str]) -> None:
    scene = Scene()
    scene.publish()
    for step in steps:
        match step:
            case "publish":
                scene.publish()
            case "expect":
                scene.expect()
            case "later":
                scene.expect(begin_in_s=1.0)
            case "none":
                scene.ahead.expect(None)
                assert scene.form() is None
            case "settle":
                scene.world.settle()
            case "wait":
                scene.world.clock.advance(2.0)
        scene.form()
    scene.expect()
    scene.world.settle()
    assert scene.form() is not None
