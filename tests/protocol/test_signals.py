"""Invariant: a signal frame is one struct; it is read as it was written, and never from outside its frame."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import Code, ProtocolViolation
from gateway.protocol.durability import Durability
from gateway.protocol.frames import Frame, iter_frames
from gateway.protocol.signals import (
    Abort,
    Ack,
    Cancel,
    Conflated,
    Credit,
    Done,
    End,
    Gap,
    InProgress,
    Ping,
    Pong,
    ProgramPosition,
    ReceiverReport,
    Replay,
    Resume,
    Signal,
)
from gateway.protocol.wire import MAX_POSITIONS, REPORT_COUNT, REPORT_POSITION, Opcode

U32 = st.integers(0, 2**32 - 1)
U64 = st.integers(0, 2**64 - 1)
I64 = st.integers(-(2**63), 2**63 - 1)

SIGNALS: st.SearchStrategy[Signal] = st.one_of(
    st.builds(Ack, U32, U32, U64, U64, st.sampled_from(Durability), st.booleans()),
    st.builds(Gap, U32, U32, U64, U64),
    st.builds(End, U32, U64, I64, st.none() | U32),
    st.builds(Abort, U32, U32),
    st.builds(Ping, I64, st.booleans()),
    st.builds(Pong, I64, I64, I64),
    st.builds(Resume, U32, U32),
    st.builds(Replay, U32, U32, U64, U64),
    st.builds(Done, U32, U32, U64, U64),
    st.builds(InProgress, U32, U64, U64),
    st.builds(Conflated, U32, U64),
    st.builds(Credit, U32, U32, U64),
    st.builds(Cancel, U32, U64),
    st.builds(
        ReceiverReport,
        U64,
        U64,
        U64,
        U64,
        st.lists(st.builds(ProgramPosition, U32, U32, U64), max_size=MAX_POSITIONS).map(tuple),
    ),
)

EXAMPLES = [
    pytest.param(Ack(0, 3, 5, 14), Opcode.ACK, 32, id="ack"),
    pytest.param(Gap(7, Code.QUEUE_FULL, 10, 12), Opcode.GAP, 32, id="gap"),
    pytest.param(End(1, 12, -1), Opcode.END, 32, id="end"),
    pytest.param(Abort(1, Code.TRANSFER_ABORTED), Opcode.ABORT, 16, id="abort"),
    pytest.param(Ping(1), Opcode.PING, 16, id="ping"),
    pytest.param(Pong(1, 2, 3), Opcode.PONG, 32, id="pong"),
    pytest.param(Resume(1, 2), Opcode.RESUME, 16, id="resume"),
    pytest.param(Replay(7, 0, 1, 2), Opcode.REPLAY, 32, id="replay"),
    pytest.param(Done(7, 0, 1, 2), Opcode.DONE, 32, id="done"),
    pytest.param(Conflated(7, 622), Opcode.CONFLATED, 24, id="conflated"),
    pytest.param(InProgress(7, 1, 2), Opcode.IN_PROGRESS, 32, id="in-progress"),
    pytest.param(Credit(1, 2, 3), Opcode.CREDIT, 24, id="credit"),
    pytest.param(Cancel(17, 99), Opcode.CANCEL, 24, id="cancel"),
    pytest.param(ReceiverReport(1, 2, 3, 4), Opcode.REPORT, 40, id="report"),
    pytest.param(
        ReceiverReport(1, 2, 3, 4, (ProgramPosition(7, 3, 15),)), Opcode.REPORT, 64, id="report with a position"
    ),
]


@given(st.lists(SIGNALS, min_size=1, max_size=5))
def test_round_trip_anywhere_in_a_message(signals: list[Signal]) -> None:
    message = b"".join(signal.write() for signal in signals)
    read = [type(signal).parse(message, frame) for signal, frame in zip(signals, iter_frames(message), strict=True)]
    assert read == signals


@pytest.mark.parametrize(("signal", "opcode", "size"), EXAMPLES)
def test_frame(signal: Signal, opcode: Opcode, size: int) -> None:
    assert list(iter_frames(signal.write())) == [Frame(opcode, 0, 0, 0, size)]


@pytest.mark.parametrize(("signal", "opcode", "size"), EXAMPLES)
def test_shorter_than_its_table(signal: Signal, opcode: Opcode, size: int) -> None:
    with pytest.raises(ProtocolViolation) as caught:
        type(signal).parse(signal.write(), Frame(opcode, 0, 0, 0, size - 1))
    assert caught.value.code == Code.MALFORMED_FRAME


@pytest.mark.parametrize(("signal", "opcode", "size"), EXAMPLES)
def test_longer_than_its_table(signal: Signal, opcode: Opcode, size: int) -> None:
    longer = Frame(opcode, 0, 0, 0, size + 8)
    assert type(signal).parse(signal.write() + bytes(8), longer) == signal


@given(st.integers(0, 2**32 - 1), st.integers(0, MAX_POSITIONS + 2))
def test_positions_of_a_report_are_there_or_it_is_refused(claimed: int, there: int) -> None:
    body = REPORT_COUNT.pack(claimed) + bytes(REPORT_POSITION.size * there)
    message = ReceiverReport(1, 2, 3, 4).write() + body
    frame = Frame(Opcode.REPORT, 0, 0, 0, len(message))
    if claimed <= min(there, MAX_POSITIONS):
        assert ReceiverReport.parse(message, frame).positions == (ProgramPosition(0, 0, 0),) * claimed
    else:
        with pytest.raises(ProtocolViolation, match=f"names {claimed} positions") as caught:
            ReceiverReport.parse(message, frame)
        assert caught.value.code == Code.MALFORMED_FRAME


def test_code_that_this_version_does_not_know() -> None:
    message = Abort(1, 5999).write()
    assert Abort.parse(message, next(iter_frames(message))).code == 5999
