"""Tests when the socket is read."""

from gateway.client.messages.read_flow_control import ReadFlowControl


def test_it_reads_until_somebody_is_full_and_again_when_he_is_not() -> None:
    calls: list[bool] = []
    flow = ReadFlowControl(calls.append)
    flow.fill("a")
    flow.fill("b")
    flow.fill("a")
    flow.drain("a")
    assert calls == [False]
    flow.drain("b")
    assert calls == [False, True]


def test_an_awaited_answer_keeps_a_full_one_from_stopping_the_socket() -> None:
    calls: list[bool] = []
    flow = ReadFlowControl(calls.append)
    flow.expect_answer()
    flow.fill("a")
    assert calls == []
    flow.end_answer()
    assert calls == [False]
    flow.expect_answer()
    assert calls == [False, True]


def test_a_stuffed_one_stops_it_always() -> None:
    calls: list[bool] = []
    flow = ReadFlowControl(calls.append)
    flow.expect_answer()
    flow.fill("a", stuffed=True)
    assert calls == [False]
    flow.drain("a")
    assert calls == [False, True]


def test_draining_what_was_never_full_changes_nothing() -> None:
    calls: list[bool] = []
    ReadFlowControl(calls.append).drain("a")
    assert calls == []
