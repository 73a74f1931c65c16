"""Tests what a program without a loop sees of the blocking client, with a real gateway in a process of its own."""

import threading
from collections.abc import Iterator

import numpy as np
import pytest
import uvloop

from gateway.client import ClientState, sync
from gateway.errors import CapacityError, ConnectionFailed, InvalidArgument, RequestRefused, UsageError
from gateway.testing import GatewayProcess, running_gateway_process


@pytest.fixture(scope="module")
def gateway() -> Iterator[GatewayProcess]:
    """One gateway for all tests here; each uses a workflow of its own."""
    with running_gateway_process() as running:
        yield running


@pytest.fixture
def workflow(request: pytest.FixtureRequest) -> str:
    return str(request.node.originalname)


def test_a_tensor_arrives_bit_for_bit(gateway: GatewayProcess, workflow: str) -> None:
    array = np.random.default_rng(0).random((3, 4))
    with sync.connect(gateway.url, client_id="a") as client:
        assert (client.client_id, client.state) == ("a", ClientState.CONNECTED)
        with client.subscribe(f"{workflow}/*") as messages:
            result = client.publish(f"{workflow}/x", array, kind="event", headers={"step": 1})
            message = next(messages)
            assert (message.offset, message.headers) == (result.offset, {"step": 1})
            np.testing.assert_array_equal(message.tensor, array)
            assert messages.stats.received == 1
    assert client.state is ClientState.CLOSED


def test_it_runs_on_uvloop_too(gateway: GatewayProcess, workflow: str) -> None:
    with sync.connect(gateway.url, loop_factory=uvloop.new_event_loop) as client:
        assert client.publish(f"{workflow}/x", np.zeros(1_000_000)).bytes_transmitted > 0


def test_publishing_without_waiting_keeps_every_message_in_order(gateway: GatewayProcess, workflow: str) -> None:
    stream = f"{workflow}/loss"
    with (
        sync.connect(gateway.url) as publisher,
        sync.connect(gateway.url) as subscriber,
        subscriber.subscribe(stream) as messages,
    ):
        array = np.zeros(4)
        for step in range(20_000):
            array[:] = step  # the array is reused
            publisher.publish_nowait(stream, array, kind="event")
        publisher.publish(stream, np.full(4, 20_000.0))
        received = 0
        for batch in messages.batches():
            expected = np.arange(received, received + batch.count)
            np.testing.assert_array_equal(batch.array[:, 0], expected)
            received += batch.count
            if received == 20_001:
                break


def test_records_come_one_by_one(gateway: GatewayProcess, workflow: str) -> None:
    stream = f"{workflow}/x"
    with sync.connect(gateway.url) as client, client.subscribe(stream) as messages:
        for step in range(100):
            client.publish_nowait(stream, step, kind="event")
        client.drain()
        assert [int(next(messages).tensor) for _ in range(100)] == list(range(100))


def test_closing_ends_the_iterators(gateway: GatewayProcess, workflow: str) -> None:
    client = sync.connect(gateway.url)
    messages = client.subscribe(f"{workflow}/*")
    messages.start()
    ended = threading.Event()

    def read() -> None:
        assert list(messages) == []
        ended.set()

    reader = threading.Thread(target=read)
    reader.start()
    client.close()
    client.close()
    assert ended.wait(10)
    reader.join()
    assert list(messages.batches()) == []
    with pytest.raises(ConnectionFailed, match="closed"):
        client.publish(f"{workflow}/x", 1)
    with pytest.raises(ConnectionFailed, match="closed"):
        client.publish_nowait(f"{workflow}/x", 1)


def test_closing_a_subscription_from_another_thread_ends_its_iterator(gateway: GatewayProcess, workflow: str) -> None:
    with sync.connect(gateway.url) as client:
        messages = client.subscribe(f"{workflow}/*")
        messages.start()
        closing = threading.Thread(target=messages.close)
        closing.start()
        assert list(messages) == []
        closing.join()


def test_requests_and_replies(gateway: GatewayProcess) -> None:
    with sync.connect(gateway.url, client_id="planner") as planner, sync.connect(gateway.url) as client:
        requests = planner.inbox()
        requests.start()

        def serve() -> None:
            for request in requests:
                if request.tensors:
                    request.reply(request.tensor * 2, headers={"seen": request.headers})
                else:
                    request.fail("nothing to do")

        serving = threading.Thread(target=serve)
        serving.start()
        reply = client.request("agent:planner", [1, 2], headers={"n": 1})
        assert (reply.tensor.tolist(), reply.headers) == ([2, 4], {"seen": {"n": 1}})
        with pytest.raises(RequestRefused, match="nothing to do"):
            client.request("agent:planner")
        requests.close()
        serving.join()


def test_errors_are_those_of_the_async_client(gateway: GatewayProcess, workflow: str) -> None:
    with sync.connect(gateway.url) as client:
        with pytest.raises(InvalidArgument, match="brotli"):
            client.publish(f"{workflow}/x", 1, codec="brotli")
        with pytest.raises(RequestRefused):
            client.publish("noworkflow", 1)
        with pytest.raises(RequestRefused):
            client.publish_nowait("noworkflow", 1)
        client.inbox().start()
        with pytest.raises(UsageError):
            client.inbox()
    with pytest.raises(ConnectionFailed, match="frys serve"):
        sync.connect("ws://127.0.0.1:1")


def test_too_much_without_waiting_is_refused(gateway: GatewayProcess, workflow: str) -> None:
    with sync.connect(gateway.url, max_pending_bytes=1 << 20) as client:
        array = np.zeros(1 << 20, np.uint8)

        def publish_without_pause() -> None:
            for _ in range(10_000):
                client.publish_nowait(f"{workflow}/x", array)

        with pytest.raises(CapacityError, match="drain"):
            publish_without_pause()
        client.drain()
        client.publish_nowait(f"{workflow}/x", array)


def test_a_callback_that_calls_the_client_is_told_instead_of_waiting_forever(
    gateway: GatewayProcess, workflow: str
) -> None:
    with sync.connect(gateway.url) as client:

        def progress(sent: int, total: int) -> None:
            client.publish(f"{workflow}/progress", sent)

        with pytest.raises(UsageError, match="wait for itself"):
            client.publish(f"{workflow}/x", np.zeros(1_000_000), codec="none", progress=progress)


def test_threads_share_a_client(gateway: GatewayProcess, workflow: str) -> None:
    with sync.connect(gateway.url) as client:
        offsets: list[int] = []

        def publish() -> None:
            offsets.extend([client.publish(f"{workflow}/x", 1).offset for _ in range(50)])

        threads = [threading.Thread(target=publish) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(offsets) == list(range(200))


def test_a_token_can_be_replaced(gateway: GatewayProcess) -> None:
    with sync.connect(gateway.url) as client:
        assert client.authenticate("fresh") is None
