"""Replay of a traffic history as a table for a terminal, and as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import Final

import orjson
from rich.table import Table

from gateway.cli import text
from gateway.connections.link_tier import TIERS
from gateway.optimizer.decisions.advice import parsed_chain
from gateway.optimizer.history.reading import ReadingTally
from gateway.optimizer.history.record import ShadowTrial, TrafficRecord
from gateway.optimizer.learning.replay import (
    BASELINE,
    LEARNED,
    ORACLE,
    Chooser,
    LearnedChoice,
    Replayed,
    baseline,
    fixed_chain,
    moments_in,
    replay,
)
from gateway.protocol.encoding import PLAIN, Chain

MAX_FIXED: Final = 24
"""Fixed encodings that are replayed, those of the most trials."""

SHOWN: Final = 0.0005
"""Share of which a table shows something."""


def replayed_history(events: Sequence[TrafficRecord | ShadowTrial], named: Iterable[Chain] = ()) -> Replayed:
    """Return what decisions, the baseline, and each encoding that was tried would have cost.

    Args:
        events: records and trials, in the order in which they were written.
        named: encodings that are replayed in any case.
    """
    trials = [event for event in events if isinstance(event, ShadowTrial)]
    tried: dict[str, int] = {}
    for trial in trials:
        for each in trial.tried:
            chain = parsed_chain(each.chain)
            if chain is not None and not chain.delta:  # a delta is no choice for all streams
                tried[each.chain] = tried.get(each.chain, 0) + 1
    fixed = sorted(tried, key=lambda chain: -tried[chain])[:MAX_FIXED]
    choosers: dict[str, Chooser] = {
        LEARNED: LearnedChoice(),
        BASELINE: baseline,
        **{chain: fixed_chain(chain) for chain in dict.fromkeys([str(PLAIN), *map(str, named), *fixed])},
    }
    return replay(moments_in(events), choosers)


def replay_table(found: Replayed) -> Table:
    """Return the table, a line for each policy, the cheapest first."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    tiers = [tier.name for tier in TIERS if (ORACLE, tier.name) in found.tiers]
    for title in ("policy", "cost", "regret", "mean regret", *tiers):
        table.add_column(title, no_wrap=True, justify="left" if title == "policy" else "right")
    for name, tally in sorted(found.policies.items(), key=lambda item: item[1].cost_s):
        by_tier = [f"{found.tiers[name, tier].regret:.1%}" for tier in tiers]
        cells = text.duration(tally.cost_s), f"{tally.regret:.1%}", f"{tally.mean_regret:.1%}", *by_tier
        table.add_row(name, *cells)
    return table


def replay_lines(found: Replayed) -> Iterator[str]:
    """Yield the result in words."""
    if not found.messages:
        yield (
            "No replay: it takes two shadow trials of a stream, with traffic between them. The gateway makes them "
            "beside a traffic history, unless trial_cpu_share is 0."
        )
        return
    left_out = f"; {found.unknown_messages:,} came before a trial with such receivers" if found.unknown_messages else ""
    yield f"{found.messages:,} messages were replayed{left_out}."
    for other in (BASELINE, found.best_fixed):
        saving = found.saving(LEARNED, other)
        what = "the baseline (samples alone)" if other == BASELINE else f"the best fixed encoding ({other})"
        yield f"Decisions by cost take {abs(saving):.1%} {'less' if saving >= 0 else 'more'} than {what}."
    decided_s = found.policies[LEARNED].cost_s
    if decided_s > 0:
        share = found.trials_s / decided_s
        yield f"{share:.1%} of their cost is the CPU time of trials, which is a smaller part of more traffic."
    tallies = (*found.policies.values(), *found.tiers.values())
    if any(min(tally.regret, tally.mean_regret) <= -SHOWN for tally in tallies):
        yield "A regret below 0 is of a policy that costs less than the oracle, since it pays for no trials."


def stored_lines(payloads: int) -> Iterator[str]:
    """Yield in words on how many stored payloads encodings were tried."""
    if payloads:
        yield f"All encodings were tried on {text.count(payloads, 'stored payload')}; streams without any are left out."
    else:
        yield "No payloads are stored: encodings can be tried on those of streams with store_payloads = true."


def replay_json(found: Replayed, tally: ReadingTally, payloads: int = 0) -> str:
    """Return the result as one JSON object, with shares as numbers.

    Args:
        found: the result.
        tally: counts of what was read.
        payloads: stored payloads that were tried.
    """
    policies = {
        name: {
            "cost_s": each.cost_s,
            "regret": each.regret,
            "mean_regret": each.mean_regret,
            "tiers": {tier: counted.regret for (policy, tier), counted in found.tiers.items() if policy == name},
        }
        for name, each in found.policies.items()
    }
    root = {
        **asdict(tally),
        "stored_payloads": payloads,
        "messages": found.messages,
        "unknown_messages": found.unknown_messages,
        "trials_s": found.trials_s,
        "best_fixed": found.best_fixed,
        "policies": policies,
    }
    return orjson.dumps(root, option=orjson.OPT_INDENT_2).decode()
