"""The table of a replay: policies by cost, and the result in words."""

from __future__ import annotations

import io
import json
from dataclasses import replace

from rich.console import Console

from gateway.cli.replay_table import replay_json, replay_lines, replay_table, replayed_history
from gateway.connections.link_tier import TIERS
from gateway.optimizer.history.reading import ReadingTally
from gateway.optimizer.history.record import TriedChain
from tests.optimizer.learning.test_replay import SLOW, history
from tests.optimizer.learning.trials import trial


def test_policies_stand_by_their_cost_with_the_regret_of_each_tier() -> None:
    console = Console(width=160, record=True, file=io.StringIO())
    console.print(replay_table(replayed_history(history(SLOW))))
    head, first, *rest = console.export_text().splitlines()
    assert head.split()[:3] == ["policy", "cost", "regret"]
    assert head.rstrip().endswith("2 Mbit/s")
    assert first.split()[0] in ("oracle", "learned", "pco:8")
    assert {line.split()[0] for line in (first, *rest)} > {"oracle", "learned", "baseline", "none", "lz4", "pco:8"}


def test_the_result_is_told_in_words() -> None:
    lines = list(replay_lines(replayed_history(history(SLOW))))
    assert lines[0] == "30 messages were replayed; 10 came before a trial with such receivers."
    assert lines[1].endswith("less than the baseline (samples alone).")
    assert "the best fixed encoding (pco:8)" in lines[2]
    assert lines[3].startswith("0.0% of their cost is the CPU time of trials")
    assert len(lines) == 4


def test_a_regret_below_nothing_is_explained() -> None:
    assert list(replay_lines(replayed_history(history(TIERS[-1].goodput_bytes_per_s))))[-1].startswith(
        "A regret below 0"
    )


def test_without_trials_there_is_nothing_to_replay() -> None:
    (line,) = replay_lines(replayed_history(history(SLOW)[::2]))
    assert line.startswith("No replay")


def test_json_has_the_same() -> None:
    found = json.loads(replay_json(replayed_history(history(SLOW)), ReadingTally()))
    assert found["best_fixed"] == "pco:8"
    assert found["policies"]["oracle"]["regret"] == 0
    assert found["policies"]["learned"]["tiers"].keys() == {"2 Mbit/s"}


def test_encodings_that_this_gateway_does_not_know_are_no_fixed_ones() -> None:
    """Not those of a later gateway, nor text that a terminal would obey."""
    strange = replace(trial(1, 2.0), tried=(*trial(1, 2.0).tried, TriedChain("[/red]\x1b[2J", 10, 0.0, 0.0)))
    found = replayed_history([*history(SLOW), strange])
    assert "pco:8" in found.policies
    assert "[/red]\x1b[2J" not in found.policies
