"""Decision table: the decisions of a gateway in memory, and as JSON that the next start of it reads."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any, Final, TypeVar

import orjson

from gateway.errors import InvalidArgument
from gateway.optimizer.decisions.decision import SOURCES, Decision, DecisionKey, DecisionSource
from gateway.optimizer.decisions.guard import GuardVerdict
from gateway.protocol.encoding import Chain

T = TypeVar("T")

VERSION: Final = 1
"""Version of the JSON text. Fields that a reader does not know are left out; a field with another meaning needs
another version."""
MAX_DECISIONS: Final = 4096
"""Decisions of a table; the one that was taken longest ago makes room."""
MAX_TEXT_BYTES: Final = 8 * 1024 * 1024
"""Longest JSON text that is read. Decisions have some 500 bytes each, and at most 1 KB unless names are very long."""


class BadTable(Exception):
    """Text that holds no decision table. The table is to be set aside, with a warning that has this error's text."""


class DecisionTable:
    """Decisions by stream and kind of receivers, the one that was taken last at the end.

    Attributes:
        verdicts: verdicts of the guard on some of them, as of the last writing of the table; only to be read.
    """

    def __init__(self) -> None:
        self._decisions: OrderedDict[DecisionKey, Decision] = OrderedDict()
        self.verdicts: dict[DecisionKey, GuardVerdict] = {}

    def __len__(self) -> int:
        return len(self._decisions)

    def __iter__(self) -> Iterator[tuple[DecisionKey, Decision]]:
        return iter(self._decisions.items())

    def get(self, key: DecisionKey) -> Decision | None:
        """Return the decision for some receivers of a stream; ``None``: there is none."""
        return self._decisions.get(key)

    def promising(self, key: DecisionKey) -> Decision | None:
        """Return the decision for some receivers, unless it was taken back when it was followed last."""
        verdict = self.verdicts.get(key)
        return self.get(key) if verdict is None or verdict.in_force else None

    def put(self, key: DecisionKey, decision: Decision) -> None:
        """Take a decision, in place of the one before; a verdict on other chains says nothing of it."""
        before = self._decisions.get(key)
        if before is not None and (before.chain, before.delta) != (decision.chain, decision.delta):
            self.verdicts.pop(key, None)
        self._decisions[key] = decision
        self._decisions.move_to_end(key)
        if len(self._decisions) > MAX_DECISIONS:
            self.discard(next(iter(self._decisions)))

    def discard(self, key: DecisionKey) -> None:
        """Forget a decision, if there is one."""
        self._decisions.pop(key, None)
        self.verdicts.pop(key, None)

    def judge(self, key: DecisionKey, verdict: GuardVerdict) -> None:
        """Take the verdict on a decision of the table, in place of the one before."""
        if key in self._decisions:
            self.verdicts[key] = verdict

    def copy(self) -> DecisionTable:
        """Return a table with the same decisions and verdicts."""
        table = DecisionTable()
        table._decisions, table.verdicts = self._decisions.copy(), self.verdicts.copy()
        return table

    def to_json(self) -> bytes:
        """Return the table as JSON; a time that is no number becomes null, which no reader takes."""
        decisions = [{**decision_fields(key, decision), "verdict": self._verdict(key)} for key, decision in self]
        return orjson.dumps({"version": VERSION, "decisions": decisions}, option=orjson.OPT_INDENT_2)

    def _verdict(self, key: DecisionKey) -> dict[str, Any] | None:
        verdict = self.verdicts.get(key)
        return None if verdict is None else asdict(verdict)

    @classmethod
    def from_json(cls, text: bytes) -> DecisionTable:
        """Return the table that :meth:`to_json` wrote.

        Args:
            text: the JSON text, from a disk that nobody vouches for.

        Raises:
            BadTable: it holds something else, or was written by another version.
        """
        if len(text) > MAX_TEXT_BYTES:
            raise BadTable(f"{len(text)} bytes of decisions; at most {MAX_TEXT_BYTES} are read")
        try:
            root = orjson.loads(text)
        except orjson.JSONDecodeError as error:
            raise BadTable(f"it is not JSON: {error}") from error
        _check(isinstance(root, dict), "it is not a JSON object")
        _check(root.get("version") == VERSION, f"its version is {root.get('version')!r}, not {VERSION}")
        listed = root.get("decisions")
        _check(isinstance(listed, list), "it has no list of decisions")
        table = cls()
        for number, fields in enumerate(listed):
            try:
                key, decision = _parsed(fields)
                table.put(key, decision)
                if fields.get("verdict") is not None:
                    table.judge(key, _parsed_verdict(fields["verdict"]))
            except (BadTable, InvalidArgument) as error:
                raise BadTable(f"decision {number}: {error}") from error
        return table


def decision_fields(key: DecisionKey, decision: Decision) -> dict[str, Any]:
    """Return a decision as a JSON object."""
    return {
        "stream": key.stream,
        "view": key.view,
        "codecs": sorted(key.codecs),
        "tier": key.tier,
        "sdk": key.sdk,
        "chain": str(decision.chain),
        "delta": None if decision.delta is None else str(decision.delta),
        "predicted_s": decision.predicted_s,
        "baseline_s": decision.baseline_s,
        "reason": decision.reason,
        "source": decision.source,
        "predicted_ratio": decision.predicted_ratio,
    }


def _parsed(fields: object) -> tuple[DecisionKey, Decision]:
    """Return one decision.

    Raises:
        BadTable: a field is missing, or of the wrong type.
        InvalidArgument: a chain has a codec or level that this gateway does not know.
    """
    if not isinstance(fields, dict):
        raise BadTable("it is not a JSON object")

    def field(name: str, parse: Callable[[object], T | None]) -> T:
        value = parse(fields.get(name))
        if value is None:
            raise BadTable(f"{name} is {str(fields.get(name))[:80]!r}")
        return value

    chain, delta = Chain.parse(field("chain", _text)), fields.get("delta")
    made = None if delta is None else Chain.parse(field("delta", _text))
    _check(not chain.delta, f"chain is the delta {chain}")
    _check(made is None or bool(made.delta), f"delta is {made}, which makes none")
    codecs = frozenset(field("codecs", _texts))
    _check(chain.names <= codecs and (made is None or made.names <= codecs), "receivers do not know its chains")
    key = DecisionKey(field("stream", _text), codecs, field("tier", _text), field("sdk", _text), field("view", _text))
    seconds = field("predicted_s", _measure), field("baseline_s", _measure)
    # Source and ratio are missing in tables of earlier versions.
    known: DecisionSource = "trial" if seconds[0] < seconds[1] else "baseline"
    source = next((each for each in SOURCES if each == fields.get("source")), known)
    return key, Decision(chain, made, *seconds, field("reason", _text), source, _measure(fields.get("predicted_ratio")))


def _parsed_verdict(fields: object) -> GuardVerdict:
    """Return a verdict.

    Raises:
        BadTable: a field is missing, or of the wrong type.
    """
    if not isinstance(fields, dict):
        raise BadTable("its verdict is not a JSON object")
    in_force, pairs, recess_s = fields.get("in_force"), fields.get("pairs"), _measure(fields.get("recess_s"))
    if not isinstance(in_force, bool) or not isinstance(pairs, int) or recess_s is None:
        raise BadTable(f"its verdict is {str(fields)[:200]}")
    # A guard compares no cost of 0, so there is none to divide by.
    measured_s, baseline_s = _measure(fields.get("measured_s")) or None, _measure(fields.get("baseline_s")) or None
    return GuardVerdict(in_force, pairs, measured_s, baseline_s, recess_s)


def _check(condition: bool, problem: str) -> None:
    if not condition:
        raise BadTable(problem)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _texts(value: object) -> list[str] | None:
    return value if isinstance(value, list) and all(isinstance(each, str) for each in value) else None


def _measure(value: object) -> float | None:
    """Return a time or a share; ``None`` for anything else, also for one that is negative or not finite."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) and value >= 0 else None
