"""Tests how the blocking client acknowledges, with a real gateway in a process of its own."""

import itertools
import pickle
import threading
from collections.abc import Iterator

import numpy as np
import pytest

from gateway.client import Credits, sync
from gateway.errors import InvalidArgument, UsageError
from gateway.testing import GatewayProcess, running_gateway_process


@pytest.fixture(scope="module")
def gateway() -> Iterator[GatewayProcess]:
    """One gateway for all tests here; each uses a workflow of its own."""
    with running_gateway_process() as running:
        yield running


@pytest.fixture
def stream(request: pytest.FixtureRequest) -> str:
    return f"{request.node.originalname}/tasks"


def publish(gateway: GatewayProcess, stream: str, count: int) -> None:
    with sync.connect(gateway.url) as publisher:
        for value in range(count):
            publisher.publish(stream, np.int64(value), kind="collaboration")


def values(messages: sync.Subscription, count: int) -> list[int]:
    return [int(next(messages).tensor) for _ in range(count)]


def fail_at(value: int, messages: sync.Subscription) -> None:
    with messages:
        for message in messages:
            if int(message.tensor) == value:
                raise ValueError(f"while at {value}")


def test_what_was_asked_past_is_processed(gateway: GatewayProcess, stream: str) -> None:
    with sync.connect(gateway.url, client_id="asked-past") as worker:
        messages = worker.subscribe(stream, credits=Credits(2, 1 << 20))
        messages.start()
        publish(gateway, stream, 5)
        assert values(messages, 3) == [0, 1, 2]
    with sync.connect(gateway.url, client_id="asked-past") as worker, worker.subscribe(stream) as messages:
        # The third was in hand when the client was closed.
        assert values(messages, 3) == [2, 3, 4]


def test_leaving_in_good_order_says_that_the_last_one_is_processed(gateway: GatewayProcess, stream: str) -> None:
    with sync.connect(gateway.url, client_id="leaving") as worker:
        publishing = worker.subscribe(stream)
        publishing.start()
        publish(gateway, stream, 3)
        with pytest.raises(ValueError, match="while at 1"):
            fail_at(1, publishing)
        with worker.subscribe(stream) as messages:
            assert values(messages, 2) == [1, 2]


def test_the_program_may_answer_itself(gateway: GatewayProcess, stream: str) -> None:
    with (
        sync.connect(gateway.url, client_id="answering") as worker,
        worker.subscribe(stream, auto_ack=False) as messages,
    ):
        publish(gateway, stream, 3)
        first, second, third = (next(messages) for _ in range(3))
        with pytest.raises(InvalidArgument, match="from 1 to 4294967295"):
            second.nack(2**40)
        second.nack()
        for message in (first, third):
            message.ack()
        again = next(messages)
        assert (again.offset, messages.stats.replayed) == (1, 1)


@pytest.mark.parametrize("kind", ["state", "event"])
def test_answers_to_messages_that_need_none_do_nothing(gateway: GatewayProcess, stream: str, kind: str) -> None:
    with sync.connect(gateway.url) as client, client.subscribe(f"{stream}/*", auto_ack=False) as messages:
        for value in range(3):
            client.publish(f"{stream}/{kind}-{value}", np.int64(value), kind=kind)
        for message in itertools.islice(messages, 2):
            message.in_progress()
            message.ack()
            message.nack()
        batch = next(messages.batches())
        batch.in_progress()
        batch.ack()
        batch.nack()
        pickle.loads(pickle.dumps(message)).ack()  # noqa: S301


def test_batches_are_acknowledged_whole(gateway: GatewayProcess, stream: str) -> None:
    with (
        sync.connect(gateway.url, client_id="batches") as worker,
        sync.connect(gateway.url) as publisher,
        worker.subscribe(stream, auto_ack=False) as messages,
    ):
        for value in range(4):
            publisher.publish_nowait(stream, np.int64(value), kind="collaboration")
        publisher.drain()
        taken = 0
        refused = False
        for batch in messages.batches():
            if not refused:
                refused = True
                with pytest.raises(InvalidArgument, match="from 1 to 4294967295"):
                    batch.nack(-1)
                batch.nack()
                continue
            batch.ack()
            taken += batch.count
            if taken == 4:
                break


@pytest.mark.parametrize("auto_ack", [True, False])
def test_what_is_no_record_holds_up_no_batch(gateway: GatewayProcess, stream: str, auto_ack: bool) -> None:
    stream = f"{stream}-{auto_ack}"
    errors: list[Exception] = []
    with (
        sync.connect(gateway.url, client_id="records-only") as worker,
        sync.connect(gateway.url) as publisher,
        worker.subscribe(stream, auto_ack=auto_ack, credits=Credits(2, 1 << 20), on_error=errors.append) as messages,
    ):
        for value in range(4):
            publisher.publish(stream, {"a": np.int64(value), "b": np.int64(value)}, kind="collaboration")
        publisher.publish(stream, np.int64(4), kind="collaboration")
        batch = next(messages.batches())
        assert (batch.offset, batch.array.tolist(), messages.stats.failed, len(errors)) == (4, [4], 4, 4)
        batch.ack()


@pytest.mark.parametrize("batches", [False, True])
def test_closing_it_in_another_thread_ends_the_wait_for_a_message(
    gateway: GatewayProcess, stream: str, batches: bool
) -> None:
    with sync.connect(gateway.url) as client:
        messages = client.subscribe(stream)
        messages.start()
        closing = threading.Timer(0.05, messages.close)
        closing.start()
        assert list(messages.batches() if batches else messages) == []
        closing.join()


def test_events_that_are_caught_up_on(gateway: GatewayProcess, stream: str) -> None:
    count = 3000
    with sync.connect(gateway.url) as client:
        for value in range(count):  # headers keep them out of record batches
            client.publish_nowait(stream, np.int64(value), kind="event", headers={"unit": "m"})
        client.drain()
        with client.subscribe(stream, since=0) as messages:
            received = [next(messages) for _ in range(count)]
            assert [int(message.tensor) for message in received] == list(range(count))
            assert {message.offset - int(message.tensor) for message in received} == {0}
            assert {message.headers["unit"] for message in received} == {"m"}
        with client.subscribe(stream, since=0) as messages:
            assert values(messages, 10) == list(range(10))
            taken = 10
            for batch in messages.batches():  # goes on where the messages ended
                assert batch.offset == taken
                assert np.array_equal(batch.array, np.arange(taken, taken + batch.count))
                taken += batch.count
                if taken == count:
                    break
            assert (messages.stats.received, messages.stats.replayed) == (count, count)


def test_a_slow_program_gets_the_newest_version_of_each_state(gateway: GatewayProcess, stream: str) -> None:
    with (
        sync.connect(gateway.url) as publisher,
        sync.connect(gateway.url) as client,
        client.subscribe(f"{stream}/*") as messages,
    ):
        for round_number in range(3):
            for value in range(100):
                for name in "ab":
                    publisher.publish(f"{stream}/{name}", np.array([round_number, value]))
            client.account(messages)  # its answer follows all messages
            read = [next(messages) for _ in range(2)]
            assert [message.stream[-1] for message in read] == ["a", "b"]
            assert [message.tensor.tolist() for message in read] == [[round_number, 99]] * 2
        assert (messages.stats.received, messages.stats.conflated) == (600, 594)


def test_versions_behind_events_do_not_grow_old(gateway: GatewayProcess, stream: str) -> None:
    with (
        sync.connect(gateway.url) as publisher,
        sync.connect(gateway.url) as client,
        client.subscribe(f"{stream}/*") as messages,
    ):
        for kind in ("event", "state", "event"):
            publisher.publish(f"{stream}/{kind}", np.int64(0), kind=kind)
        client.account(messages)
        assert next(messages).kind == "event"
        publisher.publish(f"{stream}/state", np.int64(1))
        client.account(messages)
        assert [(message.kind, int(message.tensor)) for message in (next(messages), next(messages))] == [
            ("state", 1),
            ("event", 0),
        ]


def test_who_wants_every_version_gets_them(gateway: GatewayProcess, stream: str) -> None:
    with (
        sync.connect(gateway.url) as publisher,
        sync.connect(gateway.url) as client,
        client.subscribe(stream, conflate=False) as messages,
    ):
        for value in range(50):
            publisher.publish(stream, np.int64(value))
        client.account(messages)
        assert values(messages, 50) == list(range(50))
        assert messages.stats.conflated == 0


@pytest.mark.parametrize("kind", ["event", "state", "collaboration"])
def test_messages_that_wait_are_one_batch(gateway: GatewayProcess, stream: str, kind: str) -> None:
    stream = f"{stream}-{kind}"
    with (
        sync.connect(gateway.url) as publisher,
        sync.connect(gateway.url, client_id=f"joining-{kind}") as client,
        client.subscribe(stream, conflate=False) as messages,
    ):
        for value in range(50):
            publisher.publish(stream, np.int64(value), kind=kind)
        client.account(messages)
        batch = next(messages.batches())
        assert (batch.offset, batch.count, batch.observed) == (0, 50, False)
        assert batch.array.tolist() == list(range(50))
        assert (messages.stats.received, messages.stats.buffered_bytes) == (50, 0)


def test_a_joined_batch_is_acknowledged_when_the_program_asks_for_the_next(
    gateway: GatewayProcess, stream: str
) -> None:
    with sync.connect(gateway.url, client_id="joining") as worker:
        messages = worker.subscribe(stream)
        messages.start()
        batches = messages.batches()
        publish(gateway, stream, 5)
        worker.account(messages)
        assert next(batches).array.tolist() == list(range(5))
        publish(gateway, stream, 1)
        assert next(batches).array.tolist() == [0]
    with sync.connect(gateway.url, client_id="joining") as worker, worker.subscribe(stream) as messages:
        message = next(messages)  # it was in hand when the client was closed
        assert (message.offset, int(message.tensor)) == (5, 0)


def test_what_holds_a_connection_is_not_pickled(gateway: GatewayProcess, stream: str) -> None:
    with sync.connect(gateway.url) as client, client.subscribe(stream) as messages:
        for held in (client, client.publish, messages, client.inbox(), client.request_stream("agent:b")):
            with pytest.raises(UsageError, match="belongs to the process that made it"):
                pickle.dumps(held)
