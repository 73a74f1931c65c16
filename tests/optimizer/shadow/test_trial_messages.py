"""Messages of trials: what is written is parsed, in one line, and nothing else is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.optimizer.candidates import MAX_CANDIDATES
from gateway.optimizer.child_process import BadMessage
from gateway.optimizer.history.record import TriedChain
from gateway.optimizer.shadow.sample_memory import TRIED_BYTES
from gateway.optimizer.shadow.trial_messages import MAX_ERROR, MAX_LINE_BYTES, TrialAnswer, TrialRequest

NAMES = st.text("abcdefgh0123456789+:", max_size=24)
SECONDS = st.floats(0, 1000)
REQUESTS = st.builds(
    TrialRequest,
    st.integers(0, 3),
    st.integers(0, TRIED_BYTES),
    st.integers(0, TRIED_BYTES),
    NAMES,
    st.lists(NAMES, max_size=MAX_CANDIDATES).map(tuple),
    SECONDS,
)
OUTCOMES = st.builds(TriedChain, NAMES, st.integers(0, 2**20), SECONDS, SECONDS)
ANSWERS = st.builds(
    TrialAnswer,
    st.integers(0, 3),
    SECONDS,
    st.lists(OUTCOMES, max_size=MAX_CANDIDATES).map(tuple),
    st.lists(NAMES, max_size=MAX_CANDIDATES).map(tuple),
    st.text("ab \n\"'\u20ac\U0001f600", max_size=MAX_ERROR),
)


@given(REQUESTS)
def test_a_request_is_one_short_line(request_: TrialRequest) -> None:
    line = request_.line()
    assert line.count(b"\n") == 1
    assert len(line) <= MAX_LINE_BYTES
    assert TrialRequest.parse(line) == request_


@given(ANSWERS)
def test_an_answer_is_one_short_line(answer: TrialAnswer) -> None:
    line = answer.line()
    assert line.count(b"\n") == 1
    assert len(line) <= MAX_LINE_BYTES
    assert TrialAnswer.parse(line) == answer


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"nonsense",
        b"[]",
        b"{}",
        b'{"slot": "x"}',
        b"\xff",
        b'{"slot":1,"cpu_s":1,"tried":[[1]],"failed":[],"error":""}',
        b'{"slot":Infinity,"sample_bytes":1,"cpu_s":1,"tried":[],"failed":[],"error":""}',
        b"[" * 100_000,
    ],
)
def test_other_lines_are_refused(line: bytes) -> None:
    with pytest.raises(BadMessage):
        TrialRequest.parse(line)
    with pytest.raises(BadMessage):
        TrialAnswer.parse(line)
