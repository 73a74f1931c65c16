"""Messages of predictions: what is written is parsed, in one line, and nothing else is."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.optimizer.child_process import BadMessage
from gateway.optimizer.delivery_cost import EncodingFigures
from gateway.optimizer.prediction.messages import (
    ModelState,
    Prediction,
    PredictionRequest,
    parse_answer,
)
from tests.optimizer.history.records import ANY_TRIAL
from tests.optimizer.learning.trials import trial

NAMES = st.text("abcdefgh0123456789+:", max_size=24)
REAL = st.floats(0, 1000)
FIGURES = st.lists(st.builds(EncodingFigures, NAMES, REAL, REAL, REAL), max_size=12).map(tuple)
ANSWERS = st.builds(Prediction, st.integers(0), FIGURES) | st.builds(
    ModelState, st.integers(0), REAL, st.text(max_size=100)
)


@given(st.none() | ANY_TRIAL, st.none() | st.integers(0), st.lists(NAMES, max_size=12).map(tuple))
def test_a_request_is_one_line(known: object, number: int | None, chains: tuple[str, ...]) -> None:
    request = PredictionRequest(known, number, chains)  # type: ignore[arg-type]
    line = request.line()
    assert line.count(b"\n") == 1
    parsed = PredictionRequest.parse(line)
    assert (parsed.number, parsed.chains, parsed.trial is None) == (number, chains, known is None)


def test_a_trial_arrives_as_it_was() -> None:
    known = trial(1, 4.0)
    parsed = PredictionRequest.parse(PredictionRequest(known).line()).trial
    assert parsed is not None
    assert (parsed.stream, parsed.shape, parsed.features) == (known.stream, known.shape, known.features)
    assert [each.encoded_bytes for each in parsed.tried] == [each.encoded_bytes for each in known.tried]


@given(ANSWERS)
def test_an_answer_is_one_line(answer: Prediction | ModelState) -> None:
    assert answer.line().count(b"\n") == 1
    assert parse_answer(answer.line()) == answer


@pytest.mark.parametrize(
    "line",
    [
        *(b"", b"nonsense", b"[]", b"{}", b"\xff", b'{"number": 1, "figures": [["lz4", NaN, 1, 1]]}'),
        b'{"number": 1, "figures": [["lz4", 1, 1]]}',
        b'{"number": Infinity, "figures": [], "chains": [], "trial": null}',
        b"[" * 100_000,
        b'{"trials": "x", "cpu_s": 1, "error": ""}',
        json.dumps({"trial": "!", "number": 1, "chains": []}).encode(),
        json.dumps({"trial": base64.b64encode(b"x" * 100).decode(), "number": 1, "chains": []}).encode(),
    ],
)
def test_other_lines_are_refused(line: bytes) -> None:
    with pytest.raises(BadMessage):
        parse_answer(line)
    with pytest.raises(BadMessage):
        PredictionRequest.parse(line)
