"""The decision table: bounded, and the same behind a trip through JSON; anything else in a file is told apart."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.optimizer.decisions import decision_table
from gateway.optimizer.decisions.decision import Decision, DecisionKey
from gateway.optimizer.decisions.decision_table import BadTable, DecisionTable
from gateway.optimizer.decisions.guard import GuardVerdict
from gateway.protocol.encoding import PLAIN, Chain

CODECS = frozenset({"lz4", "zstd", "shuffle", "xor"})
TEXTS = st.text(st.characters(codec="utf-8"), max_size=20)
SECONDS = st.floats(0, 1e6)
CHAINS = st.sampled_from([PLAIN, Chain(False, "lz4"), Chain(True, "zstd", 3)])
DELTAS = st.sampled_from([None, Chain(True, "zstd", 1, "xor", 1)])
KEYS = st.builds(DecisionKey, TEXTS, st.just(CODECS), TEXTS, TEXTS, TEXTS)
DECISIONS = st.builds(Decision, CHAINS, DELTAS, SECONDS, SECONDS, TEXTS)

KEY = DecisionKey("wf/a", CODECS, "2 Mbit/s", "python")
DECISION = Decision(Chain(True, "zstd", 3), Chain(True, "zstd", 1, "xor", 1), 0.25, 0.5, "half the bytes")


def one_decision(**fields: object) -> bytes:
    """A table with one decision, of which some fields are others."""
    table = DecisionTable()
    table.put(KEY, DECISION)
    root: dict[str, Any] = orjson.loads(table.to_json())
    root["decisions"][0].update(fields)
    return orjson.dumps(root)


@given(st.dictionaries(KEYS, DECISIONS, max_size=10))
def test_a_table_is_the_same_behind_a_trip_through_json(decisions: dict[DecisionKey, Decision]) -> None:
    table = DecisionTable()
    for key, decision in decisions.items():
        table.put(key, decision)
    again = DecisionTable.from_json(table.to_json())
    assert list(again) == list(table) == list(decisions.items())
    assert all(again.get(key) == decision for key, decision in decisions.items())


def test_the_decision_that_was_taken_longest_ago_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decision_table, "MAX_DECISIONS", 2)
    table = DecisionTable()
    keys = [KEY._replace(stream=name) for name in ("wf/a", "wf/b", "wf/a", "wf/c")]
    for key in keys:
        table.put(key, DECISION)
    assert [key.stream for key, _ in table] == ["wf/a", "wf/c"]
    assert len(table) == 2


def test_a_decision_can_be_forgotten() -> None:
    table = DecisionTable()
    table.put(KEY, DECISION)
    table.discard(KEY)
    table.discard(KEY)
    assert table.get(KEY) is None


def test_fields_of_a_later_gateway_are_left_out() -> None:
    assert DecisionTable.from_json(one_decision(model="forest")).get(KEY) == DECISION


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (b"", "not JSON"),
        (b"\x00" * 64, "not JSON"),
        (one_decision()[:-20], "not JSON"),
        (b"[]", "not a JSON object"),
        (b"{}", "version is None"),
        (b'{"version": 2, "decisions": []}', "version is 2"),
        (b'{"version": 1, "decisions": {}}', "no list of decisions"),
        (b'{"version": 1, "decisions": [7]}', "decision 0: it is not a JSON object"),
        (one_decision(stream=7), "decision 0: stream is '7'"),
        (one_decision(codecs="lz4"), "codecs is 'lz4'"),
        (one_decision(codecs=[1]), "codecs is"),
        (one_decision(chain="lzma"), "lzma"),
        (one_decision(chain="zstd:99"), "zstd has no level 99"),
        (one_decision(chain="xor:1+lz4"), r"chain is the delta xor:1\+lz4"),
        (one_decision(delta="lz4"), "delta is lz4, which makes none"),
        (one_decision(chain="pco:4"), "do not know"),
        (one_decision(predicted_s=float("nan")), "predicted_s is 'None'"),
        (one_decision(predicted_s=-1), "predicted_s is '-1'"),
        (one_decision(baseline_s=True), "baseline_s is 'True'"),
        (one_decision(baseline_s="1"), "baseline_s is '1'"),
        (one_decision(reason=None), "reason is 'None'"),
    ],
)
def test_anything_else_in_a_file_is_refused_with_the_problem(text: bytes, problem: str) -> None:
    with pytest.raises(BadTable, match=problem):
        DecisionTable.from_json(text)


def test_a_text_that_is_too_long_is_not_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decision_table, "MAX_TEXT_BYTES", 10)
    with pytest.raises(BadTable, match="at most 10"):
        DecisionTable.from_json(one_decision())


@given(st.binary(max_size=200))
def test_bytes_of_any_kind_are_a_table_or_are_refused(text: bytes) -> None:
    with contextlib.suppress(BadTable):
        DecisionTable.from_json(text)


def test_a_verdict_is_on_the_chains_of_its_decision(monkeypatch: pytest.MonkeyPatch) -> None:
    table, bad = DecisionTable(), GuardVerdict(False, 4, 2.0, 1.0, 60.0)
    table.judge(KEY, bad)
    assert table.verdicts == {}
    table.put(KEY, DECISION)
    assert table.promising(KEY) == DECISION
    table.judge(KEY, bad)
    table.put(KEY, replace(DECISION, predicted_s=0.3))
    assert table.promising(KEY) is None
    assert DecisionTable.from_json(table.to_json()).verdicts == table.copy().verdicts == {KEY: bad}
    table.put(KEY, replace(DECISION, delta=None))
    assert table.verdicts == {}
    assert table.promising(KEY) is not None
    table.judge(KEY, bad)
    monkeypatch.setattr(decision_table, "MAX_DECISIONS", 1)
    table.put(KEY._replace(stream="wf/b"), DECISION)
    assert table.verdicts == {}


@pytest.mark.parametrize("costs", [{"baseline_s": 0}, {"measured_s": 0, "baseline_s": 0}, {"baseline_s": -1}])
def test_a_verdict_without_costs_can_be_told(costs: dict[str, float]) -> None:
    verdict = {"in_force": True, "pairs": 4, "measured_s": 1.0, "baseline_s": 1.0, "recess_s": 0.0} | costs
    (read,) = DecisionTable.from_json(one_decision(verdict=verdict)).verdicts.values()
    assert read.words == "not compared with the baseline yet"
