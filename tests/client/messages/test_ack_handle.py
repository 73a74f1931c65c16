"""Tests when a unit is answered for."""

import pytest

from gateway.client.messages.ack_handle import AckHandle, AckScope, AckUnitRange, PendingAck, RecordAckHandle
from gateway.client.messages.credit_grants import CreditGrants


def unit(first: int = 0, count: int = 1) -> AckUnitRange:
    return AckUnitRange(1, first, count, 8, None, None)


class Settled:
    """A holding, and whether it was settled."""

    def __init__(self, count: int = 1) -> None:
        self.settled: list[PendingAck] = []
        self.holding = PendingAck(unit(count=count), self.settled.append)

    def receipt(self) -> AckHandle:
        return AckHandle(self.holding, AckScope(CreditGrants(None)))


def test_a_unit_is_settled_when_all_have_answered() -> None:
    case = Settled()
    first, second = case.receipt(), case.receipt()
    first.done()
    first.done()
    assert case.settled == []
    second.done()
    assert case.settled == [case.holding]
    assert case.holding.processed


def test_the_first_word_counts() -> None:
    case = Settled()
    receipt = case.receipt()
    receipt.refuse(5)
    receipt.done()
    assert (case.holding.processed, case.holding.code, case.holding.refusers) == (False, 5, [receipt.owner])
    assert case.settled == [case.holding]


def test_a_subscription_that_is_over_answers_nothing() -> None:
    case = Settled()
    one, two = case.receipt(), case.receipt()
    one.owner.withdraw()
    assert not one.owner.receipts
    two.done()
    assert case.settled == [case.holding]


@pytest.mark.parametrize("answers", ["each", "whole"])
def test_a_batch_is_answered_for_by_all_its_records_or_as_a_whole(answers: str) -> None:
    case = Settled(count=3)
    batch = case.receipt()
    records = [RecordAckHandle(batch) for _ in range(3)]
    records[0].done()
    records[0].done()
    if answers == "each":
        records[1].done()
        assert case.settled == []
        records[2].done()
    else:
        batch.done()
    assert case.settled == [case.holding]


def test_a_record_that_is_refused_refuses_its_batch() -> None:
    case = Settled(count=2)
    batch = case.receipt()
    first, second = RecordAckHandle(batch), RecordAckHandle(batch)
    first.done()
    second.refuse(7)
    assert (case.holding.processed, case.holding.code) == (False, 7)
