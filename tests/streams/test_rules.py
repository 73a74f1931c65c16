"""StreamRules: the first that matches."""

from __future__ import annotations

import pytest

from gateway.errors import InvalidArgument
from gateway.ids import StreamName
from gateway.protocol.durability import Durability
from gateway.protocol.messages import Kind
from gateway.protocol.names import compile_pattern
from gateway.streams.history import KEEP_ALL, KEEP_NOTHING, HistoryLimits
from gateway.streams.rules import DEFAULT_HISTORY, StreamConfig, StreamRules

CONTROL = StreamConfig(kind=Kind.CONTROL)
EVENT = StreamConfig(kind=Kind.EVENT)


def test_the_first_rule_that_matches_counts() -> None:
    rules = StreamRules([(compile_pattern("wf/*"), CONTROL), (compile_pattern("**"), EVENT)])
    assert rules.of(StreamName("wf/a")) is CONTROL
    assert rules.of(StreamName("wf/a/b")) is EVENT


def test_without_a_rule_there_are_defaults() -> None:
    assert StreamRules().of(StreamName("wf/a")) == StreamConfig()


@pytest.mark.parametrize("kind", Kind)
def test_only_events_have_a_past_by_default(kind: Kind) -> None:
    assert StreamConfig().history_of(kind) == (DEFAULT_HISTORY if kind is Kind.EVENT else KEEP_NOTHING)
    configured = HistoryLimits(max_messages=5)
    assert StreamConfig(history=configured).history_of(kind) == configured


def test_keyframes_come_at_some_time() -> None:
    assert StreamConfig().keyframe_every == 64
    with pytest.raises(InvalidArgument, match="keyframe_every=0"):
        StreamConfig(keyframe_every=0)


@pytest.mark.parametrize("name", ["consumer_ttl_s", "ack_timeout_s", "max_work_s", "max_tries"])
def test_consumers_of_a_stream_need_time_and_tries(name: str) -> None:
    for value in (0, -1, float("nan")):
        with pytest.raises(InvalidArgument, match=f"^{name} is {value}: it takes more than 0"):
            StreamConfig(**{name: value})  # type: ignore[arg-type]
    assert getattr(StreamConfig(**{name: 3}), name) == 3  # type: ignore[arg-type]


def test_only_rules_that_name_dead_letters_apply_to_them() -> None:
    bounded = HistoryLimits(max_messages=7)
    rules = StreamRules(
        [
            (compile_pattern("**"), StreamConfig(kind=Kind.STATE, durability=Durability.FSYNC, keyframe_every=3)),
            (compile_pattern("wf/*.dead"), StreamConfig(durability=Durability.OS, history=bounded)),
        ]
    )
    assert rules.of(StreamName("a/b.dead")) == StreamConfig(kind=Kind.EVENT, history=KEEP_ALL)
    configured = StreamConfig(kind=Kind.EVENT, durability=Durability.OS, history=bounded)
    assert rules.of(StreamName("wf/b.dead")) == configured
    assert rules.of(StreamName("wf/dead")).kind is Kind.STATE


def test_a_state_does_not_expire() -> None:
    with pytest.raises(InvalidArgument, match=r"^expires_after_s=60 of kind state: .* never expires"):
        StreamConfig(kind=Kind.STATE, expires_after_s=60)
    # Without a kind the rule is also for states that nobody has published to.
    assert StreamConfig(expires_after_s=60).kind is None


def test_dead_letters_are_events() -> None:
    StreamRules([(compile_pattern("**.dead"), EVENT)])
    with pytest.raises(InvalidArgument, match=r"\*\*\.dead are configured as kind control: dead letters"):
        StreamRules([(compile_pattern("**.dead"), CONTROL)])


@pytest.mark.parametrize(
    ("patterns", "hidden"),
    [
        (["runs/**", "**"], []),
        (["**", "runs/**", "runs/7/loss"], [("runs/**", "**"), ("runs/7/loss", "**")]),
        (["runs/**", "runs/*", "run/a", "other/runs/a"], [("runs/*", "runs/**")]),
        (["runs/*", "runs/**", "runs/*"], [("runs/*", "runs/*")]),
        (["**", "**.dead", "runs/a.dead"], []),
        (["**.dead", "**"], []),
    ],
)
def test_rules_without_effect_are_found(patterns: list[str], hidden: list[tuple[str, str]]) -> None:
    rules = StreamRules([(compile_pattern(pattern), EVENT) for pattern in patterns])
    assert [(pattern.text, earlier.text) for pattern, earlier in rules.hidden()] == hidden
