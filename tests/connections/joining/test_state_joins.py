"""State joins: receivers of the waves that are expected get the newest version as it was encoded ahead, whole."""

from __future__ import annotations

import numpy as np
import pytest

from gateway.connections.joining import state_joins
from gateway.connections.joining.state_joins import FORGOTTEN_S, FUTILE_S
from gateway.connections.link_tier import TIERS
from gateway.protocol.messages import Delete, Kind
from gateway.protocol.views import View
from tests.connections.joining.waves import PERIOD_S, SMALL, STREAM, Waves
from tests.connections.memory import EVERY_CODEC
from tests.connections.text_messages import SUBSCRIBE, person

LATELY = [True] * 3
PUBLISHED = [False] * 3


@pytest.mark.parametrize(("size", "large"), [(SMALL, False), (5 * 4096, True)])
def test_a_wave_that_is_expected_gets_the_version_as_it_was_encoded_ahead(size: int, large: bool) -> None:
    scene = Waves(size, large=large)
    payload = scene.publish()
    assert scene.waves(4) == [PUBLISHED] * 4
    (expected,) = scene.joins.expected()
    assert (expected.stream.name, expected.ahead) == (STREAM, False)
    assert expected.arrivals.interval_s == pytest.approx(PERIOD_S, abs=0.01)
    assert scene.joins.begin(STREAM)
    assert scene.waves(3)[1:] == [LATELY] * 2
    arrival = scene.joined()
    assert (arrival.payload, arrival.encoded) == (payload, True)
    assert scene.joins.used == 7


def test_nothing_is_counted_and_nothing_encoded_before_plans_ask() -> None:
    scene = Waves()
    scene.world.core.hub.fanouts.newcomers.counted = None
    scene.publish()
    assert scene.waves(6) == [PUBLISHED] * 6
    assert not list(scene.joins.expected())
    assert not scene.joins.begin(STREAM)


def test_a_wave_is_not_prepared_for_where_the_policy_has_no_chain_or_the_version_is_small() -> None:
    for scene in (Waves(codecs=()), Waves(1024)):
        scene.publish()
        scene.waves(5)
        assert not list(scene.joins.expected())


def test_a_chain_that_hardly_makes_versions_smaller_is_tried_again_after_a_while() -> None:
    scene = Waves()
    noise = np.random.default_rng(1).bytes(SMALL)
    scene.publisher.publish(0, noise)
    scene.waves(4)
    assert list(scene.joins.expected())
    scene.joins.begin(STREAM)
    scene.waves(2)
    assert not list(scene.joins.expected())
    scene.joins.end(STREAM)
    scene.waves(int(FUTILE_S / PERIOD_S) + 1)
    assert list(scene.joins.expected())
    assert not scene.joins.used


def test_receivers_of_a_view_get_it_as_it_was_encoded_ahead() -> None:
    scene = Waves(16 * SMALL, view=View(np.s_[::4]))
    payload = scene.publish()
    stays = scene.join()
    scene.waves(4)
    (expected,) = scene.joins.expected()
    assert expected.name == f"{STREAM}, view [::4]"
    assert scene.joins.begin(expected.name)
    assert scene.waves(2)[1] == LATELY
    arrival = scene.joined()
    assert (arrival.payload, arrival.encoded) == (payload, True)
    assert scene.joins.has(expected.name)
    scene.world.lose(stays)
    assert not scene.joins.has(expected.name)  # nobody receives it, so that it is not computed
    assert not scene.joins._joined


def test_each_version_that_comes_while_a_wave_is_due_is_encoded_for_it() -> None:
    scene = Waves()
    scene.publish()
    scene.waves(4)
    scene.joins.begin(STREAM)
    scene.wave()
    payload = scene.publish()
    arrival = scene.joined()
    assert (arrival.payload, arrival.encoded) == (payload, True)


def test_receivers_that_know_no_codec_get_the_version_as_it_was_published() -> None:
    scene = Waves(codecs=())
    payload = scene.publish()
    scene.waves(4)
    scene.joins.begin(STREAM)
    scene.waves(2)
    arrival = scene.joined()
    assert (arrival.payload, arrival.encoded) == (payload, False)


def test_when_it_ends_versions_come_as_they_are_published() -> None:
    scene = Waves()
    scene.publish()
    scene.waves(4)
    scene.joins.begin(STREAM)
    assert scene.waves(2)[1] == LATELY
    scene.joins.end(STREAM)
    assert not scene.joins.has(STREAM)
    (stream,) = scene.world.core.streams
    assert not scene.world.core.hub.fanouts.pubsub_of(stream).taps
    assert scene.wave() == PUBLISHED
    used = scene.joins.used
    assert used == 3
    scene.joins.end(STREAM)
    assert scene.joins.used == used


def test_a_stream_that_ends_is_forgotten_and_one_of_its_name_begins_anew() -> None:
    scene = Waves()
    scene.publish()
    scene.waves(4)
    scene.joins.begin(STREAM)
    scene.publisher.say(Delete(1, STREAM))
    scene.world.settle()
    assert not list(scene.joins.expected())
    assert not scene.joins.has(STREAM)
    assert not scene.joins._joined
    scene.publisher.open(1, STREAM, Kind.STATE)
    assert not scene.joins.begin(STREAM)


def test_a_stream_of_the_name_of_one_that_has_just_ended_takes_its_place() -> None:
    scene = Waves()
    scene.publish()
    scene.waves(4)
    scene.joins.begin(STREAM)
    assert scene.wave() == PUBLISHED
    assert scene.wave() == LATELY
    scene.publisher.say(Delete(1, STREAM))
    scene.world.settle()
    scene.publisher.open(1, STREAM, Kind.STATE)
    scene.join()
    assert scene.joins.begin(STREAM)
    assert [each.ahead is not None for each in scene.joins._joined.values()] == [True]
    assert scene.joins.used == 3


def test_a_version_is_ready_as_long_before_as_waves_have_come_early() -> None:
    scene = Waves()
    scene.publish()
    for pause_s in (5.0, 5.5, 5.0, 4.5):
        scene.joined()
        scene.world.pass_time(pause_s)
    scene.joined()
    scene.joins.begin(STREAM)
    scene.world.pass_time(3.0)
    scene.joins.look_ahead()
    scene.world.pass_time(0.9)
    scene.world.settle()
    (each,) = scene.joins._joined.values()
    assert each.ahead is not None
    assert not each.ahead._forms
    scene.world.pass_time(0.3)
    scene.world.settle()
    assert each.ahead._forms


def test_receivers_of_text_and_all_but_a_few_sets_of_codecs_are_not_encoded_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(state_joins, "MAX_PROFILES", 2)
    scene = Waves()
    scene.publish()
    person(scene.world).send(SUBSCRIBE.replace("wf-42", "wf"))
    scene.world.settle()
    (stream,) = scene.world.core.streams
    assert scene.world.core.hub.fanouts.of(stream).receivers == 1
    assert not scene.joins._joined
    for number, codec in enumerate(("lz4", "zstd", "pco")):
        connection = scene.world.subscriber(STREAM, f"reader-{number}", (codec,)).session.connection
        connection.profile = connection.profile._replace(tier=TIERS[0])
    scene.joins.look_ahead()
    (each,) = scene.joins._joined.values()
    assert [(codecs, profile.tier) for codecs, profile in each.profiles.items()] == [
        (frozenset({"zstd"}), TIERS[0]),
        (frozenset({"pco"}), TIERS[0]),
    ]


def test_streams_that_nobody_joins_any_more_are_forgotten() -> None:
    scene = Waves()
    scene.publish()
    scene.wave()
    assert scene.joins._joined
    scene.world.clock.advance(FORGOTTEN_S)
    assert not list(scene.joins.expected())
    assert not scene.joins._joined


def test_of_very_many_streams_those_that_were_joined_last_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state_joins, "MAX_STREAMS", 3)
    scene = Waves()
    world = scene.world
    world.publisher(*[f"wf/{number}" for number in range(6)], kind=Kind.STATE)
    peer = world.peer("viewer")
    for number in range(6):
        peer.subscribe(f"wf/{number}")
    world.settle()
    assert [stream.name for stream in scene.joins._joined] == ["wf/3", "wf/4", "wf/5"]


def test_few_of_a_wave_are_kept_until_the_next_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state_joins, "MAX_NEWCOMERS", 2)
    scene = Waves()
    scene.publish()
    for _ in range(5):
        scene.joined()
    (each,) = scene.joins._joined.values()
    assert len(each.newcomers) == 2
    scene.world.clock.advance(2.0)
    scene.joined()
    assert len(each.newcomers) == 1


def test_the_slowest_link_of_a_wave_is_that_for_which_the_next_version_is_encoded() -> None:
    scene = Waves()
    scene.publish()
    codecs = frozenset(EVERY_CODEC)
    tiers = []
    for tier in (TIERS[-1], TIERS[1], TIERS[-1]):
        for each in (scene.join(), scene.join()):
            connection = each.session.connection
            connection.profile = connection.profile._replace(tier=tier)
            scene.world.lose(each)
            tier = TIERS[-1]
        scene.joins.look_ahead()
        (joined,) = scene.joins._joined.values()
        tiers.append(joined.profiles[codecs].tier)
        scene.world.clock.advance(2.0)
    assert tiers == [TIERS[-1], TIERS[1], TIERS[1]]
