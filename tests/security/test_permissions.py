"""Permissions are decided once a name, and compiled decisions are those that patterns give."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import InvalidArgument
from gateway.ids import ClientId, StreamName
from gateway.protocol.names import compile_pattern
from gateway.security.permissions import MAX_PATTERNS, Decisions, GrantedPatterns, PatternGrant

NAMES = ["wf/a", "wf/b", "wf/b/c", "wf/c.x", "other/a", "other/b/c.x"]
PATTERNS = ["wf/a", "wf/*", "wf/**", "**", "**.x", "other/*", "*/a", "other/b/c.x"]


def grant_of(*granted: GrantedPatterns, decisions: Decisions | None = None) -> PatternGrant:
    return PatternGrant(granted, Decisions() if decisions is None else decisions, ClientId("trainer"), 60.0)


lists = st.lists(st.sampled_from(PATTERNS), max_size=3).map(tuple)


@given(mine=lists, of_type=lists, names=st.lists(st.sampled_from(NAMES), min_size=1, max_size=20))
def test_decisions_are_those_of_a_naive_look(mine: tuple[str, ...], of_type: tuple[str, ...], names: list[str]) -> None:
    grant = grant_of(GrantedPatterns(publish=mine), GrantedPatterns(publish=of_type), decisions=Decisions(most=3))
    for name in names:
        expected = all(any(compile_pattern(each).matches(name) for each in listed) for listed in (mine, of_type))
        assert grant.may_publish(StreamName(name)) == expected


def test_each_act_has_its_own_patterns() -> None:
    acts = ("publish", "subscribe", "presence", "history", "request", "control")
    for act in acts:
        pattern = "agent:*" if act == "request" else "wf/*"
        claim: dict[str, Any] = {"presence": [], "history": [], act: [pattern]}
        grant = grant_of(GrantedPatterns.of(claim))
        permitted = {
            "publish": grant.may_publish(StreamName("wf/a")),
            "subscribe": grant.may_subscribe("wf/a") and grant.may_acknowledge("wf/a"),
            "presence": grant.may_attend("wf/a"),
            "history": grant.may_replay("wf/a"),
            "request": grant.may_request("agent:planner"),
            "control": grant.may_control("wf/a"),
        }
        assert [name for name, may in permitted.items() if may] == [act]
    assert (grant.subject, grant.expires_at_s) == ("trainer", 60.0)


def test_presence_and_history_are_as_subscribe_unless_they_are_named() -> None:
    grant = grant_of(GrantedPatterns(subscribe=("wf/**",)))
    assert grant.may_attend("wf/**")
    assert grant.may_replay("wf/a")
    assert not grant.may_attend("other/**")


def test_equal_grants_share_their_decisions_and_others_do_not() -> None:
    decisions = Decisions()
    for _ in range(3):
        assert grant_of(GrantedPatterns(publish=("wf/*",)), decisions=decisions).may_publish(StreamName("wf/a"))
    assert len(decisions) == 1
    assert not grant_of(GrantedPatterns(publish=("wf/b",)), decisions=decisions).may_publish(StreamName("wf/a"))
    assert len(decisions) == 2


def test_so_many_decisions_are_remembered() -> None:
    decisions = Decisions(most=100)
    grant = grant_of(GrantedPatterns(subscribe=("wf/*",)), decisions=decisions)
    for number in range(1000):
        assert grant.may_subscribe(f"wf/{number}")
        assert not grant.may_subscribe(f"other/{number}")
    assert len(decisions) <= 100


@pytest.mark.parametrize(
    ("claim", "told"),
    [
        (None, "it is no object"),
        ([], "it is no object"),
        ("publish", "it is no object"),
        ({"publsh": []}, "it names none of publish, subscribe"),
        ({"publish": "wf/*"}, "publish is no list of patterns"),
        ({"publish": [7]}, "publish is no list of patterns"),
        ({"publish": None}, "publish is no list"),
        ({"publish": ["wf"]}, "publish: pattern 'wf' is not"),
        ({"request": ["agent:"]}, "request: address 'agent:' is not"),
        ({"publish": ["wf/a"] * (MAX_PATTERNS + 1)}, "257 patterns: it takes 256"),
    ],
)
def test_claims_that_cannot_be_used(claim: object, told: str) -> None:
    with pytest.raises(InvalidArgument, match=told):
        GrantedPatterns.of(claim)
