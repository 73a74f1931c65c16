"""Tests the messages and record batches of the blocking client, with a real gateway in a process of its own."""

import copy
import pickle
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from gateway.client import sync
from gateway.errors import UsageError
from gateway.testing import GatewayProcess, running_gateway_process


@pytest.fixture(scope="module")
def gateway() -> Iterator[GatewayProcess]:
    """One gateway for all tests here; each uses a stream of its own."""
    with running_gateway_process() as running:
        yield running


@pytest.fixture
def tasks(gateway: GatewayProcess, request: pytest.FixtureRequest) -> Iterator[sync.Subscription]:
    """A subscription for which a batch of three tasks waits."""
    stream = f"{request.node.originalname}/tasks"
    with (
        sync.connect(gateway.url, client_id=request.node.originalname[:64]) as worker,
        worker.subscribe(stream, auto_ack=False) as messages,
    ):
        with sync.connect(gateway.url) as publisher, publisher._batcher.lock:  # so that they are sent together
            for value in range(3):
                publisher.publish_nowait(stream, np.int64(value), kind="collaboration")
        yield messages


def pickled(original: Any) -> list[Any]:
    """Return a copy by each protocol of ``pickle``."""
    protocols = range(pickle.HIGHEST_PROTOCOL + 1)
    return [pickle.loads(pickle.dumps(original, protocol)) for protocol in protocols]  # noqa: S301


def test_the_records_of_a_batch_are_answered(tasks: sync.Subscription) -> None:
    batch = next(tasks.batches())
    assert batch.count == 3
    first, second, _ = batch.messages()
    first.ack()
    second.nack()
    again = next(tasks)  # the batch comes again, as one of its records was refused
    assert (int(again.tensor), again.offset) == (0, batch.offset)
    again.ack()
    for record in (next(tasks), next(tasks)):
        record.in_progress()
        record.ack()
    assert (tasks.stats.received, tasks.stats.replayed) == (6, 3)


def test_a_copy_says_that_it_cannot_be_acknowledged(tasks: sync.Subscription) -> None:
    batch = next(tasks.batches())
    for copied in (*pickled(batch), copy.deepcopy(batch)):
        for each in (copied, *copied.messages()):
            with pytest.raises(UsageError, match="copy of a message"):
                each.ack()
            with pytest.raises(UsageError, match="copy of a message"):
                each.nack()
    message = next(batch.messages())
    for arrived in (*pickled(message), copy.deepcopy(message)):
        assert int(arrived.tensor) == 0
        with pytest.raises(UsageError, match="copy of a message"):
            arrived.ack()


def test_a_part_of_a_batch_cannot_be_acknowledged(tasks: sync.Subscription) -> None:
    newest = next(tasks.batches()).newest(complete=True)
    for each in (newest, *newest.messages()):
        with pytest.raises(UsageError, match="only observed"):
            each.ack()
